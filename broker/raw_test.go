package broker_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/streambus/streambus/broker/internal/api"
	"github.com/streambus/streambus/wire"
)

// rawConn is a bare connection that speaks frames.
type rawConn struct {
	net.Conn
	t    *testing.T
	next int32
}

func dial(t *testing.T, addr string) *rawConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &rawConn{Conn: c, t: t}
}

// send writes a request and gives its correlation id.
func (c *rawConn) send(version int16, m wire.Message) int32 {
	c.t.Helper()
	c.next++
	h := wire.RequestHeader{Key: m.Key(), Version: version, CorrelationID: c.next, ClientID: "raw", HasClientID: true}
	c.bytes(wire.AppendRequestFrame(nil, h, m))
	return c.next
}

func (c *rawConn) bytes(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// recv reads the response to a request of that key, version and correlation id.
func (c *rawConn) recv(version int16, corr int32, m wire.Message) {
	c.t.Helper()
	frame, err := wire.ReadFrame(c, 64<<20, nil)
	if err != nil {
		c.t.Fatalf("%v %d: %v", m.Key(), version, err)
	}
	got, body, err := wire.DecodeResponseHeader(frame, m.Key(), version)
	if err != nil || got != corr {
		c.t.Fatalf("%v %d: response %d, want %d; %v", m.Key(), version, got, corr, err)
	}
	if err := wire.Decode(m, version, body); err != nil {
		c.t.Fatal(err)
	}
}

func (c *rawConn) call(version int16, req, resp wire.Message) {
	c.t.Helper()
	c.recv(version, c.send(version, req), resp)
}

// closed waits for the broker to hang up without a word.
func (c *rawConn) closed() {
	c.t.Helper()
	b, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) || len(b) > 0 {
		c.t.Errorf("the broker answers %x, %v; want it to close", b, err)
	}
}

func (c *rawConn) create(topic string, partitions int32) {
	c.t.Helper()
	var resp wire.CreateTopicsResponse
	c.call(5, &wire.CreateTopicsRequest{Topics: []wire.CreateTopicsRequestTopic{{Name: topic, NumPartitions: partitions, ReplicationFactor: 1}}}, &resp)
	if e := resp.Topics[0].ErrorCode; e != wire.CodeNone {
		c.t.Fatal(e)
	}
}

func produceRequest(topic string, partition int32, records []byte) *wire.ProduceRequest {
	return &wire.ProduceRequest{Acks: -1, TimeoutMs: 1000, Topics: []wire.ProduceRequestTopic{
		{Name: []byte(topic), Partitions: []wire.ProduceRequestPartition{{PartitionIndex: partition, Records: records}}}}}
}

func fetchRequest(topic string, partition int32, offset int64) *wire.FetchRequest {
	r := new(wire.FetchRequest)
	r.Default()
	r.MinBytes, r.MaxWaitMs = 1, 10_000
	p := wire.FetchRequestPartition{}
	p.Default()
	p.PartitionIndex, p.FetchOffset, p.PartitionMaxBytes = partition, offset, 1<<20
	r.Topics = []wire.FetchRequestTopic{{Name: []byte(topic), Partitions: []wire.FetchRequestPartition{p}}}
	return r
}

func hex(n int32, rest ...byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(n)), rest...)
}

func TestBadInputClosesThatConnectionOnly(t *testing.T) {
	header := []byte{0, 3, 0, 1, 0, 0, 0, 9, 0, 1, 'c'} // Metadata 1
	cases := map[string]struct {
		send []byte
		half bool   // the client hangs up in the middle
		says string // in the broker's log
	}{
		"no header at all":       {hex(0), false, "malformed"},
		"half a header":          {hex(4, 0, 3, 0, 1), false, "malformed"},
		"negative size":          {hex(-1), false, "bad frame"},
		"size above the limit":   {hex(1048589), false, "bad frame"},
		"another protocol":       {[]byte("SSH-2.0-OpenSSH_9.2\r\n"), false, "an SSH client"},
		"unknown key":            {hex(10, 0, 99, 0, 0, 0, 0, 0, 1, 0, 0), false, "unknown API key"},
		"negative key":           {hex(10, 255, 255, 0, 0, 0, 0, 0, 1, 0, 0), false, "unknown API key"},
		"unknown version":        {hex(10, 0, 3, 0, 99, 0, 0, 0, 1, 0, 0), false, "unsupported version"},
		"produce 0":              {hex(10, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0), false, "unsupported version"},
		"client id too long":     {hex(10, 0, 3, 0, 1, 0, 0, 0, 1, 127, 255), false, "malformed"},
		"lying array length":     {hex(15, append(bytes.Clone(header), 127, 255, 255, 255)...), false, "Metadata 1"},
		"empty body":             {hex(11, header...), false, "Metadata 1"},
		"half a prefix and gone": {[]byte{0, 0}, true, ""},
		"half a frame and gone":  {hex(1000, header...), true, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := start(t, t.TempDir(), "socket.request.max.bytes=1048588") // one each: such lines are rationed
			good := dial(t, b.addr)
			good.create("t", 1)
			before := len(b.logs.String())
			bad := dial(t, b.addr)
			bad.bytes(c.send)
			if c.half {
				if err := bad.Conn.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			bad.closed()
			logged := b.logs.String()[before:]
			if !strings.Contains(logged, c.says) || c.says != "" && strings.Count(logged, "\n") != 1 {
				t.Errorf("logged, want one line with %q:\n%s", c.says, logged)
			}
			var resp wire.MetadataResponse
			if good.call(1, &wire.MetadataRequest{}, &resp); len(resp.Topics) == 0 {
				t.Error("another connection gets an empty answer")
			}
		})
	}
}

func TestAPIVersionsOfAnUnknownVersion(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	c.bytes(hex(10, 0, 18, 0, 99, 0, 0, 0, 42, 0, 0))
	var resp wire.APIVersionsResponse
	c.recv(0, 42, &resp)
	if resp.ErrorCode != wire.CodeUnsupportedVersion || len(resp.APIKeys) != len(api.Served()) {
		t.Errorf("%+v", resp)
	}
	c.call(3, &wire.APIVersionsRequest{ClientSoftwareName: []byte("raw"), ClientSoftwareVersion: []byte("1.0")}, &resp) // the connection goes on
	levels := map[string]int16{}
	for _, f := range resp.FinalizedFeatures {
		levels[string(f.Name)] = f.MaxVersionLevel
	}
	if resp.ErrorCode != wire.CodeNone || levels["metadata.version"] != 25 || levels["transaction.version"] != 2 || levels["group.version"] != 1 {
		t.Errorf("%+v", resp)
	}
	for _, f := range resp.SupportedFeatures {
		if f.MinVersion == 0 {
			t.Errorf("KAFKA-17011: feature %s with minimum 0", f.Name)
		}
	}
	for name, bad := range map[string][]byte{"no name": {}, "a space": []byte("a b")} {
		if c.call(3, &wire.APIVersionsRequest{ClientSoftwareName: bad, ClientSoftwareVersion: []byte("1")}, &resp); resp.ErrorCode != wire.CodeInvalidRequest {
			t.Errorf("%s: %v", name, resp.ErrorCode)
		}
	}
}

func TestResponsesInOrderAndNoneWaitsForAnother(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	c.create("t", 1)
	began := time.Now()
	f := c.send(11, fetchRequest("t", 0, 0)) // has nothing yet
	p := c.send(9, produceRequest("t", 0, built(-1, 0, 0, "v")))
	var sent []int32
	for range 40 {
		sent = append(sent, c.send(1, &wire.MetadataRequest{}))
	}
	var fetched wire.FetchResponse
	c.recv(11, f, &fetched)
	if time.Since(began) > 5*time.Second {
		t.Error("the fetch waited for its time to be up: the produce behind it was not begun")
	}
	if got := fetched.Topics[0].Partitions[0]; got.HighWatermark != 1 || len(got.Records) == 0 {
		t.Errorf("%+v", got)
	}
	var produced wire.ProduceResponse
	c.recv(9, p, &produced)
	var m wire.MetadataResponse
	for _, corr := range sent {
		c.recv(1, corr, &m)
	}
}

func TestAcksThatAreNone(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	c.create("t", 1)
	req := produceRequest("t", 0, built(-1, 0, 0, "v"))
	req.Acks = 2
	var resp wire.ProduceResponse
	if c.call(9, req, &resp); resp.Topics[0].Partitions[0].ErrorCode != wire.CodeInvalidRequiredAcks {
		t.Errorf("acks 2: %+v", resp)
	}
	req.Acks = 0
	c.send(9, req) // no answer
	var m wire.MetadataResponse
	c.call(1, &wire.MetadataRequest{}, &m)
	bad := produceRequest("nowhere", 0, built(-1, 0, 0, "v"))
	bad.Acks = 0
	c.send(9, bad)
	c.closed()
}

func TestFetchRules(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	c.create("t", 2)
	var produced wire.ProduceResponse
	one := built(-1, 0, 0, strings.Repeat("x", 1000))
	for i := range int32(6) {
		c.call(9, produceRequest("t", i%2, bytes.Clone(one)), &produced)
	}
	var resp wire.FetchResponse
	part := func(i int) wire.FetchResponsePartition { return resp.Topics[0].Partitions[i] }
	both := func(change func(r *wire.FetchRequest)) {
		t.Helper()
		r := fetchRequest("t", 0, 0)
		r.Topics[0].Partitions = append(r.Topics[0].Partitions, r.Topics[0].Partitions[0])
		r.Topics[0].Partitions[1].PartitionIndex = 1
		change(r)
		resp.Reset()
		c.call(11, r, &resp)
	}
	both(func(*wire.FetchRequest) {})
	if len(part(0).Records) != 3*len(one) || len(part(1).Records) != 3*len(one) || part(0).HighWatermark != 3 || part(0).LastStableOffset != 3 || resp.SessionID != 0 {
		t.Errorf("all: %+v", resp)
	}
	both(func(r *wire.FetchRequest) { r.MaxBytes = 1 })
	if len(part(0).Records) != len(one) || len(part(1).Records) != 0 {
		t.Errorf("max bytes 1: %d and %d bytes, want one batch of %d and nothing", len(part(0).Records), len(part(1).Records), len(one))
	}
	both(func(r *wire.FetchRequest) { r.MaxBytes = int32(4 * len(one)) })
	if len(part(0).Records) != 3*len(one) || len(part(1).Records) != len(one) {
		t.Errorf("max bytes for four: %d and %d", len(part(0).Records), len(part(1).Records))
	}
	both(func(r *wire.FetchRequest) {
		r.Topics[0].Partitions[0].PartitionMaxBytes = 1
		r.Topics[0].Partitions[1].PartitionMaxBytes = 1
	})
	if len(part(0).Records) != len(one) || len(part(1).Records) != 0 {
		t.Errorf("partition max bytes 1: %d and %d", len(part(0).Records), len(part(1).Records))
	}
	began := time.Now()
	both(func(r *wire.FetchRequest) { r.MinBytes, r.MaxWaitMs = 1<<20, 150 })
	if waited := time.Since(began); waited < 150*time.Millisecond || waited > 5*time.Second || len(part(0).Records) == 0 {
		t.Errorf("min bytes never reached: %v, %d bytes", waited, len(part(0).Records))
	}
	began = time.Now()
	for name, c := range map[string]struct {
		change func(p *wire.FetchRequestPartition)
		want   wire.ErrorCode
	}{
		"beyond the end":    {func(p *wire.FetchRequestPartition) { p.FetchOffset = 4 }, wire.CodeOffsetOutOfRange},
		"before the start":  {func(p *wire.FetchRequestPartition) { p.FetchOffset = -1 }, wire.CodeOffsetOutOfRange},
		"no such partition": {func(p *wire.FetchRequestPartition) { p.PartitionIndex = 2 }, wire.CodeUnknownTopicOrPartition},
		"newer epoch":       {func(p *wire.FetchRequestPartition) { p.CurrentLeaderEpoch = 1 }, wire.CodeUnknownLeaderEpoch},
	} {
		both(func(r *wire.FetchRequest) { c.change(&r.Topics[0].Partitions[1]); r.MinBytes = 1 << 20 })
		if part(1).ErrorCode != c.want || part(0).ErrorCode != wire.CodeNone {
			t.Errorf("%s: %v, want %v", name, part(1).ErrorCode, c.want)
		}
	}
	both(func(r *wire.FetchRequest) { r.ReplicaID = 1 })
	if resp.ErrorCode != wire.CodeClusterAuthorizationFailed {
		t.Errorf("as a follower: %v", resp.ErrorCode)
	}
	both(func(r *wire.FetchRequest) { r.SessionID, r.SessionEpoch = 7, 1 })
	if resp.ErrorCode != wire.CodeFetchSessionIDNotFound {
		t.Errorf("with a session: %v", resp.ErrorCode)
	}
	if time.Since(began) > 5*time.Second {
		t.Error("errors were held back until the wait was over")
	}
}

func TestFencedLeaderEpoch(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	dial(t, b.addr).create("t", 1)
	b.stop()
	b = start(t, dir) // a start is a new epoch
	r := fetchRequest("t", 0, 0)
	r.Topics[0].Partitions[0].CurrentLeaderEpoch = 0
	var resp wire.FetchResponse
	if dial(t, b.addr).call(11, r, &resp); resp.Topics[0].Partitions[0].ErrorCode != wire.CodeFencedLeaderEpoch {
		t.Errorf("%+v", resp)
	}
}

func TestJoinNeedsAMemberIDSinceVersion4(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	join := &wire.JoinGroupRequest{GroupID: "g", SessionTimeoutMs: 10_000, RebalanceTimeoutMs: 10_000, ProtocolType: "sr",
		Protocols: []wire.JoinGroupRequestProtocol{{Name: "v0", Metadata: []byte("me")}}}
	var resp wire.JoinGroupResponse
	if c.call(4, join, &resp); resp.ErrorCode != wire.CodeMemberIDRequired || !strings.HasPrefix(resp.MemberID, "raw-") {
		t.Fatalf("v4: %+v", resp)
	}
	join.MemberID = resp.MemberID
	if c.call(4, join, &resp); resp.ErrorCode != wire.CodeNone || resp.Leader != join.MemberID || resp.GenerationID != 1 || string(resp.Members[0].Metadata) != "me" {
		t.Fatalf("v4 with the id: %+v", resp)
	}
	join.GroupID, join.MemberID = "g3", ""
	if c.call(3, join, &resp); resp.ErrorCode != wire.CodeNone || resp.MemberID == "" {
		t.Errorf("v3: %+v", resp)
	}
	join.GroupID = ""
	if c.call(4, join, &resp); resp.ErrorCode != wire.CodeInvalidGroupID {
		t.Errorf("no group: %+v", resp)
	}
	var beat wire.HeartbeatResponse
	if c.call(3, &wire.HeartbeatRequest{GroupID: "nobody", MemberID: "x"}, &beat); beat.ErrorCode != wire.CodeUnknownMemberID {
		t.Errorf("heartbeat to no group: %+v", beat)
	}
	var left wire.LeaveGroupResponse
	if c.call(1, &wire.LeaveGroupRequest{GroupID: "g", MemberID: "x"}, &left); left.ErrorCode != wire.CodeUnknownMemberID {
		t.Errorf("leave 1 of a stranger: %+v", left)
	}
	if c.call(4, &wire.LeaveGroupRequest{GroupID: "g", Members: []wire.LeaveGroupRequestMember{{MemberID: "x"}}}, &left); left.ErrorCode != wire.CodeNone || left.Members[0].ErrorCode != wire.CodeUnknownMemberID {
		t.Errorf("leave 4 of a stranger: %+v", left)
	}
}

func TestParkedRequestsAreAnsweredWhenTheBrokerGoesDown(t *testing.T) {
	b := start(t, t.TempDir(), "group.initial.rebalance.delay.ms=60000")
	c := dial(t, b.addr)
	c.create("t", 1)
	f := c.send(11, fetchRequest("t", 0, 0))
	j := c.send(0, &wire.JoinGroupRequest{GroupID: "g", SessionTimeoutMs: 60_000, ProtocolType: "x", Protocols: []wire.JoinGroupRequestProtocol{{Name: "p"}}})
	simple := dial(t, b.addr) // may commit until the join is begun, and with it the fetch before it
	commit := new(wire.OffsetCommitRequest)
	commit.Default()
	commit.GroupID, commit.Topics = "g", []wire.OffsetCommitRequestTopic{{Name: "t", Partitions: []wire.OffsetCommitRequestPartition{{}}}}
	for committed := new(wire.OffsetCommitResponse); ; {
		if simple.call(8, commit, committed); committed.Topics[0].Partitions[0].ErrorCode != wire.CodeNone {
			break
		}
	}
	began := time.Now()
	b.stop()
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("going down took %v", d)
	}
	var fetched wire.FetchResponse
	c.recv(11, f, &fetched)
	var joined wire.JoinGroupResponse
	if c.recv(0, j, &joined); joined.ErrorCode != wire.CodeCoordinatorNotAvailable {
		t.Errorf("%+v", joined)
	}
	c.closed()
}

func TestOffsetCommitRules(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	c.create("t", 1)
	commit := func(version int16, change func(*wire.OffsetCommitRequest)) wire.ErrorCode {
		t.Helper()
		req := new(wire.OffsetCommitRequest)
		req.Default()
		req.GroupID = "g"
		req.Topics = []wire.OffsetCommitRequestTopic{{Name: "t", Partitions: []wire.OffsetCommitRequestPartition{{CommittedOffset: 5, CommittedLeaderEpoch: -1}}}}
		change(req)
		var resp wire.OffsetCommitResponse
		c.call(version, req, &resp)
		return resp.Topics[0].Partitions[0].ErrorCode
	}
	long := strings.Repeat("m", 4097)
	for name, c := range map[string]struct {
		change func(*wire.OffsetCommitRequest)
		want   wire.ErrorCode
	}{
		"simple consumer":       {func(*wire.OffsetCommitRequest) {}, wire.CodeNone},
		"no such generation":    {func(r *wire.OffsetCommitRequest) { r.GenerationID, r.MemberID = 3, "m" }, wire.CodeIllegalGeneration},
		"no such topic":         {func(r *wire.OffsetCommitRequest) { r.Topics[0].Name = "u" }, wire.CodeUnknownTopicOrPartition},
		"no such partition":     {func(r *wire.OffsetCommitRequest) { r.Topics[0].Partitions[0].PartitionIndex = 1 }, wire.CodeUnknownTopicOrPartition},
		"metadata is too large": {func(r *wire.OffsetCommitRequest) { r.Topics[0].Partitions[0].CommittedMetadata = &long }, wire.CodeOffsetMetadataTooLarge},
	} {
		for _, version := range []int16{2, 5, 6, 8} {
			if got := commit(version, c.change); got != c.want {
				t.Errorf("%s, version %d: %v, want %v", name, version, got, c.want)
			}
		}
	}
	var got wire.OffsetFetchResponse
	c.call(8, &wire.OffsetFetchRequest{Groups: []wire.OffsetFetchRequestGroup{
		{GroupID: "g"}, {GroupID: "nobody"}, {GroupID: "nobody", Topics: []wire.OffsetFetchRequestTopic{{Name: "t", PartitionIndexes: []int32{0}}}}}}, &got)
	if p := got.Groups[0].Topics[0].Partitions[0]; p.CommittedOffset != 5 || p.ErrorCode != 0 {
		t.Errorf("g: %+v", got)
	}
	if len(got.Groups[1].Topics) != 0 || got.Groups[1].ErrorCode != 0 {
		t.Errorf("all of nobody: %+v", got.Groups[1])
	}
	if p := got.Groups[2].Topics[0].Partitions[0]; p.CommittedOffset != -1 || p.ErrorCode != 0 || p.Metadata == nil || *p.Metadata != "" {
		t.Errorf("one of nobody: %+v", p)
	}
}

func TestMetadataVersions(t *testing.T) {
	b := start(t, t.TempDir(), "auto.create.topics.enable=true")
	c := dial(t, b.addr)
	c.create("t", 2)
	var resp wire.MetadataResponse
	ask := func(version int16, req *wire.MetadataRequest) []wire.MetadataResponseTopic {
		t.Helper()
		c.call(version, req, &resp)
		if len(resp.Brokers) != 1 || version >= 2 && (resp.ClusterID == nil || len(*resp.ClusterID) != 22) {
			t.Errorf("version %d: %+v", version, resp)
		}
		return resp.Topics
	}
	name := func(s string) *string { return &s }
	for v := int16(0); v <= 13; v++ {
		if got := ask(v, &wire.MetadataRequest{}); len(got) != 1 || len(got[0].Partitions) != 2 || got[0].Partitions[1].LeaderID != 1 {
			t.Errorf("version %d, all: %+v", v, got)
		}
		if v >= 1 {
			if got := ask(v, &wire.MetadataRequest{Topics: []wire.MetadataRequestTopic{}}); len(got) != 0 {
				t.Errorf("version %d, none: %+v", v, got)
			}
		}
		got := ask(v, &wire.MetadataRequest{Topics: []wire.MetadataRequestTopic{{Name: name("t")}, {Name: name("bad name")}}, AllowAutoTopicCreation: false})
		if got[0].ErrorCode != 0 || got[1].ErrorCode != wire.CodeInvalidTopicException {
			t.Errorf("version %d, by name: %+v", v, got)
		}
	}
	id := ask(12, &wire.MetadataRequest{})[0].TopicID
	got := ask(12, &wire.MetadataRequest{Topics: []wire.MetadataRequestTopic{{TopicID: id}, {TopicID: wire.UUID{1}}}, IncludeTopicAuthorizedOperations: true})
	if *got[0].Name != "t" || got[0].TopicAuthorizedOperations != 3576 || got[1].ErrorCode != wire.CodeUnknownTopicID {
		t.Errorf("by id: %+v", got)
	}
	got = ask(13, &wire.MetadataRequest{Topics: []wire.MetadataRequestTopic{{TopicID: id, Name: name("")}, {TopicID: wire.UUID{1}, Name: name("new")}}, AllowAutoTopicCreation: true})
	if *got[0].Name != "t" || got[1].ErrorCode != wire.CodeUnknownTopicID || got[1].Name != nil {
		t.Errorf("by id, next to a name that counts for nothing: %+v", got)
	}
	if got := ask(4, &wire.MetadataRequest{Topics: []wire.MetadataRequestTopic{{Name: name("new")}}, AllowAutoTopicCreation: false}); got[0].ErrorCode != wire.CodeUnknownTopicOrPartition {
		t.Errorf("new, not to be made: %+v", got)
	}
	if got := ask(4, &wire.MetadataRequest{Topics: []wire.MetadataRequestTopic{{Name: name("new")}}, AllowAutoTopicCreation: true}); got[0].ErrorCode != 0 || len(got[0].Partitions) != 1 {
		t.Errorf("new, to be made: %+v", got)
	}
}

func TestFindCoordinatorVersions(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	for v := int16(0); v <= 6; v++ {
		var resp wire.FindCoordinatorResponse
		c.call(v, &wire.FindCoordinatorRequest{CoordinatorKey: "g", CoordinatorKeys: []string{"g", ""}}, &resp)
		switch {
		case v < 4 && (resp.ErrorCode != 0 || resp.NodeID != 1 || resp.Host != "127.0.0.1"):
			t.Errorf("version %d: %+v", v, resp)
		case v >= 4 && (resp.Coordinators[0].ErrorCode != 0 || resp.Coordinators[0].Port == 0 || resp.Coordinators[1].ErrorCode != wire.CodeInvalidGroupID):
			t.Errorf("version %d: %+v", v, resp)
		}
	}
}

// A thousand connections that claim a hundred mebibytes each must not be believed.
func TestClaimedSizesTakeNoMemory(t *testing.T) {
	p := spawnBroker(t, t.TempDir(), "PLAINTEXT://127.0.0.1:0")
	p.waitReady()
	before := rssOf(t, p.cmd.Process.Pid)
	claim := hex(100<<20, make([]byte, 100)...)
	for range 1000 {
		dial(t, p.addr).bytes(claim)
	}
	var m wire.MetadataResponse
	dial(t, p.addr).call(1, &wire.MetadataRequest{}, &m)
	limit := 64 << 20
	if raceEnabled {
		limit *= 4
	}
	if grown := rssOf(t, p.cmd.Process.Pid) - before; grown > limit {
		t.Errorf("the broker has grown by %d MiB", grown>>20)
	}
}

func rssOf(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile("/proc/" + itoa(pid) + "/statm")
	if err != nil {
		t.Fatal(err)
	}
	return atoi(strings.Fields(string(b))[1]) * os.Getpagesize()
}

// librdkafka 2.16 asks for the metadata of all topics with a null of four bytes in place of one.
func TestBytesBehindARequestAreIgnored(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	c.create("t", 1)
	body := []byte{0, 0, 0, 0, 1, 0, 0}
	frame := append([]byte{0, 3, 0, 13, 0, 0, 0, 42, 0, 1, 'c', 0}, body...)
	c.bytes(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
	var resp wire.MetadataResponse
	if c.recv(13, 42, &resp); len(resp.Topics) != 1 {
		t.Errorf("%+v", resp)
	}
}
