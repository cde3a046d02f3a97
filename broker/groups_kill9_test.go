package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/streambus/streambus/wire"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// TestGroupsSurviveKill9: members of both protocols go on after a kill with what they had, and the offsets that were answered are there.
func TestGroupsSurviveKill9(t *testing.T) {
	dir, listener := t.TempDir(), fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", freePort(t))
	p := spawnBroker(t, dir, listener, modern...)
	p.waitReady()
	c := dial(t, p.addr)
	c.create("t", 2)
	id := c.topicID("t")
	classic := c.classicMember("old", "range", "t")
	beat := joinRequest("new", "m1", "t")
	var joined wire.ConsumerGroupHeartbeatResponse
	if c.call(1, beat, &joined); joined.ErrorCode != 0 || joined.Assignment == nil || len(joined.Assignment.Topics) != 1 {
		t.Fatalf("%+v", joined)
	}
	for name, req := range map[string]*wire.OffsetCommitRequest{
		"old": {GroupID: "old", MemberID: classic, GenerationID: 1}, "new": {GroupID: "new", MemberID: "m1", GenerationID: joined.MemberEpoch},
	} {
		if code := c.commit(10, req, id, 7); code != wire.CodeNone {
			t.Fatal(name, code)
		}
	}
	for range 3 {
		p.kill()
		p = spawnBroker(t, dir, listener, modern...)
		p.waitReady()
		c = dial(t, p.addr)
		var hb wire.HeartbeatResponse
		if c.call(4, &wire.HeartbeatRequest{GroupID: "old", MemberID: classic, GenerationID: 1}, &hb); hb.ErrorCode != wire.CodeNone {
			t.Errorf("classic: %v", hb.ErrorCode)
		}
		var sync wire.SyncGroupResponse
		if c.call(5, &wire.SyncGroupRequest{GroupID: "old", MemberID: classic, GenerationID: 1}, &sync); sync.ErrorCode != 0 || string(sync.Assignment) != "all" {
			t.Errorf("classic: %+v", sync)
		}
		again := &wire.ConsumerGroupHeartbeatRequest{GroupID: "new", MemberID: "m1", MemberEpoch: joined.MemberEpoch, RebalanceTimeoutMs: -1}
		var resp wire.ConsumerGroupHeartbeatResponse
		if c.call(1, again, &resp); resp.ErrorCode != 0 || resp.MemberEpoch != joined.MemberEpoch {
			t.Errorf("KIP-848: %+v", resp)
		}
		for _, g := range []string{"old", "new"} {
			if got := c.fetched(8, wire.OffsetFetchRequestGroup{GroupID: g}); len(got.Topics) != 1 || got.Topics[0].Partitions[0].CommittedOffset != 7 {
				t.Errorf("%s: %+v", g, got)
			}
		}
	}
}

// TestConsumersOfTheNewProtocolSurviveKill9 is that with a real client.
func TestConsumersOfTheNewProtocolSurviveKill9(t *testing.T) {
	dir, listener := t.TempDir(), fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", freePort(t))
	p := spawnBroker(t, dir, listener, modern...)
	p.waitReady()
	if _, err := kadm.NewClient(client(t, p.addr)).CreateTopic(t.Context(), 4, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	fillT(t, p.addr, 8)
	m := modernMember(t, p.addr, "one")
	if got := values(t, m, 8); len(got) != 8 {
		t.Fatal(got)
	}
	if err := m.CommitUncommittedOffsets(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := settled(t, p.addr, 1)
	p.kill()
	p = spawnBroker(t, dir, listener, modern...)
	p.waitReady()
	fillT(t, p.addr, 4)
	for got := 0; got < 4; {
		f := m.PollFetches(within(t, 20*time.Second))
		got += len(f.Records())
		if err := f.Err(); errors.Is(err, context.DeadlineExceeded) || errors.Is(err, kerr.UnknownMemberID) {
			t.Fatalf("after %d of 4 records: %v", got, err)
		}
	}
	after := settled(t, p.addr, 1)
	if after.Members[0].MemberID != before.Members[0].MemberID || after.Epoch != before.Epoch {
		t.Errorf("before %+v, after %+v", before, after)
	}
}
