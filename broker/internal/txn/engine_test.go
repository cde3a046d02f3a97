package txn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

// site is a Coordinator over a real engine, on a disk in memory.
type site struct {
	engine *engine.Engine
	state  []Log
	data   []*partition.Partition
	ids    ids
	c      *Coordinator
}

type ids struct {
	mu   sync.Mutex
	next batch.ProducerID
}

func (i *ids) NewProducerID(context.Context) (batch.ProducerID, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.next++
	return i.next, nil
}

type waiter func(error)

func (w waiter) Done(err error) { w(err) }

func (s *site) WriteMarker(m Marker, done func(error)) {
	kind := batch.Abort
	if m.Commit {
		kind = batch.Commit
	}
	b := batch.EndTxnMarker(kind, m.ID, m.Epoch, int32(m.CoordinatorEpoch), time.UnixMilli(1))
	if _, err := s.data[m.Partition].Append(b, nil, waiter(done)); err != nil {
		done(err)
	}
}

func build(t *testing.T, fs disk.FS, firstID batch.ProducerID) *site {
	t.Helper()
	e, err := engine.Open(t.Context(), engine.Options{Dir: "/d", FS: fs, CommitFileBytes: 1 << 20, CommitFiles: 2, ReserveBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{engine: e, ids: ids{next: firstID}}
	for i := range 5 {
		p, err := partition.Open(e, fmt.Sprint("p-", i), 1, engine.LogOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if i < 2 {
			s.state = append(s.state, p)
		} else {
			s.data = append(s.data, p)
		}
	}
	s.c, err = Open(t.Context(), Options{
		Limits: Limits{Version: 2}, Logs: func(context.Context, bool) ([]Log, error) { return s.state, nil }, Sink: s, IDs: &s.ids,
		OffsetsOf: func(context.Context, string) (TopicPartition, error) { return TopicPartition{}, errors.ErrUnsupported },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) close(t *testing.T) {
	s.c.Close()
	if err := s.engine.Close(); err != nil {
		t.Log(err)
	}
}

// promise is an EndTxn that was answered: what the markers of the epoch must say, and where.
type promise struct {
	who    Producer
	commit bool
	parts  []TopicPartition
}

type promises struct {
	mu  sync.Mutex
	all []promise
	c   chan struct{} // gets a token for each
}

// produce runs transactions of one id until its Coordinator closes.
func (s *site) produce(t *testing.T, id string, me Producer, r *rand.Rand, p *promises) {
	for {
		parts := tps(int32(r.IntN(3)))
		if r.IntN(2) == 0 {
			parts = tps(0, 1, 2)
		}
		a := s.c.Admit(id, me, parts, true)
		errs, err := a.Wait(t.Context())
		a.Release()
		if err != nil || errors.Is(errs[0], ErrNotAvailable) {
			return
		}
		if errors.Is(errs[0], ErrConcurrent) {
			continue
		}
		commit := r.IntN(2) == 0
		end := wait(t, s.c.EndTxn(id, me, commit, 2))
		if errors.Is(end.Err, ErrNotAvailable) {
			return
		}
		if errs[0] != nil || end.Err != nil {
			t.Error(errs, end.Err)
			return
		}
		me = end.Producer
		p.mu.Lock()
		p.all = append(p.all, promise{me, commit, parts})
		p.mu.Unlock()
		select {
		case p.c <- struct{}{}:
		default:
		}
	}
}

// TestPowerCuts runs transactions on an engine, cuts the power, and holds what the next start makes of it to what was answered (X1, X2).
func TestPowerCuts(t *testing.T) {
	for seed := range uint64(15) {
		fs := disk.NewMem()
		s := build(t, fs, 0)
		r := rand.New(rand.NewPCG(seed, 2))
		p := &promises{c: make(chan struct{}, 1)}
		var wg sync.WaitGroup
		const producers = 4
		for i := range producers {
			own := rand.New(rand.NewPCG(seed, uint64(10+i)))
			id := fmt.Sprint("id-", i)
			me := initID(t, s.c, id)
			wg.Go(func() { s.produce(t, id, me, own, p) })
		}
		for range 5 + r.IntN(50) {
			<-p.c
		}
		p.mu.Lock()
		promised := append([]promise(nil), p.all...)
		p.mu.Unlock()
		after := fs.Crash(r, r.Float64())
		s.close(t)
		wg.Wait()

		s = build(t, after, 1000)
		for i := range producers {
			id := fmt.Sprint("id-", i)
			for wait(t, s.c.InitProducerID(t.Context(), id, 60_000, None)).Err != nil { // until what was going on is complete
				runtime.Gosched()
			}
		}
		s.check(t, seed, promised)
		s.close(t)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// check compares the markers in the logs with what was promised.
func (s *site) check(t *testing.T, seed uint64, promised []promise) {
	outcome := map[Producer]batch.ControlType{}
	in := map[Producer]map[int32]bool{}
	for n, l := range s.data {
		err := l.Replay(func(b batch.Batch) error {
			kind, _, ok := b.ControlType()
			who := Producer{b.ProducerID(), b.ProducerEpoch()}
			if old, was := outcome[who]; !ok || was && old != kind {
				t.Errorf("seed %d, X1: %+v is ended by %v and by %v (marker: %t)", seed, who, old, kind, ok)
			}
			outcome[who] = kind
			if in[who] == nil {
				in[who] = map[int32]bool{}
			}
			in[who][int32(n)] = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range promised {
		for _, part := range p.parts {
			if !in[p.who][part.Partition] || (outcome[p.who] == batch.Commit) != p.commit {
				t.Errorf("seed %d, X2: commit %t of %+v in %+v was answered; markers in %v say %v", seed, p.commit, p.who, part, in[p.who], outcome[p.who])
			}
		}
	}
}
