package api

import (
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/meta"
	"github.com/streambus/streambus/broker/internal/topics"
	"github.com/streambus/streambus/wire"
)

func deleteTopics(r *request) (listen.Pending, error) {
	var req wire.DeleteTopicsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	asked := req.Topics
	for _, name := range req.TopicNames {
		asked = append(asked, wire.DeleteTopicsRequestTopic{Name: &name})
	}
	resp := new(wire.DeleteTopicsResponse)
	twice := r.s.namedTwice(asked)
	for _, in := range asked {
		out := wire.DeleteTopicsResponseTopic{Name: in.Name, TopicID: in.TopicID}
		t, code := r.s.toDelete(in)
		var err error
		switch {
		case t != nil && twice[t.ID]:
			err = errTopicTwice
			code = r.s.codeOf(err)
		case t != nil:
			out.Name, out.TopicID = &t.Name, wire.UUID(t.ID)
			if err = r.mutate(t.Partitions, 5); err == nil {
				err = r.s.Topics.Delete(r.ctx, t.ID)
			}
			code = r.s.codeOf(err)
		}
		if code == wire.CodeNone {
			r.s.Logger.Info("topic deleted", "topic", t.Name, "client", r.clientID())
		}
		out.ErrorCode, out.ErrorMessage = code, message(err)
		resp.Topics = append(resp.Topics, out)
	}
	return r.answer(resp), nil
}

// namedTwice finds the topics that a request names more than once, by name or id: none of them is deleted, as in Kafka.
func (s *Server) namedTwice(asked []wire.DeleteTopicsRequestTopic) map[meta.UUID]bool {
	seen := map[meta.UUID]bool{}
	for _, in := range asked {
		if t, _ := s.toDelete(in); t != nil {
			_, again := seen[t.ID]
			seen[t.ID] = again
		}
	}
	return seen
}

// toDelete finds the topic meant, or says why there is none to delete.
func (s *Server) toDelete(in wire.DeleteTopicsRequestTopic) (*topics.Topic, wire.ErrorCode) {
	byID := in.TopicID != wire.UUID{}
	switch {
	case in.Name != nil && byID, in.Name == nil && !byID:
		return nil, wire.CodeInvalidRequest
	case byID:
		if t := s.Topics.ByID(meta.UUID(in.TopicID)); t != nil && !t.Internal {
			return t, wire.CodeNone
		}
		return nil, wire.CodeUnknownTopicID
	}
	t := s.Topics.Topic(*in.Name)
	switch {
	case t == nil:
		return nil, s.codeOf(noTopic(*in.Name))
	case t.Internal:
		return nil, wire.CodeInvalidTopicException
	}
	return t, wire.CodeNone
}
