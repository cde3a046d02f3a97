package group

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/disk"
)

// onEngine opens the coordinator over two partitions on the real engine.
func onEngine(t *testing.T, fs disk.FS) (*Coordinator, *engine.Engine) {
	t.Helper()
	e, err := engine.Open(t.Context(), engine.Options{Dir: "/d", FS: fs, CommitFileBytes: 1 << 20, CommitFiles: 2, ReserveBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	var logs []Log
	for _, name := range []string{"offsets-0", "offsets-1"} {
		p, err := partition.Open(e, name, 1, engine.LogOptions{Compact: true})
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, p)
	}
	o, err := OpenOffsets(t.Context(), func(context.Context, bool) ([]Log, error) { return logs, nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return Start(Limits{Topics: newWorld(fourPartitions).image.Load}, o), e
}

// The whole way to the disk and back, with the power cut: what was answered is there.
func TestOnTheEngine(t *testing.T) {
	fs := disk.NewMem()
	c, e := onEngine(t, fs)
	member := formed(t, c, "classic", "t")
	a := beat(t, c, "modern", full("m", 0))
	send := func(p Producer, o ...Committed) error {
		f := partition.NewFuture()
		if err := c.CommitOffsets(t.Context(), CommitRequest{Group: "classic", Generation: -1, Producer: &p, Offsets: o}, f); err != nil {
			return err
		}
		return f.Wait(t.Context())
	}
	end := func(p Producer, commit bool) error {
		f := partition.NewFuture()
		if err := c.Offsets.Marker(t.Context(), partition.ForKey("classic", 2), p, 3, commit, f); err != nil {
			return err
		}
		return f.Wait(t.Context())
	}
	one, two := Producer{7, 4}, Producer{8, 0}
	for i, err := range []error{
		send(one, at("t", 0, 1)), send(one, at("t", 0, 2)), send(one, at("t", 1, 3), at("t", 2, 4)), end(one, true),
		send(one, at("t", 3, 5)), end(one, false), send(two, at("u", 0, 6)),
	} {
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if err := send(Producer{7, 3}, at("t", 0, 9)); !errors.Is(err, engine.ErrFencedProducer) {
		t.Errorf("an older epoch: %v", err)
	}
	crashed := fs.Crash(rand.New(rand.NewPCG(1, 1)), 0.5)
	c.Close()
	_ = e.Close()
	c, e = onEngine(t, crashed)
	defer func() { c.Close(); _ = e.Close() }()
	got := c.Offsets.Fetch("classic", nil, true)
	if len(got) != 4 || got[0].Offset != 2 || got[1].Offset != 3 || got[2].Offset != 4 || !errors.Is(got[3].Err, ErrUnstable) {
		t.Errorf("%+v", got)
	}
	if err := end(two, true); err != nil {
		t.Error(err)
	}
	if u, ok := c.Offsets.Get("classic", TopicPartition{"u", 0}); !ok || u.Offset != 6 {
		t.Errorf("%+v %t", u, ok)
	}
	if err := c.Heartbeat("classic", Identity{Member: member}, 1); err != nil {
		t.Errorf("the next heartbeat: %v", err)
	}
	if again := beat(t, c, "modern", brief("m", a.Epoch)); again.Epoch != a.Epoch || again.Told {
		t.Errorf("%+v", again)
	}
}
