package broker_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/streambus/streambus/broker"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/wire"
)

// topicID looks up the id of a topic.
func (c *rawConn) topicID(name string) wire.UUID {
	c.t.Helper()
	var resp wire.MetadataResponse
	c.call(12, &wire.MetadataRequest{Topics: []wire.MetadataRequestTopic{{Name: &name}}}, &resp)
	return resp.Topics[0].TopicID
}

// classicMember makes a group of one member, which has the assignment "all", in generation 1.
func (c *rawConn) classicMember(group, protocol string, topics ...string) string {
	c.t.Helper()
	subscription := []byte{0, 0, 0, 0, 0, byte(len(topics))}
	for _, t := range topics {
		subscription = append(append(subscription, 0, byte(len(t))), t...)
	}
	subscription = append(subscription, 0xff, 0xff, 0xff, 0xff)
	join := &wire.JoinGroupRequest{GroupID: group, SessionTimeoutMs: 60_000, RebalanceTimeoutMs: 60_000, ProtocolType: "consumer",
		Protocols: []wire.JoinGroupRequestProtocol{{Name: protocol, Metadata: subscription}}}
	var joined wire.JoinGroupResponse
	if c.call(3, join, &joined); joined.ErrorCode != wire.CodeNone || joined.GenerationID != 1 {
		c.t.Fatalf("%+v", joined)
	}
	var sync wire.SyncGroupResponse
	c.call(5, &wire.SyncGroupRequest{GroupID: group, MemberID: joined.MemberID, GenerationID: 1,
		Assignments: []wire.SyncGroupRequestAssignment{{MemberID: joined.MemberID, Assignment: []byte("all")}}}, &sync)
	if sync.ErrorCode != wire.CodeNone {
		c.t.Fatalf("%+v", sync)
	}
	return joined.MemberID
}

// joinRequest is the first heartbeat of a member of a consumer group.
func joinRequest(group, member string, topics ...string) *wire.ConsumerGroupHeartbeatRequest {
	return &wire.ConsumerGroupHeartbeatRequest{GroupID: group, MemberID: member, RebalanceTimeoutMs: 60_000, SubscribedTopicNames: topics,
		Topics: []wire.ConsumerGroupHeartbeatRequestTopic{}}
}

// commit commits one offset for partition 0 of topic t, which has that id, and gives the partition's code.
func (c *rawConn) commit(version int16, req *wire.OffsetCommitRequest, id wire.UUID, offset int64) wire.ErrorCode {
	c.t.Helper()
	req.Topics = []wire.OffsetCommitRequestTopic{{Name: "t", TopicID: id, Partitions: []wire.OffsetCommitRequestPartition{{CommittedOffset: offset, CommittedLeaderEpoch: -1}}}}
	if version >= 10 {
		req.Topics[0].Name = ""
	}
	var resp wire.OffsetCommitResponse
	c.call(version, req, &resp)
	if version >= 10 && resp.Topics[0].TopicID != id {
		c.t.Errorf("the answer is for the topic %v, not %v", resp.Topics[0].TopicID, id)
	}
	return resp.Topics[0].Partitions[0].ErrorCode
}

// fetched asks for one group, by version 8 or later.
func (c *rawConn) fetched(version int16, g wire.OffsetFetchRequestGroup) wire.OffsetFetchResponseGroup {
	c.t.Helper()
	if version < 10 && g.MemberID == nil {
		g.MemberEpoch = -1
	}
	var resp wire.OffsetFetchResponse
	c.call(version, &wire.OffsetFetchRequest{Groups: []wire.OffsetFetchRequestGroup{g}}, &resp)
	return resp.Groups[0]
}

func TestDescribeGroupsByVersion(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	c.create("t", 1)
	member := c.classicMember("g", "range", "t")
	for v := int16(0); v <= 6; v++ {
		var resp wire.DescribeGroupsResponse
		c.call(v, &wire.DescribeGroupsRequest{Groups: []string{"g", "none", "g"}, IncludeAuthorizedOperations: true}, &resp)
		if len(resp.Groups) != 2 {
			t.Fatalf("version %d: %+v", v, resp)
		}
		g, none := resp.Groups[0], resp.Groups[1]
		if g.ErrorCode != 0 || g.GroupState != "Stable" || g.ProtocolData != "range" || g.Members[0].MemberID != member || string(g.Members[0].MemberAssignment) != "all" ||
			g.Members[0].ClientHost != "/127.0.0.1" || (g.AuthorizedOperations == 1<<3|1<<6|1<<8|1<<10|1<<11) != (v >= 3) {
			t.Errorf("version %d: %+v", v, g)
		}
		if none.GroupState != "Dead" || (none.ErrorCode == wire.CodeGroupIDNotFound) != (v >= 6) || (none.ErrorMessage != nil) != (v >= 6) || v < 6 && none.ErrorCode != 0 {
			t.Errorf("version %d: %+v", v, none)
		}
	}
}

func TestListGroupsByVersion(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	c.create("t", 1)
	c.classicMember("classic", "range", "t")
	var joined wire.ConsumerGroupHeartbeatResponse
	c.call(1, joinRequest("modern", "m", "t"), &joined)
	if code := c.commit(8, &wire.OffsetCommitRequest{GroupID: "simple", GenerationID: -1}, wire.UUID{}, 1); code != 0 {
		t.Fatal(code)
	}
	for v := int16(0); v <= 5; v++ {
		for _, one := range []struct {
			states, types []string
			want          string
		}{
			{nil, nil, "[classic/consumer/Stable/classic modern/consumer/Stable/consumer simple//Empty/classic]"},
			{[]string{"EMPTY", "Dead"}, nil, "[simple//Empty/classic]"},
			{nil, []string{"Consumer"}, "[modern/consumer/Stable/consumer]"},
			{[]string{"stable"}, []string{"classic", "share"}, "[classic/consumer/Stable/classic]"},
			{[]string{"no such state"}, nil, "[]"},
		} {
			if one.states != nil && v < 4 || one.types != nil && v < 5 {
				continue
			}
			var resp wire.ListGroupsResponse
			c.call(v, &wire.ListGroupsRequest{StatesFilter: one.states, TypesFilter: one.types}, &resp)
			got := []string{}
			for _, g := range resp.Groups {
				if v >= 5 {
					got = append(got, g.GroupID+"/"+g.ProtocolType+"/"+g.GroupState+"/"+g.GroupType)
				}
			}
			if v < 5 && one.states == nil && (len(resp.Groups) != 3 || (resp.Groups[2].GroupState == "Empty") != (v >= 4)) {
				t.Errorf("version %d: %+v", v, resp)
			}
			if v >= 5 && fmt.Sprint(got) != one.want || resp.ErrorCode != 0 {
				t.Errorf("version %d, %v %v: %v, want %s", v, one.states, one.types, got, one.want)
			}
		}
	}
}

func TestConsumerGroupHeartbeatErrors(t *testing.T) {
	b := start(t, t.TempDir(), "group.consumer.max.size=2", "group.consumer.assignors=range")
	c := dial(t, b.addr)
	c.create("t", 2)
	instance, bad, uniform := "i", "(", "uniform"
	static := joinRequest("g", "m1", "t")
	static.InstanceID = &instance
	var first wire.ConsumerGroupHeartbeatResponse
	if c.call(1, static, &first); first.ErrorCode != 0 || *first.MemberID != "m1" || first.MemberEpoch != 1 || first.HeartbeatIntervalMs != 5000 ||
		len(first.Assignment.Topics) != 1 || first.Assignment.Topics[0].TopicID != c.topicID("t") || len(first.Assignment.Topics[0].Partitions) != 2 {
		t.Fatalf("%+v", first)
	}
	for name, one := range map[string]struct {
		version int16
		change  func(*wire.ConsumerGroupHeartbeatRequest)
		want    wire.ErrorCode
	}{
		"no group":               {1, func(r *wire.ConsumerGroupHeartbeatRequest) { r.GroupID = "" }, wire.CodeInvalidRequest},
		"no member":              {1, func(r *wire.ConsumerGroupHeartbeatRequest) { r.MemberID = "" }, wire.CodeInvalidRequest},
		"no such epoch":          {1, func(r *wire.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -3 }, wire.CodeInvalidRequest},
		"nothing subscribed":     {1, func(r *wire.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicNames = nil }, wire.CodeInvalidRequest},
		"a regular expression":   {1, func(r *wire.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicRegex = &bad }, wire.CodeInvalidRegularExpression},
		"assignor not on offer":  {0, func(r *wire.ConsumerGroupHeartbeatRequest) { r.ServerAssignor = &uniform }, wire.CodeUnsupportedAssignor},
		"stranger":               {0, func(r *wire.ConsumerGroupHeartbeatRequest) { r.MemberID, r.MemberEpoch = "x", 1 }, wire.CodeUnknownMemberID},
		"epoch of the future":    {1, func(r *wire.ConsumerGroupHeartbeatRequest) { r.MemberID, r.MemberEpoch = "m1", 9 }, wire.CodeFencedMemberEpoch},
		"another's instance":     {1, func(r *wire.ConsumerGroupHeartbeatRequest) { r.InstanceID = &instance }, wire.CodeUnreleasedInstanceID},
		"another's, with epoch":  {1, func(r *wire.ConsumerGroupHeartbeatRequest) { r.InstanceID, r.MemberEpoch = &instance, 1 }, wire.CodeFencedInstanceID},
		"leaves no such group":   {1, func(r *wire.ConsumerGroupHeartbeatRequest) { r.GroupID, r.MemberEpoch = "none", -1 }, wire.CodeGroupIDNotFound},
		"leaves without a place": {1, func(r *wire.ConsumerGroupHeartbeatRequest) { r.MemberID, r.MemberEpoch = "m1", -2 }, wire.CodeInvalidRequest},
	} {
		req := joinRequest("g", "m9", "t")
		one.change(req)
		var resp wire.ConsumerGroupHeartbeatResponse
		if c.call(one.version, req, &resp); resp.ErrorCode != one.want || resp.ErrorMessage == nil || resp.Assignment != nil {
			t.Errorf("%s: %+v, want %v", name, resp, one.want)
		}
	}
	var made, refused wire.ConsumerGroupHeartbeatResponse
	if c.call(0, joinRequest("g", "", "t"), &made); made.ErrorCode != 0 || made.MemberID == nil || *made.MemberID == "" {
		t.Errorf("version 0 makes no id: %+v", made)
	}
	if c.call(1, joinRequest("g", "m3", "t"), &refused); refused.ErrorCode != wire.CodeGroupMaxSizeReached {
		t.Errorf("one too many: %+v", refused)
	}
	var hb wire.HeartbeatResponse
	if c.call(4, &wire.HeartbeatRequest{GroupID: "g", MemberID: "m1", GenerationID: 1}, &hb); hb.ErrorCode != wire.CodeUnknownMemberID {
		t.Errorf("a classic heartbeat of one who does not speak that: %v", hb.ErrorCode)
	}
	leave := &wire.ConsumerGroupHeartbeatRequest{GroupID: "g", MemberID: *made.MemberID, MemberEpoch: -1, RebalanceTimeoutMs: -1}
	var left wire.ConsumerGroupHeartbeatResponse
	if c.call(1, leave, &left); left.ErrorCode != 0 || left.MemberEpoch != -1 || left.Assignment != nil {
		t.Errorf("leave: %+v", left)
	}
}

func TestConsumerGroupDescribeByVersion(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	c.create("t", 2)
	c.classicMember("classic", "range", "t")
	var joined wire.ConsumerGroupHeartbeatResponse
	c.call(1, joinRequest("g", "m", "t"), &joined)
	for v := int16(0); v <= 1; v++ {
		var resp wire.ConsumerGroupDescribeResponse
		c.call(v, &wire.ConsumerGroupDescribeRequest{GroupIDs: []string{"g", "classic", "none", "", "g"}, IncludeAuthorizedOperations: v == 1}, &resp)
		if len(resp.Groups) != 4 {
			t.Fatalf("%+v", resp)
		}
		g := resp.Groups[0]
		if g.ErrorCode != 0 || g.GroupState != "Stable" || g.GroupEpoch != 1 || len(g.Members) != 1 || (g.AuthorizedOperations == 1<<3|1<<6|1<<8|1<<10|1<<11) != (v == 1) {
			t.Fatalf("version %d: %+v", v, g)
		}
		m := g.Members[0]
		if len(m.Assignment.Topics) != 1 || m.Assignment.Topics[0].Name != "t" || len(m.TargetAssignment.Topics[0].Partitions) != 2 || (m.MemberType == wire.MemberTypeConsumer) != (v == 1) {
			t.Errorf("version %d: %+v", v, m)
		}
		for i, want := range []wire.ErrorCode{wire.CodeGroupIDNotFound, wire.CodeGroupIDNotFound, wire.CodeInvalidGroupID} {
			if g := resp.Groups[i+1]; g.ErrorCode != want || g.ErrorMessage == nil {
				t.Errorf("version %d: %+v, want %v", v, g, want)
			}
		}
	}
}

func TestDeleteGroupsByVersion(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	c.create("t", 1)
	c.classicMember("busy", "range", "t")
	for v := int16(0); v <= 2; v++ {
		if code := c.commit(8, &wire.OffsetCommitRequest{GroupID: "simple", GenerationID: -1}, wire.UUID{}, 1); code != 0 {
			t.Fatal(code)
		}
		var resp wire.DeleteGroupsResponse
		c.call(v, &wire.DeleteGroupsRequest{GroupIDs: []string{"simple", "busy", "none", "simple"}}, &resp)
		got := map[string]wire.ErrorCode{}
		for _, g := range resp.Results {
			got[g.GroupID] = g.ErrorCode
		}
		if len(resp.Results) != 3 || got["simple"] != 0 || got["busy"] != wire.CodeNonEmptyGroup || got["none"] != wire.CodeGroupIDNotFound {
			t.Errorf("version %d: %+v", v, resp)
		}
		if all := c.fetched(8, wire.OffsetFetchRequestGroup{GroupID: "simple"}); len(all.Topics) != 0 {
			t.Errorf("version %d: left are %+v", v, all)
		}
	}
}

// TestOtherCoordinators: share groups are not served, which is an invalid request, as of a type that is none.
func TestOtherCoordinators(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	for _, kind := range []int8{wire.CoordinatorShare, 9} {
		var resp wire.FindCoordinatorResponse
		c.call(6, &wire.FindCoordinatorRequest{KeyType: kind, CoordinatorKeys: []string{"g:AAAAAAAAAAAAAAAAAAAAAQ:0"}}, &resp)
		if got := resp.Coordinators[0]; got.ErrorCode != wire.CodeInvalidRequest || got.ErrorMessage == nil || got.NodeID != -1 {
			t.Errorf("type %d: %+v", kind, got)
		}
	}
}

// TestGroupsDoNotHoldUpTheConnection: while the disk is busy, what a connection sends is begun all the same, and nothing is answered that is
// not durable.
func TestGroupsDoNotHoldUpTheConnection(t *testing.T) {
	var gate sync.RWMutex // held by the test while the disk is busy
	fs := disk.Inject(disk.OS{}, func(op disk.Op, _ string) error {
		if op == "sync" {
			gate.RLock()
			defer gate.RUnlock()
		}
		return nil
	})
	b := startWith(t, broker.Options{FS: fs}, t.TempDir())
	c := dial(t, b.addr)
	c.create("t", 1)
	member := c.classicMember("old", "range", "t")
	simple := func(group string) *wire.OffsetCommitRequest {
		return &wire.OffsetCommitRequest{GroupID: group, GenerationID: -1, RetentionTimeMs: -1, Topics: []wire.OffsetCommitRequestTopic{
			{Name: "t", Partitions: []wire.OffsetCommitRequestPartition{{CommittedOffset: 1, CommittedLeaderEpoch: -1}}}}}
	}
	var committed wire.OffsetCommitResponse
	c.call(8, simple("deleted"), &committed)
	c.call(8, simple("emptied"), &committed)
	gate.Lock()
	open := sync.OnceFunc(gate.Unlock)
	defer open()
	left := c.send(5, &wire.LeaveGroupRequest{GroupID: "old", Members: []wire.LeaveGroupRequestMember{{MemberID: member}}})
	beat := c.send(4, &wire.HeartbeatRequest{GroupID: "old", MemberID: member, GenerationID: 1})
	gone := c.send(2, &wire.DeleteGroupsRequest{GroupIDs: []string{"deleted"}})
	forgotten := c.send(0, &wire.OffsetDeleteRequest{GroupID: "emptied", Topics: []wire.OffsetDeleteRequestTopic{
		{Name: "t", Partitions: []wire.OffsetDeleteRequestPartition{{}}}}})
	commit := c.send(8, simple("new"))
	joined := c.send(1, joinRequest("modern", "m", "t"))
	other := dial(t, b.addr)
	until(t, "begun", func() bool { // the last of them
		var d wire.ConsumerGroupDescribeResponse
		other.call(1, &wire.ConsumerGroupDescribeRequest{GroupIDs: []string{"modern"}}, &d)
		return d.Groups[0].ErrorCode == wire.CodeNone
	})
	for group, want := range map[string]int{"deleted": 1, "emptied": 1, "new": 0} {
		if got := other.fetched(8, wire.OffsetFetchRequestGroup{GroupID: group}); len(got.Topics) != want {
			t.Errorf("%s: %+v before it is durable", group, got)
		}
	}
	open()
	var leave wire.LeaveGroupResponse
	if c.recv(5, left, &leave); leave.ErrorCode != 0 || leave.Members[0].ErrorCode != 0 {
		t.Errorf("%+v", leave)
	}
	var hb wire.HeartbeatResponse
	if c.recv(4, beat, &hb); hb.ErrorCode != wire.CodeUnknownMemberID {
		t.Errorf("%+v", hb)
	}
	var deleted wire.DeleteGroupsResponse
	if c.recv(2, gone, &deleted); deleted.Results[0].ErrorCode != 0 {
		t.Errorf("%+v", deleted)
	}
	var emptied wire.OffsetDeleteResponse
	if c.recv(0, forgotten, &emptied); emptied.ErrorCode != 0 || emptied.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Errorf("%+v", emptied)
	}
	if c.recv(8, commit, &committed); committed.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Errorf("%+v", committed)
	}
	var modern wire.ConsumerGroupHeartbeatResponse
	if c.recv(1, joined, &modern); modern.ErrorCode != 0 || modern.MemberEpoch != 1 {
		t.Errorf("%+v", modern)
	}
	for group, want := range map[string]int{"deleted": 0, "emptied": 0, "new": 1} {
		if got := other.fetched(8, wire.OffsetFetchRequestGroup{GroupID: group}); len(got.Topics) != want {
			t.Errorf("%s: %+v afterwards", group, got)
		}
	}
}

// TestStaticConsumerComesBack: a static member that leaves for a while (epoch -2) finds its place under another member id, and the group
// epoch is what it was. As long as it has not left nobody takes its place.
func TestStaticConsumerComesBack(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	c.create("t", 2)
	instance := "i"
	join := func(member string) (resp wire.ConsumerGroupHeartbeatResponse) {
		req := joinRequest("g", member, "t")
		req.InstanceID = &instance
		c.call(1, req, &resp)
		return resp
	}
	first := join("m1")
	if first.ErrorCode != 0 || len(first.Assignment.Topics) != 1 {
		t.Fatalf("%+v", first)
	}
	if got := join("m2"); got.ErrorCode != wire.CodeUnreleasedInstanceID {
		t.Errorf("beside it: %+v", got)
	}
	leave := &wire.ConsumerGroupHeartbeatRequest{GroupID: "g", MemberID: "m1", InstanceID: &instance, MemberEpoch: wire.MemberEpochLeaveStatic, RebalanceTimeoutMs: -1}
	var left wire.ConsumerGroupHeartbeatResponse
	if c.call(1, leave, &left); left.ErrorCode != 0 || left.MemberEpoch != wire.MemberEpochLeaveStatic {
		t.Errorf("leave: %+v", left)
	}
	back := join("m2")
	if back.ErrorCode != 0 || back.MemberEpoch != first.MemberEpoch || len(back.Assignment.Topics) != 1 || len(back.Assignment.Topics[0].Partitions) != 2 {
		t.Errorf("back: %+v", back)
	}
	var d wire.ConsumerGroupDescribeResponse
	c.call(1, &wire.ConsumerGroupDescribeRequest{GroupIDs: []string{"g"}}, &d)
	if g := d.Groups[0]; g.GroupEpoch != 1 || len(g.Members) != 1 || g.Members[0].MemberID != "m2" || *g.Members[0].InstanceID != "i" {
		t.Errorf("%+v", g)
	}
}
