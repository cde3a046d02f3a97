package meta

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/streambus/streambus/broker/internal/quota"
	"github.com/streambus/streambus/engine/batch"
	"pgregory.net/rapid"
)

// memory is a journal that can be made to fail before it takes a batch.
type memory struct {
	batches []batch.Batch
	end     batch.Offset
	refuse  error
	done    func() // called after each write and trim, if it is set
}

func (m *memory) Write(_ context.Context, b batch.Batch) error {
	if m.refuse != nil {
		return m.refuse
	}
	b.Stamp(m.end, 0)
	m.end = b.NextOffset()
	m.batches = append(m.batches, b)
	m.tell()
	return nil
}

func (m *memory) HighWatermark() batch.Offset { return m.end }

func (m *memory) Trim(to batch.Offset) error {
	for len(m.batches) > 0 && m.batches[0].NextOffset() <= to {
		m.batches = m.batches[1:]
	}
	m.tell()
	return nil
}

func (m *memory) tell() {
	if m.done != nil {
		m.done()
	}
}

func (m *memory) Replay(f func(batch.Batch) error) error {
	for _, b := range m.batches {
		if err := f(b); err != nil {
			return err
		}
	}
	return nil
}

func open(t interface{ Fatal(...any) }, j Journal) *Store {
	s, err := Open(context.Background(), j)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTopicsOutliveARestart(t *testing.T) {
	j := &memory{}
	ctx := t.Context()
	s := open(t, j)
	cluster := s.Image().ClusterID
	a, err := s.CreateTopic(ctx, "a", 3, map[string]string{"cleanup.policy": "compact", "x": ""})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateTopic(ctx, "a", 1, nil); !errors.Is(err, ErrExists) {
		t.Errorf("second a: %v, want ErrExists", err)
	}
	b, _ := s.CreateTopic(ctx, "b", 1, nil)
	if err := s.DeleteTopic(ctx, b.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteTopic(ctx, b.ID); !errors.Is(err, ErrNoTopic) {
		t.Errorf("b again: %v, want ErrNoTopic", err)
	}
	before := s.Image()
	if e := before.Epoch(a); e != 0 {
		t.Errorf("epoch %d of a new topic, want 0", e)
	}

	s = open(t, j)
	after := s.Image()
	if diff := cmp.Diff(before, after, cmpopts.IgnoreFields(Image{}, "starts"), cmpopts.EquateEmpty(), cmp.AllowUnexported(Image{}, Topic{})); diff != "" {
		t.Errorf("M2 (-before +after):\n%s", diff)
	}
	if after.ClusterID != cluster || after.Epoch(after.Topics["a"]) != 1 {
		t.Errorf("cluster %v, was %v; epoch %d, want 1", after.ClusterID, cluster, after.Epoch(after.Topics["a"]))
	}
	if after.Deleted[b.ID] == nil {
		t.Error("b's logs were not reported dropped, and the restart has forgotten them")
	}
	if err := s.Dropped(ctx, b.ID); err != nil || len(s.Image().Deleted) != 0 {
		t.Errorf("Dropped: %v, left %v", err, s.Image().Deleted)
	}
	again, err := s.CreateTopic(ctx, "b", 1, nil)
	if err != nil || again.ID == b.ID || s.Image().Epoch(again) != 0 {
		t.Errorf("b anew: %+v, %v", again, err)
	}
}

func TestRefusedWriteChangesNothing(t *testing.T) {
	j := &memory{}
	s := open(t, j)
	before := s.Image()
	j.refuse = errors.New("disk is full")
	if _, err := s.CreateTopic(t.Context(), "a", 1, nil); !errors.Is(err, j.refuse) {
		t.Errorf("%v, want %v", err, j.refuse)
	}
	if _, err := s.NewProducerID(t.Context()); !errors.Is(err, j.refuse) {
		t.Errorf("%v, want %v", err, j.refuse)
	}
	if s.Image() != before {
		t.Error("M1: the image changed without a durable record")
	}
	j.refuse = nil
	if id, err := s.NewProducerID(t.Context()); err != nil || id != 0 {
		t.Errorf("id %d, %v; want 0: a refused block is not given out", id, err)
	}
}

func TestProducerIDsAreGivenOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := &memory{}
		s := open(t, j)
		given := map[batch.ProducerID]bool{}
		for _, n := range rapid.SliceOfN(rapid.IntRange(0, 2100), 1, 6).Draw(t, "ids between restarts") {
			for range n {
				id, err := s.NewProducerID(context.Background())
				if err != nil || given[id] || id < 0 {
					t.Fatalf("M3: id %d, given before: %t, %v", id, given[id], err)
				}
				given[id] = true
			}
			s = open(t, j)
		}
	})
}

// anyRecord draws a record of any kind, with what the kind stores.
func anyRecord(t *rapid.T) record {
	r := record{kind: kind(rapid.IntRange(int(clusterCreated), int(topicState)).Draw(t, "kind"))}
	text := func(what string) string { return rapid.String().Draw(t, what) }
	r.id[3] = rapid.Byte().Draw(t, "id")
	switch r.kind {
	case groupSettings, featureLevel, scramSet, scramRemoved, producerIDs, brokerSettings, clientQuotas, snapshotPart, brokerStarted:
		r.id = UUID{}
	}
	switch r.kind {
	case topicCreated, topicState, groupSettings, featureLevel, scramSet, scramRemoved:
		r.name = text("name")
	}
	switch r.kind {
	case topicCreated, topicState, topicChanged, brokerSettings, groupSettings, clientQuotas:
		r.settings = rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "settings")
	}
	switch r.kind {
	case topicCreated, topicState, partitionsSet:
		r.partitions = rapid.Uint32().Draw(t, "partitions")
	case producerIDs, clusterState:
		r.next = rapid.Uint64().Draw(t, "next")
	case brokerSettings:
		r.node = rapid.Int32().Draw(t, "node")
	case clientQuotas:
		for _, p := range []*quota.Part{&r.entity.User, &r.entity.ClientID, &r.entity.IP} {
			*p = []quota.Part{{}, quota.TheDefault, quota.Named(text("entity"))}[rapid.IntRange(0, 2).Draw(t, "part")]
		}
	case featureLevel:
		r.level = rapid.Uint16().Draw(t, "level")
	case scramSet:
		r.scram = Scram{Iterations: rapid.Int32().Draw(t, "iterations"), Salt: text("salt"), StoredKey: text("stored"), ServerKey: text("server")}
		r.scram.Mechanism = Mechanism(rapid.Int8().Draw(t, "mechanism"))
	case scramRemoved:
		r.scram.Mechanism = Mechanism(rapid.Int8().Draw(t, "mechanism"))
	case snapshotPart:
		r.index, r.last = rapid.Uint32().Draw(t, "index"), rapid.Bool().Draw(t, "last")
	}
	switch r.kind {
	case topicState:
		r.starts, r.deleted = rapid.Uint32().Draw(t, "starts"), rapid.Bool().Draw(t, "deleted")
	case clusterState:
		r.starts, r.epoch = rapid.Uint32().Draw(t, "starts"), rapid.Uint64().Draw(t, "epoch")
	}
	return r
}

func TestRecordsSurviveEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord(t)
		got, err := decodeRecord(r.append(nil))
		if err != nil || !maps.Equal(got.settings, r.settings) {
			t.Fatalf("%+v: %+v, %v", r, got, err)
		}
		got.settings, r.settings = nil, nil
		if diff := cmp.Diff(r, got, cmp.AllowUnexported(record{})); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestStartStopsAtRecordsThatDoNotFit(t *testing.T) {
	id := UUID{1}
	created := record{kind: topicCreated, id: id, name: "a", partitions: 1}.append(nil)
	for name, records := range map[string][][]byte{
		"empty":             {{}},
		"unknown kind":      {{99, 0}},
		"newer version":     {{byte(brokerStarted), 1}},
		"cut off":           {created[:len(created)-1]},
		"trailing byte":     {append(bytes.Clone(created), 0)},
		"created twice":     {created, created},
		"deleted, unknown":  {record{kind: topicDeleted, id: id}.append(nil)},
		"dropped, living":   {created, record{kind: topicDropped, id: id}.append(nil)},
		"no partitions":     {record{kind: topicCreated, id: id, name: "a"}.append(nil)},
		"two clusters":      {record{kind: clusterCreated, id: id}.append(nil), record{kind: clusterCreated, id: id}.append(nil)},
		"ids that go back":  {record{kind: producerIDs, next: 5}.append(nil), record{kind: producerIDs, next: 5}.append(nil)},
		"ids below nothing": {record{kind: producerIDs, next: 1 << 63}.append(nil)},
		"changed, unknown":  {record{kind: topicChanged, id: id}.append(nil)},
		"grown, unknown":    {record{kind: partitionsSet, id: id, partitions: 2}.append(nil)},
		"grown to nothing":  {created, record{kind: partitionsSet, id: id}.append(nil)},
		"quotas of nobody":  {record{kind: clientQuotas}.append(nil)},
		"a quota of words":  {record{kind: clientQuotas, entity: quota.Entity{User: quota.TheDefault}, settings: map[string]string{"a": "b"}}.append(nil)},
		"a quota of NaN":    {record{kind: clientQuotas, entity: quota.Entity{User: quota.TheDefault}, settings: map[string]string{"a": "NaN"}}.append(nil)},
		"a level below 0":   {record{kind: featureLevel, name: "x", level: 1 << 15}.append(nil)},
		"part in a batch":   {created, record{kind: snapshotPart}.append(nil)},
		"part 1 first":      {record{kind: snapshotPart, index: 1}.append(nil)},
		"state, no part":    {record{kind: clusterState}.append(nil)},
		"change in a part":  {record{kind: snapshotPart}.append(nil), created},
		"two states":        {record{kind: snapshotPart}.append(nil), record{kind: clusterState, starts: 1}.append(nil), record{kind: clusterState, starts: 1}.append(nil)},
		"born in future":    {record{kind: snapshotPart}.append(nil), record{kind: topicState, id: id, name: "a", partitions: 1, starts: 1}.append(nil)},
		"a bit of 2":        {{byte(snapshotPart), 0, 0, 0, 0, 0, 2}},
		"a part of 3":       {{byte(clientQuotas), 0, 3, 0, 0, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Open(t.Context(), &memory{batches: []batch.Batch{built(records...)}}); !errors.Is(err, errRecord) {
				t.Errorf("%v, want errRecord", err)
			}
		})
	}
}

func built(values ...[]byte) batch.Batch {
	var b batch.Builder
	for _, v := range values {
		b.Add(time.UnixMilli(0), nil, v)
	}
	return b.Batch()
}

func FuzzReplay(f *testing.F) {
	f.Add([]byte{byte(brokerStarted), 0}, []byte{byte(producerIDs), 0, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Add(record{kind: topicCreated, id: UUID{1}, name: "a", partitions: 1, settings: map[string]string{"k": "v"}}.append(nil),
		record{kind: topicDeleted, id: UUID{1}}.append(nil))
	f.Add(record{kind: snapshotPart, last: true}.append(nil), record{kind: clusterState, starts: 3, next: 7}.append(nil))
	f.Add(record{kind: clientQuotas, entity: quota.Entity{User: quota.Named("u")}, settings: map[string]string{"a": "1.5"}}.append(nil),
		record{kind: scramSet, name: "u", scram: Scram{Mechanism: 1, Iterations: 4096, Salt: "s"}}.append(nil))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		p := newReplay()
		image, err := p.image, p.batch(built(a, b))
		if err == nil {
			image = p.image
		}
		if err != nil {
			if !errors.Is(err, errRecord) {
				t.Errorf("%v is not errRecord", err)
			}
			return
		}
		for name, topic := range image.Topics {
			if topic.Name != name || image.ByID[topic.ID] != topic || topic.Partitions < 1 {
				t.Errorf("M4: %q is %+v", name, topic)
			}
		}
		r, err := decodeRecord(a)
		if err != nil {
			t.Errorf("replayed and does not decode: %v", err)
		}
		if again, err := decodeRecord(r.append(nil)); err != nil || again.kind != r.kind {
			t.Errorf("%+v encodes to what decodes to %+v, %v", r, again, err)
		}
	})
}
