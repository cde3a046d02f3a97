package engine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

// committedValues is what a consumer of committed records makes of the log: the last value of each key.
func committedValues(t *testing.T, l *Log) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := readCommitted(l, l.StartOffset(), l.Stable(l.FlushedEnd()), func() int { return 2000 }, func(r batch.Record) {
		if r.Value == nil {
			delete(got, string(r.Key))
			return
		}
		got[string(r.Key)] = string(r.Value)
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// abortedKnown counts the entries that readers may be told of.
func abortedKnown(l *Log) (n int) {
	for _, x := range l.abortedEntries() {
		n += len(x)
	}
	return n
}

// TestCompactionOfTransactions: what was committed stays as it is, what was aborted never shows, nothing at or above the last stable offset is
// touched, and markers go when nothing needs them any more, with their entries. So it is after a start that knows nothing, too.
func TestCompactionOfTransactions(t *testing.T) {
	var clock atomic.Int64
	clock.Store(10_000_000)
	mem := disk.NewMem()
	o := smallOptions(mem, "/d")
	o.Now, o.CleanerBytes, o.CleanBytesPerSecond, o.TidyInterval = func() time.Time { return time.UnixMilli(clock.Load()) }, 1<<16, 1<<40, time.Hour
	e := mustOpen(t, o)
	w := newWatcher()
	lo := LogOptions{Observer: w, SegmentBytes: 3000, IndexIntervalBytes: 300, Compact: true, MinDirtyRatio: 0.01, DeleteRetention: time.Second}
	l := mustLog(t, e, "t-0", lo)
	seed := *txnSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat: go test ./engine -run '^TestCompactionOfTransactions$' -txn.seed=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 7))
	clients := make([]client, 4)
	want, aborts := map[string]string{}, 0
	transaction := func(end bool) {
		id := rng.IntN(len(clients))
		c := &clients[id]
		changes := map[string]string{}
		for range 1 + rng.IntN(3) {
			k, v := fmt.Sprint("key", rng.IntN(30)), fmt.Sprint(rng.Int(), strings.Repeat("x", rng.IntN(150)))
			b := c.data(batch.ProducerID(id), true, [2]string{k, v})
			c.seq = b.LastSequence().Add(1)
			changes[k] = v
			appendAll(t, l, w, b)
		}
		if !end {
			return
		}
		kind := batch.Commit
		if rng.IntN(2) == 0 {
			kind = batch.Abort
			aborts++
		} else {
			maps.Copy(want, changes)
		}
		appendAll(t, l, w, batch.EndTxnMarker(kind, batch.ProducerID(id), c.epoch, 1, time.UnixMilli(clock.Load())))
	}
	check := func(when string) {
		t.Helper()
		if got := committedValues(t, l); !maps.Equal(got, want) {
			t.Fatalf("%s: %v, want %v", when, got, want)
		}
	}
	for range 120 {
		transaction(true)
	}
	check("before")
	before := l.EndOffset()
	for range 3 { // the first removes records, the others, after the horizon, markers
		compactNow(t, e, l)
		check("compacted")
		clock.Add(2000)
		for range 30 {
			transaction(true)
		}
	}
	if n := abortedKnown(l); n == 0 || n >= aborts {
		t.Errorf("%d of %d aborted transactions are known after their records went", n, aborts)
	}
	if l.StartOffset() != 0 || before > l.EndOffset() {
		t.Errorf("the log is [%d, %d)", l.StartOffset(), l.EndOffset())
	}
	transaction(false) // one stays open, and nothing from there on may be touched
	stable := l.Stable(l.FlushedEnd())
	for range 60 {
		transaction(false)
	}
	if l.Stable(l.FlushedEnd()) != stable {
		t.Fatal("an open transaction became stable")
	}
	var old []byte
	read := func() (all []byte) {
		for at := stable; at < l.FlushedEnd(); {
			s, err := l.Read(at, l.FlushedEnd(), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			all, err = s.AppendTo(all)
			at = s.Next()
			s.Release()
			if err != nil {
				t.Fatal(err)
			}
		}
		return all
	}
	old = read()
	clock.Add(10_000)
	compactNow(t, e, l)
	if string(read()) != string(old) {
		t.Error("what is not decided was compacted")
	}
	check("with an open transaction")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	_ = mem.Remove(path.Join("/d/t-0", recapFile))
	e = mustOpen(t, o)
	w = newWatcher()
	lo.Observer = w
	l = mustLog(t, e, "t-0", lo)
	w.end = l.FlushedEnd()
	if got := l.Stable(l.FlushedEnd()); got != stable {
		t.Errorf("stable after a start is %d, want %d", got, stable)
	}
	check("started without a recap")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}
