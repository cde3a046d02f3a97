package broker_test

import (
	"testing"

	"github.com/streambus/streambus/wire"
)

// TestOffsetsByTopicIDAndEpoch: OffsetCommit and OffsetFetch 9 (member epochs) and 10 (topic ids).
func TestOffsetsByTopicIDAndEpoch(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	c.create("t", 1)
	id, unknown := c.topicID("t"), wire.UUID{1, 2, 3}
	var joined wire.ConsumerGroupHeartbeatResponse
	c.call(1, joinRequest("g", "m", "t"), &joined)
	for name, one := range map[string]struct {
		version int16
		req     wire.OffsetCommitRequest
		id      wire.UUID
		want    wire.ErrorCode
	}{
		"by a member":              {9, wire.OffsetCommitRequest{GroupID: "g", MemberID: "m", GenerationID: 1}, id, wire.CodeNone},
		"by topic id":              {10, wire.OffsetCommitRequest{GroupID: "g", MemberID: "m", GenerationID: 1}, id, wire.CodeNone},
		"by an unknown id":         {10, wire.OffsetCommitRequest{GroupID: "g", MemberID: "m", GenerationID: 1}, unknown, wire.CodeUnknownTopicID},
		"of a stale epoch":         {9, wire.OffsetCommitRequest{GroupID: "g", MemberID: "m", GenerationID: 0}, id, wire.CodeStaleMemberEpoch},
		"by a stranger":            {9, wire.OffsetCommitRequest{GroupID: "g", MemberID: "x", GenerationID: 1}, id, wire.CodeUnknownMemberID},
		"without epochs":           {8, wire.OffsetCommitRequest{GroupID: "g", MemberID: "m", GenerationID: 1}, id, wire.CodeUnsupportedVersion},
		"to no group":              {9, wire.OffsetCommitRequest{GroupID: "none", MemberID: "m", GenerationID: 1}, id, wire.CodeGroupIDNotFound},
		"to no group, generations": {8, wire.OffsetCommitRequest{GroupID: "none", MemberID: "m", GenerationID: 1}, id, wire.CodeIllegalGeneration},
	} {
		if got := c.commit(one.version, &one.req, one.id, 7); got != one.want {
			t.Errorf("%s: %v, want %v", name, got, one.want)
		}
	}
	m, x := "m", "x"
	asked := []wire.OffsetFetchRequestTopic{{Name: "t", TopicID: id, PartitionIndexes: []int32{0}}}
	for name, one := range map[string]struct {
		version int16
		req     wire.OffsetFetchRequestGroup
		want    wire.ErrorCode
	}{
		"of all":           {9, wire.OffsetFetchRequestGroup{GroupID: "g", MemberEpoch: -1}, wire.CodeNone},
		"of all, by id":    {10, wire.OffsetFetchRequestGroup{GroupID: "g", MemberEpoch: -1}, wire.CodeNone},
		"by a member":      {9, wire.OffsetFetchRequestGroup{GroupID: "g", MemberID: &m, MemberEpoch: 1, Topics: asked}, wire.CodeNone},
		"by id":            {10, wire.OffsetFetchRequestGroup{GroupID: "g", MemberID: &m, MemberEpoch: 1, Topics: asked}, wire.CodeNone},
		"of a stale epoch": {9, wire.OffsetFetchRequestGroup{GroupID: "g", MemberID: &m, MemberEpoch: 0, Topics: asked}, wire.CodeStaleMemberEpoch},
		"by a stranger":    {10, wire.OffsetFetchRequestGroup{GroupID: "g", MemberID: &x, MemberEpoch: 1}, wire.CodeUnknownMemberID},
	} {
		got := c.fetched(one.version, one.req)
		switch {
		case got.ErrorCode != one.want:
			t.Errorf("%s: %+v, want %v", name, got, one.want)
		case one.want != 0 && len(got.Topics) != 0:
			t.Errorf("%s: topics beside an error: %+v", name, got)
		case one.want == 0 && (len(got.Topics) != 1 || got.Topics[0].Partitions[0].CommittedOffset != 7 || (got.Topics[0].TopicID == id) != (one.version >= 10)):
			t.Errorf("%s: %+v", name, got)
		}
	}
	asked[0].TopicID = unknown
	if got := c.fetched(10, wire.OffsetFetchRequestGroup{GroupID: "g", MemberEpoch: -1, Topics: asked}); got.ErrorCode != 0 || got.Topics[0].TopicID != unknown ||
		got.Topics[0].Partitions[0].ErrorCode != wire.CodeUnknownTopicID || got.Topics[0].Partitions[0].CommittedOffset != -1 {
		t.Errorf("an unknown id: %+v", got)
	}
}

// TestUndecidedOffsetsAreUnstable: require_stable (KIP-447) is of OffsetFetch 7 and later.
func TestUndecidedOffsetsAreUnstable(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	c.create("t", 1)
	txn := "x"
	var init wire.InitProducerIDResponse
	c.call(4, &wire.InitProducerIDRequest{TransactionalID: &txn, TransactionTimeoutMs: 60_000, ProducerID: -1, ProducerEpoch: -1}, &init)
	var added wire.AddOffsetsToTxnResponse
	c.call(3, &wire.AddOffsetsToTxnRequest{TransactionalID: txn, ProducerID: init.ProducerID, ProducerEpoch: init.ProducerEpoch, GroupID: "g"}, &added)
	var pending wire.TxnOffsetCommitResponse
	c.call(3, &wire.TxnOffsetCommitRequest{TransactionalID: txn, ProducerID: init.ProducerID, ProducerEpoch: init.ProducerEpoch, GroupID: "g", GenerationID: -1,
		Topics: []wire.TxnOffsetCommitRequestTopic{{Name: "t", Partitions: []wire.TxnOffsetCommitRequestPartition{{CommittedOffset: 5}}}}}, &pending)
	if init.ErrorCode != 0 || added.ErrorCode != 0 || pending.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("%+v %+v %+v", init, added, pending)
	}
	at := func(v int16, stable bool) (wire.ErrorCode, int64) {
		asked := []wire.OffsetFetchRequestTopic{{Name: "t", TopicID: c.topicID("t"), PartitionIndexes: []int32{0}}}
		var resp wire.OffsetFetchResponse
		c.call(v, &wire.OffsetFetchRequest{GroupID: "g", Topics: asked, RequireStable: stable,
			Groups: []wire.OffsetFetchRequestGroup{{GroupID: "g", MemberEpoch: -1, Topics: asked}}}, &resp)
		if v >= 8 {
			resp.Topics = resp.Groups[0].Topics
		}
		p := resp.Topics[0].Partitions[0]
		return p.ErrorCode, p.CommittedOffset
	}
	for v := int16(1); v <= 10; v++ {
		if code, offset := at(v, false); code != 0 || offset != -1 {
			t.Errorf("version %d: %v, %d", v, code, offset)
		}
		if code, offset := at(v, true); (code == wire.CodeUnstableOffsetCommit) != (v >= 7) || offset != -1 {
			t.Errorf("version %d, stable: %v, %d", v, code, offset)
		}
	}
	var ended wire.EndTxnResponse
	if c.call(3, &wire.EndTxnRequest{TransactionalID: txn, ProducerID: init.ProducerID, ProducerEpoch: init.ProducerEpoch, Committed: true}, &ended); ended.ErrorCode != 0 {
		t.Fatalf("%+v", ended)
	}
	until(t, "committed", func() bool {
		code, offset := at(7, true)
		return code == 0 && offset == 5
	})
}
