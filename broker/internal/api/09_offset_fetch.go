package api

import (
	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

// offsetFetch tells what groups have committed. A group that never was has committed nothing, which is no error.
func offsetFetch(r *request) (listen.Pending, error) {
	var req wire.OffsetFetchRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := new(wire.OffsetFetchResponse)
	if r.version <= 7 {
		resp.Topics = r.committed(req.GroupID, req.Topics)
		return r.answer(resp), nil
	}
	for _, g := range req.Groups {
		resp.Groups = append(resp.Groups, wire.OffsetFetchResponseGroup{GroupID: g.GroupID, Topics: r.committed(g.GroupID, g.Topics)})
	}
	return r.answer(resp), nil
}

// committed lists what a group has committed for the partitions asked for; nil asks for all.
func (r *request) committed(id string, asked []wire.OffsetFetchRequestTopic) []wire.OffsetFetchResponseTopic {
	out := []wire.OffsetFetchResponseTopic{}
	if asked == nil {
		for _, c := range r.s.Groups.Offsets.All(id) {
			if n := len(out); n == 0 || out[n-1].Name != c.Topic {
				out = append(out, wire.OffsetFetchResponseTopic{Name: c.Topic})
			}
			last := &out[len(out)-1]
			last.Partitions = append(last.Partitions, committedPartition(c))
		}
		return out
	}
	for _, t := range asked {
		topic := wire.OffsetFetchResponseTopic{Name: t.Name}
		for _, i := range t.PartitionIndexes {
			tp := group.TopicPartition{Topic: t.Name, Partition: i}
			c, ok := r.s.Groups.Offsets.Get(id, tp)
			if !ok {
				c = group.Committed{TopicPartition: tp, Offset: -1, Epoch: -1}
			}
			topic.Partitions = append(topic.Partitions, committedPartition(c))
		}
		out = append(out, topic)
	}
	return out
}

func committedPartition(c group.Committed) wire.OffsetFetchResponsePartition {
	return wire.OffsetFetchResponsePartition{
		PartitionIndex: c.Partition, CommittedOffset: int64(c.Offset), CommittedLeaderEpoch: int32(c.Epoch), Metadata: &c.Metadata,
	}
}
