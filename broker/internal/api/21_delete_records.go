package api

import (
	"context"
	"sync"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

// trimsAtOnce bounds how many partitions of one request are trimmed side by side: each waits for a flush, which they share.
const trimsAtOnce = 32

// deleteRecords has the partitions trimmed beside the connection's reader, since that waits for the disk. It is the one exception from
// A4: what is deleted is seen when the response is there, as in Kafka.
func deleteRecords(r *request) (listen.Pending, error) {
	var req wire.DeleteRecordsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := &wire.DeleteRecordsResponse{Topics: make([]wire.DeleteRecordsResponseTopic, len(req.Topics))}
	done := make(chan struct{})
	for i, t := range req.Topics {
		resp.Topics[i] = wire.DeleteRecordsResponseTopic{Name: t.Name, Partitions: make([]wire.DeleteRecordsResponsePartition, len(t.Partitions))}
	}
	go func() { // ends with the last flush, which engine.Close brings about if nothing else; the response waits for it
		defer close(done)
		r.s.trim(req.Topics, resp.Topics)
	}()
	ready := func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
	return r.later(ready, func(context.Context) (wire.Message, error) {
		<-done
		return resp, nil
	}), nil
}

// trim fills out, partition by partition.
func (s *Server) trim(in []wire.DeleteRecordsRequestTopic, out []wire.DeleteRecordsResponseTopic) {
	var under sync.WaitGroup
	defer under.Wait()
	turns := make(chan struct{}, trimsAtOnce)
	for i, t := range in {
		for j, p := range t.Partitions {
			turns <- struct{}{}
			under.Go(func() {
				defer func() { <-turns }()
				low, err := s.Topics.DeleteRecords(t.Name, p.PartitionIndex, p.Offset)
				out[i].Partitions[j] = wire.DeleteRecordsResponsePartition{PartitionIndex: p.PartitionIndex, LowWatermark: low, ErrorCode: s.codeOf(err)}
				if err != nil {
					out[i].Partitions[j].LowWatermark = -1
				}
			})
		}
	}
}
