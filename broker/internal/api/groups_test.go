package api

import (
	"slices"
	"testing"

	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/wire"
)

// ask serves one request and reads the answer.
func (f *fixture) ask(t *testing.T, version int16, req, resp wire.Message) {
	t.Helper()
	out, ok := f.do(t.Context(), frameOf(version, req))
	if !ok || len(out) == 0 {
		t.Fatalf("%v %d: closed", req.Key(), version)
	}
	_, body, err := wire.DecodeResponseHeader(out[wire.SizePrefixBytes:], req.Key(), version)
	if err == nil {
		err = wire.Decode(resp, version, body)
	}
	if err != nil {
		t.Fatalf("%v %d: %v", req.Key(), version, err)
	}
}

// TestGoingDownIsToldInEveryVersion: a coordinator that is closed is one that is not available, wherever the version has its error.
func TestGoingDownIsToldInEveryVersion(t *testing.T) {
	f := newFixture(t)
	offsets, err := group.OpenOffsets(t.Context(), offsetLogs(f.Topics), nil)
	if err != nil {
		t.Fatal(err)
	}
	f.Groups = group.Start(group.Limits{}, offsets)
	f.Groups.Close()
	asked := []wire.OffsetFetchRequestTopic{{Name: "t", PartitionIndexes: []int32{3}}}
	reqs := []wire.Message{
		&wire.OffsetFetchRequest{GroupID: "g", Topics: asked, Groups: []wire.OffsetFetchRequestGroup{{GroupID: "g", Topics: asked}}},
		&wire.JoinGroupRequest{GroupID: "g", SessionTimeoutMs: 100, ProtocolType: "x", Protocols: []wire.JoinGroupRequestProtocol{{Name: "p"}}},
		&wire.HeartbeatRequest{GroupID: "g", MemberID: "m"},
		&wire.LeaveGroupRequest{GroupID: "g", MemberID: "m", Members: []wire.LeaveGroupRequestMember{{MemberID: "m"}}},
		&wire.SyncGroupRequest{GroupID: "g", MemberID: "m"},
		&wire.DescribeGroupsRequest{Groups: []string{"g"}},
		&wire.ListGroupsRequest{},
		&wire.DeleteGroupsRequest{GroupIDs: []string{"g"}},
		&wire.OffsetDeleteRequest{GroupID: "g"},
		&wire.ConsumerGroupHeartbeatRequest{GroupID: "g", MemberID: "m", RebalanceTimeoutMs: 100, SubscribedTopicNames: []string{"t"}},
		&wire.ConsumerGroupDescribeRequest{GroupIDs: []string{"g"}},
	}
	for _, req := range reqs {
		r := table[req.Key()]
		for v := r.min; v <= r.max; v++ {
			resp := wire.NewResponse(req.Key())
			f.ask(t, v, req, resp)
			if codes := codesIn(resp, v); len(codes) == 0 || slices.ContainsFunc(codes, func(c wire.ErrorCode) bool { return c != wire.CodeCoordinatorNotAvailable }) {
				t.Errorf("%v %d: %v in %+v", req.Key(), v, codes, resp)
			}
		}
	}
}

// codesIn are the error codes that a client of that version looks at.
func codesIn(m wire.Message, version int16) (codes []wire.ErrorCode) {
	switch m := m.(type) {
	case *wire.OffsetFetchResponse:
		if version >= 2 && version <= 7 {
			return []wire.ErrorCode{m.ErrorCode}
		}
		for _, t := range m.Topics {
			for _, p := range t.Partitions {
				codes = append(codes, p.ErrorCode)
			}
		}
		for _, g := range m.Groups {
			codes = append(codes, g.ErrorCode)
		}
	case *wire.JoinGroupResponse:
		return []wire.ErrorCode{m.ErrorCode}
	case *wire.HeartbeatResponse:
		return []wire.ErrorCode{m.ErrorCode}
	case *wire.LeaveGroupResponse:
		return []wire.ErrorCode{m.ErrorCode}
	case *wire.SyncGroupResponse:
		return []wire.ErrorCode{m.ErrorCode}
	case *wire.DescribeGroupsResponse:
		for _, g := range m.Groups {
			codes = append(codes, g.ErrorCode)
		}
	case *wire.ListGroupsResponse:
		return []wire.ErrorCode{m.ErrorCode}
	case *wire.DeleteGroupsResponse:
		for _, g := range m.Results {
			codes = append(codes, g.ErrorCode)
		}
	case *wire.OffsetDeleteResponse:
		return []wire.ErrorCode{m.ErrorCode}
	case *wire.ConsumerGroupHeartbeatResponse:
		return []wire.ErrorCode{m.ErrorCode}
	case *wire.ConsumerGroupDescribeResponse:
		for _, g := range m.Groups {
			codes = append(codes, g.ErrorCode)
		}
	}
	return codes
}

// TestNamesAreAnsweredOnce: however often a request names a group, what the group has is told once.
func TestNamesAreAnsweredOnce(t *testing.T) {
	f := newFixture(t)
	many := slices.Repeat([]string{"a group with a name that is long"}, 1000)
	var described wire.DescribeGroupsResponse
	f.ask(t, 5, &wire.DescribeGroupsRequest{Groups: many}, &described)
	var consumers wire.ConsumerGroupDescribeResponse
	f.ask(t, 1, &wire.ConsumerGroupDescribeRequest{GroupIDs: many}, &consumers)
	var deleted wire.DeleteGroupsResponse
	f.ask(t, 2, &wire.DeleteGroupsRequest{GroupIDs: many}, &deleted)
	groups := slices.Repeat([]wire.OffsetFetchRequestGroup{{GroupID: many[0]}}, len(many))
	groups[17].Topics = []wire.OffsetFetchRequestTopic{} // of none in particular, which is another question
	var fetched wire.OffsetFetchResponse
	f.ask(t, 9, &wire.OffsetFetchRequest{Groups: groups}, &fetched)
	if len(described.Groups) != 1 || len(consumers.Groups) != 1 || len(deleted.Results) != 1 || len(fetched.Groups) != 2 {
		t.Errorf("%d, %d, %d and %d answers", len(described.Groups), len(consumers.Groups), len(deleted.Results), len(fetched.Groups))
	}
	if got := once([]string{"b", "a", "b", "c", "a"}); !slices.Equal(got, []string{"b", "a", "c"}) {
		t.Errorf("%v", got)
	}
}
