package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/streambus/streambus/wire"
)

func TestClientQuotas(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	c := dial(t, b.addr)
	type part = wire.AlterClientQuotasRequestEntity
	type op = wire.AlterClientQuotasRequestOp
	alter := func(version int16, validateOnly bool, parts []part, ops ...op) wire.ErrorCode {
		t.Helper()
		var resp wire.AlterClientQuotasResponse
		c.call(version, &wire.AlterClientQuotasRequest{ValidateOnly: validateOnly, Entries: []wire.AlterClientQuotasRequestEntry{{Entity: parts, Ops: ops}}}, &resp)
		if len(resp.Entries) != 1 || len(resp.Entries[0].Entity) != len(parts) || (resp.Entries[0].ErrorCode == 0) != (resp.Entries[0].ErrorMessage == nil) {
			t.Fatalf("%+v", resp)
		}
		return resp.Entries[0].ErrorCode
	}
	user, any := part{EntityType: "user", EntityName: ptr("u")}, part{EntityType: "client-id"}
	rate := op{Key: "producer_byte_rate", Value: 1000}
	for what, bad := range map[string]struct {
		parts []part
		op    op
		want  wire.ErrorCode
	}{
		"nobody":         {nil, rate, wire.CodeInvalidRequest},
		"unknown entity": {[]part{{EntityType: "planet", EntityName: ptr("x")}}, rate, wire.CodeInvalidRequest},
		"unknown key":    {[]part{user}, op{Key: "no_such", Value: 1}, wire.CodeInvalidRequest},
		"negative":       {[]part{user}, op{Key: rate.Key, Value: -1}, wire.CodeInvalidRequest},
		"ip with user":   {[]part{user, {EntityType: "ip", EntityName: ptr("127.0.0.1")}}, op{Key: "connection_creation_rate", Value: 1}, wire.CodeInvalidRequest},
	} {
		if got := alter(1, false, bad.parts, bad.op); got != bad.want {
			t.Errorf("%s: %v, want %v", what, got, bad.want)
		}
	}
	if got := alter(1, true, []part{user}, rate); got != wire.CodeNone {
		t.Error(got)
	}
	type component = wire.DescribeClientQuotasRequestComponent
	list := func(version int16, strict bool, by ...component) string {
		var resp wire.DescribeClientQuotasResponse
		c.call(version, &wire.DescribeClientQuotasRequest{Components: by, Strict: strict}, &resp)
		if resp.ErrorCode != wire.CodeNone {
			if resp.Entries != nil || resp.ErrorMessage == nil {
				t.Errorf("%+v", resp)
			}
			return fmt.Sprint(resp.ErrorCode)
		}
		if resp.Entries == nil {
			t.Error("null entries without an error")
		}
		var s strings.Builder
		for _, e := range resp.Entries {
			for _, p := range e.Entity {
				name := "(default)"
				if p.EntityName != nil {
					name = *p.EntityName
				}
				s.WriteString(p.EntityType + "=" + name + " ")
			}
			for _, v := range e.Values {
				fmt.Fprintf(&s, "%s:%g ", v.Key, v.Value)
			}
			s.WriteString("; ")
		}
		return s.String()
	}
	if got := list(1, false); got != "" {
		t.Errorf("%q although nothing was set", got)
	}
	for v := int16(0); v <= 1; v++ {
		if a, b := alter(v, false, []part{user}, rate, op{Key: "request_percentage", Value: 12.5}), alter(v, false, []part{user, any}, rate); a != 0 || b != 0 {
			t.Fatal(a, b)
		}
	}
	for range 2 {
		for v := int16(0); v <= 1; v++ {
			for _, x := range []struct {
				strict bool
				by     []component
				want   string
			}{
				{false, nil, "user=u producer_byte_rate:1000 request_percentage:12.5 ; user=u client-id=(default) producer_byte_rate:1000 ; "},
				{true, []component{{EntityType: "user", Match: ptr("u")}}, "user=u producer_byte_rate:1000 request_percentage:12.5 ; "},
				{false, []component{{EntityType: "client-id", MatchType: 1}}, "user=u client-id=(default) producer_byte_rate:1000 ; "},
				{false, []component{{EntityType: "user", Match: ptr("v")}}, ""},
				{false, []component{{EntityType: "planet", MatchType: 2}}, "UNSUPPORTED_VERSION"},
				{false, []component{{EntityType: "user", MatchType: 7}}, "INVALID_REQUEST"},
			} {
				if got := list(v, x.strict, x.by...); got != x.want {
					t.Errorf("version %d, %+v: %q, want %q", v, x.by, got, x.want)
				}
			}
		}
		b.stop()
		b = start(t, dir)
		c = dial(t, b.addr)
	}
	if got := alter(1, false, []part{user, any}, op{Key: rate.Key, Remove: true}); got != 0 || strings.Contains(list(1, false), "default") {
		t.Errorf("%v, %q", got, list(1, false))
	}
}

func TestScramUsers(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	c := dial(t, b.addr)
	type set = wire.AlterUserSCRAMCredentialsRequestUpsertion
	type del = wire.AlterUserSCRAMCredentialsRequestDeletion
	alter := func(sets []set, dels ...del) string {
		var resp wire.AlterUserSCRAMCredentialsResponse
		c.call(0, &wire.AlterUserSCRAMCredentialsRequest{Upsertions: sets, Deletions: dels}, &resp)
		var s strings.Builder
		for _, r := range resp.Results {
			fmt.Fprintf(&s, "%s:%v ", r.User, r.ErrorCode)
		}
		return s.String()
	}
	list := func(users ...string) string {
		req := new(wire.DescribeUserSCRAMCredentialsRequest)
		for _, u := range users {
			req.Users = append(req.Users, wire.DescribeUserSCRAMCredentialsRequestUser{Name: u})
		}
		var resp wire.DescribeUserSCRAMCredentialsResponse
		c.call(0, req, &resp)
		var s strings.Builder
		for _, r := range resp.Results {
			fmt.Fprintf(&s, "%s:%v", r.User, r.ErrorCode)
			for _, x := range r.CredentialInfos {
				fmt.Fprintf(&s, " %d*%d", x.Mechanism, x.Iterations)
			}
			s.WriteString("; ")
		}
		return s.String()
	}
	good := func(user string, mechanism int8) set {
		size := map[int8]int{1: 32, 2: 64}[mechanism]
		return set{Name: user, Mechanism: mechanism, Iterations: 4096, Salt: []byte("0123456789abcdef"), SaltedPassword: make([]byte, size)}
	}
	weak := good("w", 1)
	weak.Iterations = 10
	if got, want := alter([]set{good("a", 1), good("b", 2), weak, good("x", 9), good("d", 1), good("d", 1)}, del{Name: "n", Mechanism: 1}),
		"a:NONE b:NONE d:DUPLICATE_RESOURCE n:RESOURCE_NOT_FOUND w:UNACCEPTABLE_CREDENTIAL x:UNSUPPORTED_SASL_MECHANISM "; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for range 2 {
		if got, want := list(), "a:NONE 1*4096; b:NONE 2*4096; "; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if got, want := list("a", "n"), "a:NONE 1*4096; n:RESOURCE_NOT_FOUND; "; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		b.stop()
		b = start(t, dir)
		c = dial(t, b.addr)
	}
	if got := list("a", "a"); got != "a:DUPLICATE_RESOURCE; " {
		t.Errorf("%q", got)
	}
	if got := alter(nil, del{Name: "a", Mechanism: 1}); got != "a:NONE " || list() != "b:NONE 2*4096; " {
		t.Errorf("%q, %q", got, list())
	}
	if strings.Contains(b.logs.String(), "0123456789abcdef") {
		t.Error("a salt is in the log")
	}
}

// TestWithoutSecurity: requests about it are answered, with what tools take for "there is none".
func TestWithoutSecurity(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	for v := int16(1); v <= 3; v++ {
		var described wire.DescribeACLsResponse
		req := new(wire.DescribeACLsRequest)
		req.Default()
		req.ResourceType, req.Operation, req.PermissionType = wire.ACLResourceAny, wire.ACLOperationAny, wire.ACLPermissionAny
		c.call(v, req, &described)
		var created wire.CreateACLsResponse
		creation := wire.CreateACLsRequestCreation{ResourceType: 2, ResourceName: "t", PatternType: 3, Principal: "User:u", Host: "*", Operation: 3, PermissionType: 3}
		c.call(v, &wire.CreateACLsRequest{Creations: []wire.CreateACLsRequestCreation{creation, creation}}, &created)
		var deleted wire.DeleteACLsResponse
		c.call(v, &wire.DeleteACLsRequest{Filters: []wire.DeleteACLsRequestFilter{{ResourceType: 1, PatternType: 1, Operation: 1, PermissionType: 1}}}, &deleted)
		if described.ErrorCode != wire.CodeSecurityDisabled || described.ErrorMessage == nil || len(created.Results) != 2 || created.Results[1].ErrorCode != wire.CodeSecurityDisabled ||
			len(deleted.Results) != 1 || deleted.Results[0].ErrorCode != wire.CodeSecurityDisabled {
			t.Errorf("version %d: %+v; %+v; %+v", v, described, created, deleted)
		}
	}
	for v := int16(0); v <= 1; v++ {
		var resp wire.SASLHandshakeResponse
		if c.call(v, &wire.SASLHandshakeRequest{Mechanism: []byte("PLAIN")}, &resp); resp.ErrorCode != wire.CodeIllegalSaslState || len(resp.Mechanisms) > 0 {
			t.Errorf("version %d: %+v", v, resp)
		}
	}
	for v := int16(0); v <= 2; v++ {
		var resp wire.SASLAuthenticateResponse
		if c.call(v, &wire.SASLAuthenticateRequest{AuthBytes: []byte("\x00u\x00p")}, &resp); resp.ErrorCode != wire.CodeIllegalSaslState || resp.ErrorMessage == nil {
			t.Errorf("version %d: %+v", v, resp)
		}
	}
	c.create("t", 1) // the connection goes on
}
