package drive

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/pace"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// member is one consumer of a flow: a client, and the goroutine that polls it. Rebalances wait for the end of a poll's work, as
// in Kafka's own consumer, so that a partition is never given up with records of it half done.
//
//	poll --> take each record (think, keep to the rate) --> done: what may be committed --> commit when due --> rebalance?
type member struct {
	flow   *consumeFlow
	number int
	client *kgo.Client
	e2e    *hist.Recorder
	cancel context.CancelFunc
	ended  chan struct{} // closed when the goroutine is gone

	mu         sync.Mutex
	done       map[int32]kgo.EpochOffset // what was taken and not committed, by partition; guarded by mu
	committing bool
}

// Limits of consumers.
const (
	// maxPoll bounds what one poll returns, so that a slow consumer commits at a fine grain; it is Kafka's max.poll.records.
	maxPoll = 500
	// pollWork bounds the time that the work on one poll takes, as a rebalance waits for it.
	pollWork = time.Second
	// autoCommit is Kafka's auto.commit.interval.ms.
	autoCommit = 5 * time.Second
	// commitPatience is how long a commit may wait until it is sent, and commitAgain when one that was not is tried again.
	commitPatience = 5 * time.Millisecond
	commitAgain    = 100 * time.Millisecond
	// leaveLimit bounds the last commit and the leaving of a group; a broker that is gone expires the member by itself.
	leaveLimit = 3 * time.Second
)

// commitEvery is how often offsets are committed; 0 = never.
func (f *consumeFlow) commitEvery() time.Duration {
	switch {
	case f.plan.Group == "" || f.plan.Commit.Kind == "none":
		return 0
	case f.plan.Commit.Kind == "every":
		return f.plan.Commit.Every
	}
	return autoCommit
}

// AddMembers lets n more members join the group while the scenario runs.
func (f *consumeFlow) AddMembers(n int) error {
	if f.plan.Group == "" {
		return fmt.Errorf("a direct reader of %s has no group that members could join", f.field.plan.Name)
	}
	f.membership.Lock()
	defer f.membership.Unlock()
	for range n {
		if f.work.Err() != nil {
			return fmt.Errorf("%s has stopped: no member can join", f.name())
		}
		if err := f.join(); err != nil {
			return err
		}
	}
	return nil
}

// RemoveMembers lets n members leave the group, the newest first: each commits what it has done, as its flow does, and says
// good-bye. It returns once they are gone.
func (f *consumeFlow) RemoveMembers(n int) error {
	f.membership.Lock()
	defer f.membership.Unlock()
	if n > len(f.members) {
		return fmt.Errorf("%s has %d members: %d cannot leave", f.name(), len(f.members), n)
	}
	going := f.members[len(f.members)-n:]
	f.members = f.members[: len(f.members)-n : len(f.members)-n]
	leaveAll(going)
	return nil
}

// join starts one member. Caller holds membership.
func (f *consumeFlow) join() error {
	m := &member{flow: f, number: f.joined, ended: make(chan struct{}), done: map[int32]kgo.EpochOffset{}, e2e: f.recorders[f.joined%len(f.recorders)]}
	client, err := kgo.NewClient(f.clientOpts(m)...)
	if err != nil {
		return fmt.Errorf("consumer of %s: %w", f.field.plan.Name, err)
	}
	f.joined++
	m.client = client
	ctx, cancel := context.WithCancel(f.work)
	m.cancel = cancel
	f.members = append(f.members, m)
	go func() {
		defer close(m.ended)
		m.poll(ctx)
		client.AllowRebalance() // or it could not leave
	}()
	return nil
}

// leaveAll ends members, all at once: they leave their group, so that it can be deleted.
func leaveAll(members []*member) {
	var wg sync.WaitGroup
	for _, m := range members {
		m.cancel()
		wg.Go(func() {
			<-m.ended
			if m.flow.plan.Group != "" {
				ctx, cancel := context.WithTimeout(context.Background(), leaveLimit)
				_ = m.client.LeaveGroupContext(ctx)
				cancel()
			}
			m.client.CloseAllowingRebalance()
		})
	}
	wg.Wait()
}

// pollLimit is how many records one poll may return; 0 = as many as there are.
func (f *consumeFlow) pollLimit() int {
	each := f.plan.ThinkTime
	if f.limiter != nil {
		each = max(each, time.Duration(f.limiter.every))
	}
	if each <= 0 {
		return 0
	}
	return int(min(max(pollWork/each, 1), maxPoll))
}

// poll is the life of one member.
func (m *member) poll(ctx context.Context) {
	f := m.flow
	limit, every := f.pollLimit(), f.commitEvery()
	var owed time.Duration // think time not yet slept: sleeping less than a millisecond is not to be had
	due := time.Now().Add(every)
	for {
		wait, cancel := ctx, context.CancelFunc(nil)
		if every > 0 && m.uncommitted() {
			wait, cancel = context.WithDeadline(ctx, due)
		}
		fetches := m.client.PollRecords(wait, limit)
		late := wait.Err() != nil // it was only time to commit
		if cancel != nil {
			cancel()
		}
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return
		}
		if !late {
			fetches.EachError(func(_ string, p int32, err error) { f.trouble(p, err) })
		}
		ended := false
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if len(p.Records) == 0 || ended {
				return
			}
			f.reader.Resumed(m.number, p.Partition, p.Records[0].Offset)
			now := f.scenario.nowNs()
			for _, r := range p.Records {
				if r.Attrs.IsControl() {
					f.reader.Skip(r.Partition, r.Offset)
					continue
				}
				if waited, err := f.pause(ctx, &owed); err != nil {
					ended = true
					return
				} else if waited {
					now = f.scenario.nowNs()
				}
				f.take(r, now, m.e2e)
			}
			m.finished(p.Records[len(p.Records)-1], every > 0)
		})
		if ended {
			return
		}
		if every > 0 && !time.Now().Before(due) {
			if m.commit() {
				due = time.Now().Add(every)
			} else {
				due = time.Now().Add(min(every, commitAgain))
			}
		}
		m.client.AllowRebalance()
	}
}

// pause lets a record have its think time and keeps to the flow's rate; it says whether time has passed.
func (f *consumeFlow) pause(ctx context.Context, owed *time.Duration) (waited bool, err error) {
	*owed += f.plan.ThinkTime
	wait := *owed
	if f.limiter != nil {
		wait = max(wait, f.limiter.take(f.scenario.epoch.Now()))
	}
	if wait < time.Millisecond {
		return false, nil
	}
	*owed = 0
	return true, pace.Sleep(ctx, wait)
}

// finished notes that everything up to and with the record was taken.
func (m *member) finished(r *kgo.Record, commits bool) {
	if !commits {
		return
	}
	m.mu.Lock()
	m.done[r.Partition] = kgo.EpochOffset{Epoch: r.LeaderEpoch, Offset: r.Offset + 1}
	m.mu.Unlock()
}

func (m *member) uncommitted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.done) > 0
}

// commit asks for a commit of what is done, without waiting for the answer. While one is on its way there is no second one, and
// while the group rebalances there is none, as the client would hold up what this member reads on with: then it says false.
func (m *member) commit() bool {
	m.mu.Lock()
	if m.committing || len(m.done) == 0 {
		m.mu.Unlock()
		return true
	}
	m.committing = true
	asked := maps.Clone(m.done)
	m.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	patience := time.AfterFunc(commitPatience, cancel)
	m.client.CommitOffsets(ctx, m.ask(asked), func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		m.answered(asked, resp, err)
		m.mu.Lock()
		m.committing = false
		m.mu.Unlock()
		cancel()
	})
	return patience.Stop()
}

// ask notes what is about to be committed.
func (m *member) ask(offsets map[int32]kgo.EpochOffset) map[string]map[int32]kgo.EpochOffset {
	for p, o := range offsets {
		m.flow.reader.Committing(p, o.Offset)
	}
	return map[string]map[int32]kgo.EpochOffset{m.flow.field.plan.Name: offsets}
}

// answered notes what the broker says to a commit.
func (m *member) answered(asked map[int32]kgo.EpochOffset, resp *kmsg.OffsetCommitResponse, err error) {
	if err != nil {
		return // it may count, or not; the next commit asks for more
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			at, ours := asked[p.Partition]
			if p.ErrorCode != 0 || !ours {
				continue
			}
			m.flow.reader.Committed(p.Partition, at.Offset)
			m.mu.Lock()
			if m.done[p.Partition].Offset == at.Offset {
				delete(m.done, p.Partition)
			}
			m.mu.Unlock()
		}
	}
}

// revoked commits what is done of the partitions that go away, so that the next owner begins where this one ends.
func (m *member) revoked(gone map[string][]int32) {
	last := map[int32]kgo.EpochOffset{}
	m.mu.Lock()
	for _, p := range gone[m.flow.field.plan.Name] {
		if o, ok := m.done[p]; ok {
			last[p] = o
			delete(m.done, p)
		}
	}
	m.mu.Unlock()
	if len(last) > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), leaveLimit)
		defer cancel()
		m.client.CommitOffsetsSync(ctx, m.ask(last), func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			m.answered(last, resp, err)
		})
	}
	m.flow.reassign(m.number, gone, -1)
}

// lost gives up partitions that somebody else has by now: there is nothing to commit any more.
func (m *member) lost(gone map[string][]int32) {
	m.mu.Lock()
	for _, p := range gone[m.flow.field.plan.Name] {
		delete(m.done, p)
	}
	m.mu.Unlock()
	m.flow.reassign(m.number, gone, -1)
}

// assigned takes partitions over.
func (m *member) assigned(got map[string][]int32) {
	for _, p := range got[m.flow.field.plan.Name] {
		m.flow.reader.Assigned(m.number, p)
	}
	m.flow.reassign(m.number, got, 1)
}

// reassign follows who holds what. A rebalance lasts from the first partition given up until all are held again.
func (f *consumeFlow) reassign(member int, changed map[string][]int32, by int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, p := range changed[f.field.plan.Name] {
		n++
		f.held[member] += by
		if f.assigned[p] += by; f.assigned[p] <= 0 {
			delete(f.assigned, p)
		}
	}
	if n == 0 || !f.running {
		return
	}
	at, _ := f.scenario.since()
	if by < 0 {
		if f.over == nil {
			f.over = f.scenario.event(report.Event{Kind: "rebalance", Name: f.name(), Target: f.plan.Group})
			f.rebalances = append(f.rebalances, rebalance{at: at, took: -1})
		}
		f.moving += n
		return
	}
	if f.over != nil && len(f.assigned) == int(f.field.partitions) {
		last := &f.rebalances[len(f.rebalances)-1]
		last.took = at - last.at
		f.over(fmt.Sprintf("%d of %d partitions moved", f.moving, f.field.partitions))
		f.over, f.moving = nil, 0
	}
}

// rebalance is one of a group; took is -1 as long as it lasts.
type rebalance struct{ at, took time.Duration }

// rebalanceTimes lists how long the rebalances that began in the window took: of one group, or (group empty) of all. One that
// did not end counts until the end of the window.
func (s *scenario) rebalanceTimes(group string, w window) (list []time.Duration) {
	for _, f := range s.readers {
		if group != "" && f.plan.Group != group {
			continue
		}
		f.mu.Lock()
		for _, r := range f.rebalances {
			if r.at < w.from || r.at > w.to {
				continue
			}
			if r.took < 0 {
				r.took = max(w.to-r.at, 0)
			}
			list = append(list, r.took)
		}
		f.mu.Unlock()
	}
	return list
}

// limiter hands out turns at a rate, on an absolute schedule: what one turn is late, the next ones make up for, but no more
// than limiterCredit, so that a reader that was starved does not rush.
type limiter struct {
	every float64 // ns
	mu    sync.Mutex
	next  float64 // ns on the run's clock; guarded by mu
}

const limiterCredit = 100 * time.Millisecond

// take is how long the caller has to wait for its turn; negative when it is late already.
func (l *limiter) take(now time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = max(l.next, float64(now-limiterCredit))
	at := l.next
	l.next += l.every
	return time.Duration(at) - now
}

// checkCommits compares what the broker says is committed with what it acknowledged, when the group is at rest.
func (f *consumeFlow) checkCommits(ctx context.Context) {
	if f.commitEvery() == 0 || died(f.scenario.opts.Dead) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, leaveLimit)
	defer cancel()
	stored, err := f.scenario.admin.FetchOffsets(ctx, f.plan.Group)
	if err != nil {
		return // nothing is known, so nothing is judged
	}
	for p := range f.field.partitions {
		o, there := stored.Lookup(f.field.plan.Name, p)
		switch {
		case !there:
			f.reader.Stored(p, -1)
		case o.Err == nil:
			f.reader.Stored(p, o.At)
		}
	}
}
