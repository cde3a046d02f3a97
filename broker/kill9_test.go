package broker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestKill9 kills the broker with SIGKILL again and again while producers write, and reads everything at the end. No
// acknowledged record may be lost or be elsewhere than the producer was told; what idempotent producers wrote is there once
// and in order.
func TestKill9(t *testing.T) {
	kills := 50
	if testing.Short() || raceEnabled {
		kills = 8
	}
	newKillRun(t).run(kills)
}

// newKillRun draws the moments of the kills. (The variable does not begin with STREAMBUS_, which the broker would take for a setting.)
func newKillRun(t *testing.T) *killRun {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("KILL9_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("to repeat: KILL9_SEED=%d go test ./broker -run '^%s$'", seed, t.Name())
	return &killRun{
		t: t, dir: t.TempDir(), listener: fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", freePort(t)), rng: rand.New(rand.NewPCG(seed, 0)),
	}
}

const (
	killTopic      = "t"
	killPartitions = 3
	killProducers  = 6 // the even ones are idempotent
)

type killRun struct {
	t        *testing.T
	dir      string
	listener string
	rng      *rand.Rand
	proc     *process
	writers  []*killWriter
}

func (r *killRun) spawn() {
	r.proc = spawnBroker(r.t, r.dir, r.listener, "commit.log.file.bytes=1048576", "message.max.bytes=262144", "log.segment.bytes=131072")
}

func (r *killRun) run(kills int) {
	r.spawn()
	r.proc.waitReady()
	addr := r.proc.addr
	admin := kadm.NewClient(client(r.t, addr))
	if _, err := admin.CreateTopic(r.t.Context(), killPartitions, 1, nil, killTopic); err != nil {
		r.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(r.t.Context())
	var running sync.WaitGroup
	for i := range killProducers {
		w := newKillWriter(r.t, addr, i)
		r.writers = append(r.writers, w)
		running.Go(func() { w.run(ctx) })
	}
	recovering := r.kill(kills)
	wait(300)
	stop()
	running.Wait()
	acked := r.check(addr)
	if acked == 0 {
		r.t.Fatal("nothing was acknowledged: the test tests nothing")
	}
	r.t.Logf("%d kills, %d of them during recovery; %d records acknowledged", kills, recovering, acked)
	r.proc.signal(os.Interrupt)
	if code := r.proc.wait(); code != 0 {
		r.t.Errorf("exit code %d after SIGINT:\n%s", code, r.proc.stderr)
	}
}

// kill kills the broker at random moments, and starts it again. It says how often that was in the middle of recovery.
func (r *killRun) kill(times int) (recovering int) {
	for range times {
		if r.rng.IntN(8) == 0 {
			recovering++
			wait(r.rng.IntN(30))
		} else {
			r.proc.waitReady()
			wait(20 + r.rng.IntN(350))
		}
		r.proc.kill()
		r.spawn()
	}
	r.proc.waitReady()
	return recovering
}

// wait lets the broker work for a while; how long is what the test varies, nothing is expected of it.
func wait(ms int) { <-time.After(time.Duration(ms) * time.Millisecond) }

// killWriter writes numbers from 0 on to one partition.
type killWriter struct {
	t          *testing.T
	id         int
	idempotent bool
	client     *kgo.Client
	pad        string
	next       int

	mu    sync.Mutex
	acked map[int]int64 // number to offset
}

func newKillWriter(t *testing.T, addr string, id int) *killWriter {
	w := &killWriter{t: t, id: id, idempotent: id%2 == 0, pad: strings.Repeat("x", 100+id*200), acked: map[int]int64{}}
	opts := []kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.MaxBufferedRecords(200), kgo.UnknownTopicRetries(-1), kgo.AlwaysRetryEOF()}
	if !w.idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	w.client = client(t, addr, opts...)
	return w
}

func (w *killWriter) partition() int32 { return int32(w.id % killPartitions) }

func (w *killWriter) run(ctx context.Context) {
	for ; ctx.Err() == nil; w.next++ {
		n := w.next
		value := fmt.Sprintf("%d %d %s", w.id, n, w.pad)
		w.client.Produce(context.Background(), &kgo.Record{Topic: killTopic, Partition: w.partition(), Value: []byte(value)}, func(rec *kgo.Record, err error) {
			switch {
			case err == nil:
				w.mu.Lock()
				w.acked[n] = rec.Offset
				w.mu.Unlock()
			case w.idempotent || !errors.Is(err, kerr.NotLeaderForPartition):
				w.t.Errorf("producer %d: record %d: %v", w.id, n, err)
			}
		})
	}
	if err := w.client.Flush(within(w.t, 20*time.Second)); err != nil {
		w.t.Errorf("producer %d: %d records are never answered: %v", w.id, w.client.BufferedProduceRecords(), err)
	}
}

// check reads everything and holds it against what was acknowledged.
func (r *killRun) check(addr string) (acked int) {
	last := map[int]int{}  // of each producer, the highest number seen
	count := map[int]int{} // of each producer, the records seen for the first time
	r.read(addr, func(rec *kgo.Record) {
		var id, n int
		if _, err := fmt.Sscanf(string(rec.Value), "%d %d", &id, &n); err != nil || id >= len(r.writers) || int32(id%killPartitions) != rec.Partition {
			r.t.Fatalf("partition %d offset %d holds %.40q, which nobody wrote there", rec.Partition, rec.Offset, rec.Value)
		}
		w := r.writers[id]
		switch want := count[id]; {
		case n == want:
			count[id]++
		case n < want && !w.idempotent: // a retry: allowed
		case n < want:
			r.t.Fatalf("record %d of idempotent producer %d is there twice, again at offset %d", n, id, rec.Offset)
		default:
			r.t.Fatalf("producer %d: record %d at offset %d comes before %d", id, n, rec.Offset, want)
		}
		last[id] = max(last[id], n)
		if at, ok := w.acked[n]; ok && at == rec.Offset {
			delete(w.acked, n)
			acked++
		}
	})
	for _, w := range r.writers {
		for n, at := range w.acked {
			r.t.Errorf("producer %d was told that record %d is at offset %d of partition %d; it is not there (highest seen: %d)", w.id, n, at, w.partition(), last[w.id])
			break // one per producer says enough
		}
	}
	return acked
}

func (r *killRun) read(addr string, f func(*kgo.Record)) {
	ctx := within(r.t, 30*time.Second)
	ends, err := kadm.NewClient(client(r.t, addr)).ListEndOffsets(ctx, killTopic)
	if err != nil || ends.Error() != nil {
		r.t.Fatal(err, ends.Error())
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	c := client(r.t, addr, kgo.ConsumeTopics(killTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for left > 0 {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			r.t.Fatalf("%d records left to read: %v", left, err)
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			f(rec)
			left--
		})
	}
}
