package api

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/streambus/streambus/wire"
)

var rewrite = flag.Bool("rewrite", false, "write docs/API.md anew")

// TestServed: what is advertised is what docs/API.md says, so that a change of it is seen.
func TestServed(t *testing.T) {
	const page = "../../../docs/API.md"
	var b strings.Builder
	b.WriteString("# The Kafka APIs that StreamBus serves\n\nMade from the broker's own table by `make docs`; it is what ApiVersions answers.\n\n| key | name | versions |\n|---:|---|---|\n")
	for _, r := range Served() {
		note := ""
		switch r.Key {
		case wire.KeyProduce:
			note = " (0 to 2 are advertised for librdkafka's sake, and refused)"
		case wire.KeyDescribeACLs, wire.KeyCreateACLs, wire.KeyDeleteACLs:
			note = " (answered with SECURITY_DISABLED)"
		case wire.KeySASLHandshake, wire.KeySASLAuthenticate:
			note = " (answered with ILLEGAL_SASL_STATE)"
		}
		fmt.Fprintf(&b, "| %d | %v | %d to %d%s |\n", int16(r.Key), r.Key, r.Min, r.Max, note)
	}
	if *rewrite {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(page); err != nil || string(got) != b.String() {
		t.Errorf("%s is not what is served (%v): make docs", page, err)
	}
	Served()[0].Max = 99
	if Served()[0].Max == 99 {
		t.Error("callers can change what is served")
	}
}

// TestTableLiesWithinTheCodecs: every advertised key has a handler, and every advertised version but Produce 0 to 2 can be
// decoded and encoded.
func TestTableLiesWithinTheCodecs(t *testing.T) {
	for _, r := range Served() {
		if table[r.Key].handle == nil {
			t.Errorf("%v is advertised and has no handler", r.Key)
		}
		for v := r.Min; v <= r.Max; v++ {
			err := wire.Supported(r.Key, v)
			if refused := r.Key == wire.KeyProduce && v < 3; (err != nil) != refused {
				t.Errorf("%v %d is advertised: %v", r.Key, v, err)
			}
		}
	}
}

// TestOnlyTheTableIsServed: what wire could decode closes the connection all the same unless the table has it. ApiVersions alone
// is answered, in version 0 with error 35 and the advertised ranges, so that the client can try again.
func TestOnlyTheTableIsServed(t *testing.T) {
	f := newFixture(t)
	for k := wire.Key(-1); k < 100; k++ {
		advertised, known := table[k]
		for v := int16(-1); v < 30; v++ {
			if known && v >= advertised.min && v <= advertised.max {
				continue
			}
			header := []byte{byte(uint16(k) >> 8), byte(k), byte(uint16(v) >> 8), byte(v), 0, 0, 0, 7, 0, 0, 0}
			out, ok := f.do(t.Context(), header)
			if k != wire.KeyAPIVersions {
				if ok {
					t.Errorf("%v %d is answered", k, v)
				}
				continue
			}
			var resp wire.APIVersionsResponse
			if !ok || wire.Decode(&resp, 0, out[wire.SizePrefixBytes+4:]) != nil || resp.ErrorCode != wire.CodeUnsupportedVersion ||
				!slices.Equal(resp.APIKeys, Served()) {
				t.Errorf("ApiVersions %d: %x", v, out)
			}
		}
	}
}

// TestFind: the classes of refusals, by which the session and its tests tell them apart.
func TestFind(t *testing.T) {
	for _, c := range []struct {
		key     wire.Key
		version int16
		want    error
	}{
		{wire.KeyFetch, 12, nil}, {wire.KeyFetch, 18, wire.ErrUnsupportedVersion}, {wire.KeyFetch, 3, wire.ErrUnsupportedVersion},
		{wire.KeyAPIVersions, 5, wire.ErrUnsupportedVersion}, {99, 0, wire.ErrUnknownKey},
	} {
		if r, err := find(c.key, c.version); !errors.Is(err, c.want) || (r.handle == nil) != (c.want != nil) {
			t.Errorf("%v %d: %v", c.key, c.version, err)
		}
	}
}

// TestProbedVersions is A5: the exact versions that librdkafka up to 2.10
// probes for (src/rdkafka_feature.c), and the Metadata 0 of old Python clients,
// lie within what is advertised.
func TestProbedVersions(t *testing.T) {
	probes := []struct {
		key      wire.Key
		versions []int16
		lost     string
	}{
		{wire.KeyProduce, []int16{0, 3, 7}, "compression, idempotence, zstd"},
		{wire.KeyFetch, []int16{4, 10}, "message format 2, zstd"},
		{wire.KeyListOffsets, []int16{1}, "offsets by timestamp"},
		{wire.KeyMetadata, []int16{0, 1}, "kafka-python and aiokafka, KAFKA-18648"},
		{wire.KeyOffsetFetch, []int16{1}, "broker-based offsets"},
		{wire.KeyFindCoordinator, []int16{0}, "LZ4, groups"},
		{wire.KeyJoinGroup, []int16{0}, "groups, KAFKA-19444"},
		{wire.KeySyncGroup, []int16{0}, "groups"},
		{wire.KeyHeartbeat, []int16{0}, "groups"},
		{wire.KeyLeaveGroup, []int16{0}, "groups"},
		{wire.KeyInitProducerID, []int16{0}, "idempotence"},
		{wire.KeyAPIVersions, []int16{0}, "everything"},
	}
	served := Served()
	for _, p := range probes {
		i := slices.IndexFunc(served, func(r wire.Range) bool { return r.Key == p.key })
		if i < 0 {
			t.Errorf("%s is not advertised: %s lost", p.key, p.lost)
			continue
		}
		for _, v := range p.versions {
			if v < served[i].Min || v > served[i].Max {
				t.Errorf("%s %d is not in %+v: %s lost", p.key, v, served[i], p.lost)
			}
		}
	}
	// OffsetCommit 1 to 2 must overlap what is served.
	if r := table[wire.KeyOffsetCommit]; r.min > 2 || r.max < 1 {
		t.Errorf("OffsetCommit %d to %d does not overlap 1 to 2", r.min, r.max)
	}
}
