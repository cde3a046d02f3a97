package api

import (
	"errors"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/meta"
	"github.com/streambus/streambus/broker/internal/topics"
	"github.com/streambus/streambus/wire"
)

// What a client may do, as bits of Kafka's AclOperation: everything, as long as nobody is asked who he is.
const (
	topicOperations   = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11
	clusterOperations = 1<<5 | 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<12
)

func metadata(r *request) (listen.Pending, error) {
	var req wire.MetadataRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := new(wire.MetadataResponse)
	resp.Default()
	cluster := r.s.Store.Image().ClusterID.String()
	resp.ClusterID, resp.ControllerID = &cluster, r.s.NodeID
	resp.Brokers = []wire.MetadataResponseBroker{{NodeID: r.s.NodeID, Host: r.s.Host, Port: r.s.Port}}
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
	if req.AllTopics(r.version) {
		for _, t := range r.s.Topics.All() {
			resp.Topics = append(resp.Topics, r.s.describe(t))
		}
	} else {
		for _, t := range req.Topics {
			resp.Topics = append(resp.Topics, r.lookUp(t, req.AllowAutoTopicCreation))
		}
	}
	if req.IncludeTopicAuthorizedOperations {
		for i := range resp.Topics {
			if resp.Topics[i].ErrorCode == wire.CodeNone {
				resp.Topics[i].TopicAuthorizedOperations = topicOperations
			}
		}
	}
	return r.answer(resp), nil
}

// lookUp finds one topic by name or id, and makes one asked for by name where that is allowed on both sides. Next to an id the name counts
// for nothing, as in Kafka: the Java consumer that subscribes by a regular expression asks for ids with names that are empty, not null.
func (r *request) lookUp(in wire.MetadataRequestTopic, mayCreate bool) wire.MetadataResponseTopic {
	if in.Name == nil || in.TopicID != (wire.UUID{}) {
		if t := r.s.Topics.ByID(meta.UUID(in.TopicID)); t != nil {
			return r.s.describe(t)
		}
		return missing(wire.MetadataResponseTopic{TopicID: in.TopicID}, wire.CodeUnknownTopicID)
	}
	if t := r.s.Topics.Topic(*in.Name); t != nil {
		return r.s.describe(t)
	}
	spec := topics.Spec{Name: *in.Name}
	err := r.s.Topics.Check(&spec)
	if err == nil && (!mayCreate || !r.s.AutoCreate) || *in.Name == topics.OffsetsTopic || *in.Name == topics.TransactionsTopic {
		err = noTopic(*in.Name)
	}
	if err != nil {
		return missing(wire.MetadataResponseTopic{Name: in.Name}, r.s.codeOf(err))
	}
	t, err := r.s.Topics.Create(r.ctx, spec)
	if errors.Is(err, topics.ErrExists) { // another connection was faster, or a log is in the way
		if t = r.s.Topics.Topic(*in.Name); t != nil {
			return r.s.describe(t)
		}
	}
	if err != nil {
		r.s.Logger.Warn("cannot create a topic on demand", "topic", *in.Name, "err", err)
		return missing(wire.MetadataResponseTopic{Name: in.Name}, r.s.codeOf(err))
	}
	r.s.Logger.Info("topic created on demand", "topic", t.Name, "partitions", t.Partitions, "client", r.clientID())
	return r.s.describe(t)
}

func missing(t wire.MetadataResponseTopic, code wire.ErrorCode) wire.MetadataResponseTopic {
	t.ErrorCode, t.TopicAuthorizedOperations = code, wire.NoAuthorizedOperations
	return t
}

// describe shows a topic. A partition that is offline has no leader, as in Kafka.
func (s *Server) describe(t *topics.Topic) wire.MetadataResponseTopic {
	out := wire.MetadataResponseTopic{
		Name: &t.Name, TopicID: wire.UUID(t.ID), IsInternal: t.Internal,
		Partitions:                make([]wire.MetadataResponsePartition, t.Partitions),
		TopicAuthorizedOperations: wire.NoAuthorizedOperations,
	}
	me := []int32{s.NodeID}
	for i := range out.Partitions {
		p := &out.Partitions[i]
		p.Default()
		p.PartitionIndex, p.ReplicaNodes = int32(i), me
		open, err := t.Partition(int32(i))
		if err != nil {
			p.ErrorCode, p.LeaderID, p.OfflineReplicas = wire.CodeLeaderNotAvailable, -1, me
			continue
		}
		p.LeaderID, p.LeaderEpoch, p.IsrNodes = s.NodeID, int32(open.Epoch()), me
	}
	return out
}
