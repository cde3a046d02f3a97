package broker

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/broker/internal/config"
	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/group/consumer"
	"github.com/streambus/streambus/broker/internal/topics"
)

// openGroups opens the coordinator over what it finds in __consumer_offsets, and has it follow the topics.
func (b *Broker) openGroups(ctx context.Context) error {
	offsets, err := group.OpenOffsets(ctx, b.offsetLogs, b.now)
	if err != nil {
		return err
	}
	seen := newTopicView()
	if _, err := b.topics.Watch(ctx, seen.follow); err != nil {
		return err
	}
	b.groups = group.Start(b.groupLimits(seen), offsets)
	_, err = b.topics.Watch(ctx, func(e topics.Event) {
		if e.Kind == topics.Deleted {
			// Here, and not by the by: the tombstones come before whatever is committed for a new topic of that name. It makes no topic: where
			// there are offsets, there is __consumer_offsets.
			b.groups.TopicsDeleted(e.Topic.Name)
		}
	})
	return err
}

// groupLimits are the settings of groups. Those of single groups are looked up each time, the others count from the start on.
func (b *Broker) groupLimits(seen *topicView) group.Limits {
	c := b.o.Config
	return group.Limits{
		MinSession: millis(c, "group.min.session.timeout.ms"), MaxSession: millis(c, "group.max.session.timeout.ms"),
		MaxSize: c.Int("group.max.size"), InitialDelay: millis(c, "group.initial.rebalance.delay.ms"),
		ConsumerMaxSize: c.Int("group.consumer.max.size"), Assignors: c.Value("group.consumer.assignors").Items,
		Migration: migrations[c.Value("group.consumer.migration.policy").Raw],
		Settings:  b.groupSettings, Topics: seen.current,
		Retention:     time.Duration(c.Long("offsets.retention.minutes")) * time.Minute,
		CheckInterval: millis(c, "offsets.retention.check.interval.ms"),
		Now:           b.now, Steady: b.engine.SteadyTime,
	}
}

var migrations = map[string]group.Migration{
	"bidirectional": group.Bidirectional, "upgrade": group.OnlyUpgrade, "downgrade": group.OnlyDowngrade, "disabled": group.Disabled,
}

func (b *Broker) groupSettings(id string) group.Settings {
	v, own := b.topics.Live().View(), b.topics.Store().Image().Groups[id]
	return group.Settings{
		Session: groupMillis(v, own, "consumer.session.timeout.ms"), Heartbeat: groupMillis(v, own, "consumer.heartbeat.interval.ms"),
	}
}

func groupMillis(v *config.View, own map[string]string, key string) time.Duration {
	return time.Duration(v.Group(own, key).Num) * time.Millisecond
}

// offsetLogs is group.Logs: the partitions of __consumer_offsets.
func (b *Broker) offsetLogs(ctx context.Context, create bool) ([]group.Log, error) {
	return partitionsOf[group.Log](ctx, b.topics, topics.OffsetsTopic, create)
}

// topicView is the topics as groups see them. An Image is made when one is asked for after a change: many topics may be made in a row.
type topicView struct {
	image atomic.Pointer[consumer.Image] // nil: to be made

	mu      sync.Mutex
	topics  map[string]consumer.Topic
	version int64 // of the last Image
}

// newTopicView begins at the time: the versions of Images are written down with regular expressions, and must differ after a restart.
func newTopicView() *topicView {
	return &topicView{topics: map[string]consumer.Topic{}, version: time.Now().UnixMicro()}
}

// follow takes in what happened to a topic.
func (v *topicView) follow(e topics.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e.Kind {
	case topics.Created, topics.Grown:
		v.topics[e.Topic.Name] = consumer.Topic{ID: e.Topic.ID, Partitions: int32(e.Topic.Partitions)}
	case topics.Deleted:
		delete(v.topics, e.Topic.Name)
	default:
		return // settings, which assignments do not depend on
	}
	v.image.Store(nil)
}

// current is the topics that there are now.
func (v *topicView) current() *consumer.Image {
	if i := v.image.Load(); i != nil {
		return i
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if i := v.image.Load(); i != nil {
		return i
	}
	v.version++
	i := consumer.NewImage(v.version, maps.Clone(v.topics))
	v.image.Store(i)
	return i
}
