package api

import (
	"slices"

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
		var code wire.ErrorCode
		asked := wire.OffsetFetchRequestGroup{GroupID: req.GroupID, MemberEpoch: -1, Topics: req.Topics}
		resp.Topics, code = r.committed(&asked, req.RequireStable)
		resp.ErrorCode = code
		if code != wire.CodeNone && r.version < 2 { // each partition says it
			resp.Topics = refusedOffsets(req.Topics, code)
		}
		return r.answer(resp), nil
	}
	all := map[string]bool{} // that were asked for all they have: once is enough, a short request must not make a long answer
	for i := range req.Groups {
		g := &req.Groups[i]
		if g.Topics == nil && all[g.GroupID] {
			continue
		}
		all[g.GroupID] = all[g.GroupID] || g.Topics == nil
		out := wire.OffsetFetchResponseGroup{GroupID: g.GroupID}
		out.Topics, out.ErrorCode = r.committed(g, req.RequireStable)
		resp.Groups = append(resp.Groups, out)
	}
	return r.answer(resp), nil
}

// committed lists what a group has committed for the partitions asked for; nil topics ask for all. A code other than none is the
// whole group's, and there are no topics then.
func (r *request) committed(in *wire.OffsetFetchRequestGroup, stable bool) ([]wire.OffsetFetchResponseTopic, wire.ErrorCode) {
	ask := group.FetchRequest{
		Group: in.GroupID, Member: deref(in.MemberID), Epoch: group.Generation(in.MemberEpoch), All: in.Topics == nil, StableFirst: stable,
	}
	out, places := r.offsetShape(in.Topics, &ask)
	fetched, err := r.s.Groups.FetchOffsets(ask)
	if err != nil {
		return nil, r.s.codeOf(err)
	}
	if ask.All {
		return r.allCommitted(fetched), wire.CodeNone
	}
	for i, f := range fetched {
		*places[i] = r.fetchedPartition(f)
	}
	return out, wire.CodeNone
}

// offsetShape makes the topics of the response, fills in what is not known here, and has the rest asked for: places says where the
// answer to each partition in ask goes.
func (r *request) offsetShape(asked []wire.OffsetFetchRequestTopic, ask *group.FetchRequest) (out []wire.OffsetFetchResponseTopic, places []*wire.OffsetFetchResponsePartition) {
	out = make([]wire.OffsetFetchResponseTopic, len(asked))
	for i, t := range asked {
		out[i] = wire.OffsetFetchResponseTopic{Name: t.Name, TopicID: t.TopicID, Partitions: make([]wire.OffsetFetchResponsePartition, len(t.PartitionIndexes))}
		name := t.Name
		if r.version >= 10 {
			topic, err := r.s.topic(nil, t.TopicID, true)
			if err != nil {
				out[i].Partitions = refusedPartitions(t.PartitionIndexes, r.s.codeOf(err))
				continue
			}
			name = topic.Name
		}
		for j, p := range t.PartitionIndexes {
			ask.Partitions = append(ask.Partitions, group.TopicPartition{Topic: name, Partition: p})
			places = append(places, &out[i].Partitions[j])
		}
	}
	return out, places
}

// allCommitted groups all that there is by topic. A topic that is no more has no id by which version 10 could name it.
func (r *request) allCommitted(fetched []group.Fetched) []wire.OffsetFetchResponseTopic {
	out := []wire.OffsetFetchResponseTopic{}
	for rest := fetched; len(rest) > 0; {
		name := rest[0].Topic
		n := slices.IndexFunc(rest, func(f group.Fetched) bool { return f.Topic != name })
		if n < 0 {
			n = len(rest)
		}
		topic := wire.OffsetFetchResponseTopic{Name: name, Partitions: make([]wire.OffsetFetchResponsePartition, n)}
		for i, f := range rest[:n] {
			topic.Partitions[i] = r.fetchedPartition(f)
		}
		rest = rest[n:]
		if r.version >= 10 {
			t := r.s.Topics.Topic(name)
			if t == nil {
				continue
			}
			topic.TopicID = wire.UUID(t.ID)
		}
		out = append(out, topic)
	}
	return out
}

func (r *request) fetchedPartition(f group.Fetched) wire.OffsetFetchResponsePartition {
	return wire.OffsetFetchResponsePartition{
		PartitionIndex: f.Partition, CommittedOffset: int64(f.Offset), CommittedLeaderEpoch: int32(f.Epoch), Metadata: &f.Metadata,
		ErrorCode: r.s.codeOf(f.Err),
	}
}

// refusedOffsets is the answer to each partition asked for, when it is an error.
func refusedOffsets(asked []wire.OffsetFetchRequestTopic, code wire.ErrorCode) []wire.OffsetFetchResponseTopic {
	out := make([]wire.OffsetFetchResponseTopic, len(asked))
	for i, t := range asked {
		out[i] = wire.OffsetFetchResponseTopic{Name: t.Name, TopicID: t.TopicID, Partitions: refusedPartitions(t.PartitionIndexes, code)}
	}
	return out
}

func refusedPartitions(indexes []int32, code wire.ErrorCode) []wire.OffsetFetchResponsePartition {
	out := make([]wire.OffsetFetchResponsePartition, len(indexes))
	for i, p := range indexes {
		out[i] = wire.OffsetFetchResponsePartition{PartitionIndex: p, CommittedOffset: -1, CommittedLeaderEpoch: -1, Metadata: new(string), ErrorCode: code}
	}
	return out
}
