package topics

import (
	"context"
	"maps"

	"github.com/streambus/streambus/broker/internal/meta"
)

// internalTopics are the broker's own, beside the metadata: how they are made is said by keys of the broker.
var internalTopics = map[string]struct{ partitions, segmentBytes string }{
	OffsetsTopic:      {"offsets.topic.num.partitions", "offsets.topic.segment.bytes"},
	TransactionsTopic: {"transaction.state.log.num.partitions", "transaction.state.log.segment.bytes"},
}

func internalTopic(name string) bool {
	_, ok := internalTopics[name]
	return ok
}

// EnsureInternal gives one of the broker's own topics, made when it is missing; another name is a bug and panics. Errors: those of
// Create.
func (c *Catalog) EnsureInternal(ctx context.Context, name string) (*Topic, error) {
	keys, ok := internalTopics[name]
	if !ok {
		panic("topics: not one of the broker's own: " + name)
	}
	if t := c.Topic(name); t != nil {
		return t, nil
	}
	v := c.live.View()
	t, err := c.Create(ctx, Spec{Name: name, Internal: true, Partitions: v.Int(keys.partitions), Settings: map[string]string{
		"cleanup.policy": "compact", "compression.type": "producer", "segment.bytes": v.Value(keys.segmentBytes).Raw,
	}})
	if other := c.Topic(name); other != nil && err != nil { // another connection was faster
		return other, nil
	}
	return t, err
}

// setLive brings what was set over the wire into effect for whoever asks live. Callers have the turn.
func (c *Catalog) setLive() {
	i := c.store.Image()
	node := int32(c.live.View().Int("node.id"))
	for _, what := range c.live.Set(maps.Clone(i.Brokers[node]), maps.Clone(i.Brokers[meta.EveryBroker])) {
		c.log.Warn("a setting of the broker in the metadata does not count", "setting", what)
	}
}
