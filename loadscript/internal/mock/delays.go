package mock

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/loadscript/internal/gen"
)

// Lognormal is a distribution of delays whose quantiles are known exactly.
type Lognormal struct {
	Median time.Duration
	Sigma  float64 // standard deviation of the delay's logarithm
}

// Quantile is the delay below which the fraction q in (0, 1) lies.
func (l Lognormal) Quantile(q float64) time.Duration {
	z := math.Sqrt2 * math.Erfinv(2*q-1)
	return time.Duration(float64(l.Median) * math.Exp(l.Sigma*z))
}

// Delays is the latency that the broker gives to each record of one run, counted from the time at which the record was due:
// it reads that from the record's stamp, so what the way to the broker took is part of the delay and does not add to it. The
// delays are the quantiles (i + 1/2)/n of the distribution in random order (K3).
//
// Answers on one connection come in order, so a delay must not end before that of the record in front of it. Where the next
// delay would, another one is taken from those that are left; so no record waits for a neighbour, and the order is not quite
// random. Give the run so many producers that a connection is seldom asked twice within one delay, and no compression.
type Delays struct {
	runID uint64
	clock func() int64

	mu     sync.Mutex
	left   []time.Duration // guarded by mu, as all below
	last   map[uint32]int64
	drawn  []time.Duration
	actual []time.Duration
}

// NewDelays prepares the delays of n records of the run (or scenario) with the given id; later records are answered at once.
func NewDelays(runID uint64, n int, l Lognormal, seed uint64) *Delays {
	d := &Delays{runID: runID, last: map[uint32]int64{}}
	for i := range n {
		d.left = append(d.left, l.Quantile((float64(i)+0.5)/float64(n)))
	}
	rng := rand.New(rand.NewPCG(seed, 0x6d6f636b))
	rng.Shuffle(n, func(i, j int) { d.left[i], d.left[j] = d.left[j], d.left[i] })
	start := time.Now() // the wall clock is read once: it may be set while we run
	d.clock = func() int64 { return start.UnixNano() + int64(time.Since(start)) }
	return d
}

// Drawn and Actual are the delays given out, and the latencies from when a record was due until its answer was written; both
// ascending. The difference is what the machine added on the broker's side.
func (d *Delays) Drawn() []time.Duration { return d.sorted(&d.drawn) }

// Actual is described with Drawn.
func (d *Delays) Actual() []time.Duration { return d.sorted(&d.actual) }

func (d *Delays) sorted(list *[]time.Duration) []time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := slices.Clone(*list)
	slices.Sort(s)
	return s
}

// draw takes a delay for a record that was due at dueNs, and returns when it ends.
func (d *Delays) draw(producer uint32, dueNs int64) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(d.left)
	if n == 0 {
		return dueNs
	}
	least := time.Duration(d.last[producer] - dueNs)
	best := n - 1
	for i := n - 1; i >= 0; i-- { // nearly always the first or the second fits
		if d.left[i] >= least {
			best = i
			break
		}
		if d.left[i] > d.left[best] {
			best = i
		}
	}
	delay := d.left[best]
	d.left[best] = d.left[n-1]
	d.left = d.left[:n-1]
	d.drawn = append(d.drawn, delay)
	d.last[producer] = dueNs + int64(delay)
	return d.last[producer]
}

// answered notes when the answer for records that were due at the given times was written.
func (d *Delays) answered(due []int64) {
	now := d.clock()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range due {
		d.actual = append(d.actual, time.Duration(now-t))
	}
}

// delay holds back the answers to produce requests.
func (b *Broker) delay() {
	d := b.opts.Delays
	b.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		var due []int64
		var end int64
		for _, s := range b.stamps(r.(*kmsg.ProduceRequest)) {
			if s.RunID == d.runID {
				due = append(due, s.IntendedNs)
				end = max(end, d.draw(s.Producer, s.IntendedNs))
			}
		}
		if len(due) == 0 {
			return nil, nil, false
		}
		b.apart(func() { b.sleep(time.Duration(end - d.clock())) })
		d.answered(due)
		return nil, nil, false
	})
}

// apart has f done beside kfake's loop, while the request of the control function that calls it waits. kfake starts a second waiter, and the
// two race, where a wait begins on a connection in the very moment in which the one before it has ended; after the shortest of sleeps that
// moment is over: on the clock of a synctest bubble always, on a real one nearly so, and there the second waiter does no harm.
func (b *Broker) apart(f func()) {
	time.Sleep(time.Nanosecond)
	b.SleepControl(f)
}

// sleep waits for d, or until the broker is closed.
func (b *Broker) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-b.closing:
	}
}

// stamps reads the stamps of all records of a request.
func (b *Broker) stamps(req *kmsg.ProduceRequest) (stamps []gen.Stamp) {
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			var batch kmsg.RecordBatch
			if err := batch.ReadFrom(p.Records); err != nil {
				b.fail(err)
				return nil
			}
			records, err := kfake.BatchRecords(batch)
			if err != nil {
				b.fail(err)
				return nil
			}
			for _, r := range records {
				if s, condition := gen.Decode(r.Key, r.Value, nil); condition == gen.Intact {
					stamps = append(stamps, s)
				}
			}
		}
	}
	return stamps
}
