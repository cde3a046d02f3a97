package broker_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/broker"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/proof/victim"
)

var (
	cutSeed = flag.Uint64("broker.cutseed", 0, "seed of what a power cut leaves; 0 draws one")
	cutStep = flag.Int("broker.cutstep", 0, "cut the power at this operation only; 0: see broker.cuts")
	cuts    = flag.Int("broker.cuts", 15, "cut the power at so many operations of each protocol, spread evenly; -1: at each of about 500")
)

// cutDisk is a disk in memory whose power goes at its nth operation that changes something: nothing after it works, and left is what there
// is then. What was promised before must be in it.
type cutDisk struct {
	inner *disk.Mem
	at    int
	off   context.CancelFunc // called when the power goes

	mu    sync.RWMutex // held for writing while left is made, so that no operation is under way
	count int          // guarded by step
	step  sync.Mutex
	left  *disk.Mem // guarded by mu
	rng   *rand.Rand
}

// around is asked about each operation.
func (d *cutDisk) around(c *victim.Call, do func() error) error {
	switch c.Op {
	case "read", "size", "readdir", "open", "free", "lock", "map", "close":
		return d.alive(do)
	}
	d.step.Lock()
	d.count++
	now := d.count == d.at
	d.step.Unlock()
	if now {
		d.mu.Lock()
		d.left = d.inner.Crash(d.rng, []float64{0, 0.5, 1}[d.rng.IntN(3)])
		d.mu.Unlock()
		d.off()
	}
	return d.alive(do)
}

func (d *cutDisk) alive(do func() error) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.left != nil {
		return errExpected
	}
	return do()
}

// promises is what clients were told.
type promises struct {
	ended  []outcome // of each transaction, in order
	plain  int64     // offset of in/0 that the group "plain" has committed
	asked  int64     // the same, as last asked for
	member string    // of the group "modern"
	epoch  int32
}

const (
	cutTransactions = 4
	cutTopic        = "ledger"
)

// TestPowerCutAtEveryStep cuts the power at each operation of the disk while a producer runs transactions over a topic and a group's offsets,
// another group commits, and a third one of the new protocol has a member; then it starts the broker on what is left. Both protocols of
// transactions are tried.
func TestPowerCutAtEveryStep(t *testing.T) {
	seed := *cutSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	if (testing.Short() || raceEnabled) && *cuts > 5 {
		*cuts = 5
	}
	for _, protocol := range []int16{1, 2} {
		t.Run(fmt.Sprintf("transaction.version=%d", protocol), func(t *testing.T) {
			steps := runCut(t, seed, protocol, 0)
			if steps < 20 {
				t.Fatalf("%d operations in all: the test looks at nothing", steps)
			}
			stride := 1
			if *cuts > 0 && *cutStep == 0 {
				stride = max(1, steps / *cuts)
			}
			tried := 0
			for at := 1 + int(seed%uint64(stride)); at <= steps; at += stride {
				if *cutStep > 0 && at != *cutStep {
					continue
				}
				t.Run(fmt.Sprint("step=", at), func(t *testing.T) {
					runCut(t, seed+uint64(at), protocol, at)
				})
				if t.Failed() {
					t.Fatalf("repeat: go test ./broker -count=1 -run '^TestPowerCutAtEveryStep$' -broker.cutseed=%d -broker.cutstep=%d", seed, at)
				}
				tried++
			}
			t.Logf("seed %d: %d operations, the power was cut at %d of them", seed, steps, tried)
		})
	}
}

// runCut plays once, cuts at the operation at (0: never), and checks what is left. It gives the number of operations.
func runCut(t *testing.T, seed uint64, protocol int16, at int) (steps int) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	d := &cutDisk{inner: disk.NewMem(), off: cancel, rng: rand.New(rand.NewPCG(seed, 1))}
	b := startWith(t, broker.Options{FS: victim.Around(d.inner, d.around)}, "/data", modern...)
	adm := b.admin()
	for topic, partitions := range map[string]int32{cutTopic: 2, "in": 1} {
		if _, err := adm.CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
	}
	d.step.Lock()
	d.count, d.at = 0, at // what came before is not what this test is about
	d.step.Unlock()
	var told promises
	opts := []kgo.Opt{kgo.TransactionalID("cut"), kgo.RecordPartitioner(kgo.ManualPartitioner())}
	if protocol < 2 {
		opts = append(opts, kgo.MaxVersions(maxProduce(11)))
	}
	c := b.client(opts...)
	for n := range int64(cutTransactions) {
		if told.ended = append(told.ended, cutTransaction(ctx, t, c, n)); told.ended[n] == unknown {
			break
		}
		told.asked = n + 1
		if err := commitPlain(ctx, adm, n+1); err != nil {
			break
		}
		told.plain = n + 1
		if resp, err := joinModern(ctx, b.client(), told.member, told.epoch); err == nil {
			told.member, told.epoch = *resp.MemberID, resp.MemberEpoch
		} else {
			break
		}
	}
	if at == 0 && (len(told.ended) != cutTransactions || slices.Contains(told.ended, unknown) || told.plain != cutTransactions || told.member == "") {
		t.Fatalf("nothing is cut, and yet %+v", told)
	}
	c.Close()
	b.stop()
	d.mu.Lock()
	left := d.left
	d.mu.Unlock()
	if left == nil { // it ended before
		left = d.inner
	}
	afterCut(t, left, told)
	return d.count
}

// cutTransaction runs the nth transaction; each third one is aborted.
func cutTransaction(ctx context.Context, t *testing.T, c *kgo.Client, n int64) outcome {
	if err := c.BeginTransaction(); err != nil {
		return unknown
	}
	if err := c.ProduceSync(ctx, &kgo.Record{Topic: cutTopic, Partition: 0, Value: fmt.Append(nil, n)}, &kgo.Record{Topic: cutTopic, Partition: 1, Value: fmt.Append(nil, n)}).FirstErr(); err != nil {
		return unknown
	}
	id, epoch, err := c.ProducerID(ctx)
	if err != nil {
		return unknown
	}
	add := kmsg.NewAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = "cut", id, epoch, "copy"
	added, err := add.RequestWith(ctx, c)
	if err != nil || added.ErrorCode != 0 {
		if err == nil && !stopping(added.ErrorCode) {
			t.Errorf("AddOffsetsToTxn: %v", kerr.ErrorForCode(added.ErrorCode))
		}
		return unknown
	}
	commit := kmsg.NewTxnOffsetCommitRequest()
	commit.TransactionalID, commit.ProducerID, commit.ProducerEpoch, commit.Group, commit.Generation = "cut", id, epoch, "copy", -1
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Offset = n + 1
	commit.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "in", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{p}}}
	committing, err := commit.RequestWith(ctx, c)
	if err != nil {
		return unknown
	}
	if e := committing.Topics[0].Partitions[0].ErrorCode; e != 0 {
		if !stopping(e) {
			t.Errorf("TxnOffsetCommit: %v", kerr.ErrorForCode(e))
		}
		return unknown
	}
	end := kgo.TransactionEndTry(n%3 != 2)
	if err := c.EndTransaction(ctx, end); err != nil {
		return unknown
	}
	if end {
		return committed
	}
	return aborted
}

// stopping says that an answer may come from a broker whose disk is gone.
func stopping(code int16) bool {
	err := kerr.ErrorForCode(code)
	return kerr.IsRetriable(err) || errors.Is(err, kerr.UnknownServerError) || errors.Is(err, kerr.KafkaStorageError)
}

func commitPlain(ctx context.Context, adm *kadm.Client, at int64) error {
	var o kadm.Offsets
	o.AddOffset("in", 0, at, -1)
	resp, err := adm.CommitOffsets(ctx, "plain", o)
	if err != nil {
		return err
	}
	return resp.Error()
}

// joinModern is the first heartbeat of a member, or a further one.
func joinModern(ctx context.Context, c *kgo.Client, member string, epoch int32) (*kmsg.ConsumerGroupHeartbeatResponse, error) {
	r := kmsg.NewConsumerGroupHeartbeatRequest()
	r.Group, r.MemberID, r.MemberEpoch = "modern", member, epoch
	if member == "" {
		r.MemberID, r.MemberEpoch, r.RebalanceTimeoutMillis = "somebody", 0, 60_000
		r.SubscribedTopicNames, r.Topics = []string{cutTopic}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	resp, err := r.RequestWith(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	return resp, nil
}

// afterCut starts a broker on what is left, ends what is open, and holds what is there to what was told.
func afterCut(t *testing.T, left *disk.Mem, told promises) {
	t.Helper()
	b := startWith(t, broker.Options{FS: left}, "/data", modern...)
	defer b.stop()
	ctx := within(t, 30*time.Second)
	heir := b.client(kgo.TransactionalID("cut"))
	if err := heir.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := heir.ProducerID(ctx); err != nil {
		t.Fatalf("the transactional id cannot be taken over: %v", err)
	}
	seen := map[string]int{}
	for _, v := range readAll(t, b, cutTopic, kgo.ReadCommitted()) {
		seen[v]++
	}
	offset := int64(-1) // where the group "copy" must be
	for n, was := range told.ended {
		got := seen[fmt.Sprint(n)]
		delete(seen, fmt.Sprint(n))
		switch {
		case was == committed && got != 2, was == aborted && got != 0, was == unknown && got != 0 && got != 2:
			t.Errorf("transaction %d was %s, and %d of its 2 records are seen", n, was, got)
		}
		if got == 2 { // whole means: with its offsets
			offset = int64(n) + 1
		}
	}
	if len(seen) > 0 {
		t.Errorf("seen are also %v", slices.Collect(maps.Keys(seen)))
	}
	if at := offsetOf(ctx, t, b, "copy"); at != offset {
		t.Errorf("the group \"copy\" is at %d, the transactions that are seen say %d; %v", at, offset, told.ended)
	}
	if at := offsetOf(ctx, t, b, "plain"); at < told.plain && told.plain > 0 || at > told.asked {
		t.Errorf("the group \"plain\" is at %d, told was %d, asked for %d", at, told.plain, told.asked)
	}
	if told.member != "" {
		resp, err := joinModern(ctx, b.client(), told.member, told.epoch)
		if err != nil || resp.MemberEpoch < told.epoch {
			t.Errorf("the member %s of epoch %d is not known any more: %v %+v", told.member, told.epoch, err, resp)
		}
	}
	if err := commitPlain(ctx, b.admin(), 100); err != nil { // the broker works
		t.Error(err)
	}
}

// offsetOf is where a group is in in/0; -1: nowhere.
func offsetOf(ctx context.Context, t *testing.T, b *inProcess, group string) int64 {
	t.Helper()
	offsets, err := b.admin().FetchOffsets(ctx, group)
	if err != nil {
		t.Fatal(err)
	}
	if o, ok := offsets.Lookup("in", 0); ok {
		return o.At
	}
	return -1
}
