package drive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/streambus/streambus/loadscript/internal/pace"
	"github.com/streambus/streambus/loadscript/internal/plan"
)

// house creates what a scenario needs on the cluster and removes what the run created (D5).
type house struct {
	admin   *kadm.Client
	opts    Options
	brokers int
	created map[string]bool // topics of ours that exist; value: to be kept
	groups  map[string]bool // groups that did not exist before
}

func newHouse(admin *kadm.Client, opts Options, brokers int) *house {
	return &house{admin: admin, opts: opts, brokers: brokers, created: map[string]bool{}, groups: map[string]bool{}}
}

// topics returns the topics of a scenario, each once, in script order.
func topics(sc *plan.Scenario) []plan.Topic {
	var list []plan.Topic
	add := func(t plan.Topic) {
		if !slices.ContainsFunc(list, func(have plan.Topic) bool { return have.Name == t.Name }) {
			list = append(list, t)
		}
	}
	for _, f := range sc.Produce {
		add(f.Topic)
	}
	for _, f := range sc.Consume {
		add(f.Topic)
	}
	return list
}

// ensure creates the topic if it is missing, waits until every partition has a leader, and returns the number of partitions.
func (h *house) ensure(ctx context.Context, t plan.Topic) (partitions int32, ours bool, err error) {
	details, err := h.admin.ListTopics(ctx, t.Name)
	if err != nil {
		return 0, false, fmt.Errorf("%w: listing topic %s: %w", ErrUnreachable, t.Name, err)
	}
	if d, ok := details[t.Name]; !ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
		if err := h.create(ctx, t); err != nil {
			return 0, false, err
		}
	}
	for {
		details, err = h.admin.ListTopics(ctx, t.Name)
		d := details[t.Name]
		if err == nil && d.Err == nil && len(d.Partitions) > 0 && led(d) {
			_, ours = h.created[t.Name]
			return int32(len(d.Partitions)), ours, nil
		}
		if pace.Sleep(ctx, 50*time.Millisecond) != nil {
			return 0, false, fmt.Errorf("%w: topic %s has partitions without a leader (%w)", ErrUnreachable, t.Name, errors.Join(err, d.Err, ctx.Err()))
		}
	}
}

func led(d kadm.TopicDetail) bool {
	for _, p := range d.Partitions {
		if p.Err != nil || p.Leader < 0 {
			return false
		}
	}
	return true
}

func (h *house) create(ctx context.Context, t plan.Topic) error {
	partitions, replication := int32(t.Partitions), int16(t.Replication)
	if partitions == 0 {
		partitions = -1
	}
	if replication == 0 {
		replication = int16(min(3, max(h.brokers, 1)))
	}
	configs := map[string]*string{}
	for _, c := range t.Config {
		configs[c.Name] = kadm.StringPtr(c.Value)
	}
	if t.MinInsync > 0 {
		configs["min.insync.replicas"] = kadm.StringPtr(fmt.Sprint(t.MinInsync))
	}
	r, err := h.admin.CreateTopic(ctx, partitions, replication, configs, t.Name)
	if err = errors.Join(err, r.Err); errors.Is(err, kerr.TopicAlreadyExists) {
		return nil // somebody was faster: it is theirs
	} else if err != nil {
		return fmt.Errorf("%w: creating topic %s (%d partitions, %d replicas): %w %s", ErrUnreachable, t.Name, partitions, replication, err, r.ErrMessage)
	}
	h.created[t.Name] = t.Keep
	return nil
}

// group readies a consumer group: one that did not exist is remembered for the clean-up, and offsets that an earlier run
// committed for a topic that we have just created point into the old topic, so they are set back.
func (h *house) group(ctx context.Context, group, topic string, partitions int32, freshTopic bool) {
	if described, err := h.admin.DescribeGroups(ctx, group); err == nil {
		g := described[group]
		if errors.Is(g.Err, kerr.GroupIDNotFound) || g.Err == nil && (g.State == "Dead" || g.State == "") {
			h.groups[group] = true
			return
		}
	}
	if !freshTopic || h.groups[group] {
		return
	}
	committed, err := h.admin.FetchOffsets(ctx, group)
	if err != nil {
		return // a group without offsets, as far as we can know
	}
	back := kadm.Offsets{}
	for p := range partitions {
		if o, ok := committed.Lookup(topic, p); ok && o.Err == nil && o.At > 0 {
			back.AddOffset(topic, p, 0, -1)
		}
	}
	if len(back) > 0 {
		if _, err := h.admin.CommitOffsets(ctx, group, back); err != nil {
			h.opts.Note("group %s has old offsets for the new topic %s, and they could not be set back: %v", group, topic, err)
		}
	}
}

// ends lists where the partitions of a topic end; starts lists where they begin.
func (h *house) ends(ctx context.Context, topic string, partitions int32) ([]int64, error) {
	return offsets(ctx, h.admin.ListEndOffsets, topic, partitions)
}

func (h *house) starts(ctx context.Context, topic string, partitions int32) ([]int64, error) {
	return offsets(ctx, h.admin.ListStartOffsets, topic, partitions)
}

// offsets asks again, until ctx ends, while a broker has not heard yet that it leads a partition, or does not lead it any more.
func offsets(ctx context.Context, list func(context.Context, ...string) (kadm.ListedOffsets, error), topic string, partitions int32) ([]int64, error) {
	for {
		listed, err := list(ctx, topic)
		var found []int64
		if err == nil {
			if found, err = lookup(listed, topic, partitions); err == nil {
				return found, nil
			}
		}
		if !kerr.IsRetriable(err) || pace.Sleep(ctx, 50*time.Millisecond) != nil {
			return nil, err
		}
	}
}

func lookup(listed kadm.ListedOffsets, topic string, partitions int32) ([]int64, error) {
	list := make([]int64, partitions)
	for p := range partitions {
		o, ok := listed.Lookup(topic, p)
		if !ok {
			return nil, fmt.Errorf("no offset listed for %s/%d", topic, p)
		}
		if o.Err != nil {
			return nil, fmt.Errorf("offset of %s/%d: %w", topic, p, o.Err)
		}
		list[p] = o.Offset
	}
	return list, nil
}

// leave deletes the created topics that no later scenario of the plan uses.
func (h *house) leave(ctx context.Context, p *plan.Plan, done int) {
	for i := range p.Scenarios[done+1:] {
		for _, t := range topics(&p.Scenarios[done+1+i]) {
			if _, ok := h.created[t.Name]; ok {
				return // simplest: clean up once nothing of ours is needed any more
			}
		}
	}
	h.cleanUp(ctx)
}

// cleanUp deletes the topics and groups that the run created.
func (h *house) cleanUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if died(h.opts.Dead) {
		return
	}
	for group := range h.groups {
		delete(h.groups, group)
		r, err := h.admin.DeleteGroup(ctx, group)
		if err = errors.Join(err, r.Err); err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			h.opts.Note("group %s, which this run created, could not be deleted: %v", group, err)
		}
	}
	for topic, keep := range h.created {
		delete(h.created, topic)
		if keep {
			continue
		}
		r, err := h.admin.DeleteTopic(ctx, topic)
		if err = errors.Join(err, r.Err); err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
			h.opts.Note("topic %s, which this run created, could not be deleted: %v", topic, err)
		}
	}
}
