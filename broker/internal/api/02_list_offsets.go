package api

import (
	"errors"
	"fmt"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/wire"
)

// Timestamps that mean something else, and the first version that knows each.
const (
	latestTimestamp        = -1 // the high watermark
	earliestTimestamp      = -2
	maxTimestamp           = -3 // 7: KIP-734
	earliestLocalTimestamp = -4 // 8: KIP-405; all is local
	latestTieredTimestamp  = -5 // 9: nothing is tiered
	earliestPendingUpload  = -6 // 11: KIP-1023; nothing is tiered
)

// errTimestamp is a special timestamp that the request's version does not know.
var errTimestamp = errors.New("unsupported special timestamp")

func listOffsets(r *request) (listen.Pending, error) {
	var req wire.ListOffsetsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := &wire.ListOffsetsResponse{Topics: make([]wire.ListOffsetsResponseTopic, len(req.Topics))}
	for i, t := range req.Topics {
		out := &resp.Topics[i]
		out.Name = t.Name
		out.Partitions = make([]wire.ListOffsetsResponsePartition, len(t.Partitions))
		for j, p := range t.Partitions {
			out.Partitions[j].Default()
			out.Partitions[j].PartitionIndex = p.PartitionIndex
			if err := r.listOne(t.Name, p, req.IsolationLevel, &out.Partitions[j]); err != nil {
				out.Partitions[j].ErrorCode = r.listCode(err)
			}
		}
	}
	return r.answer(resp), nil
}

func (r *request) listCode(err error) wire.ErrorCode {
	if errors.Is(err, errTimestamp) {
		return wire.CodeUnsupportedVersion
	}
	return r.s.codeOf(err)
}

func (r *request) listOne(topic string, in wire.ListOffsetsRequestPartition, isolation int8, out *wire.ListOffsetsResponsePartition) error {
	p, err := r.s.led(topic, in.PartitionIndex, batch.Epoch(in.CurrentLeaderEpoch))
	if err != nil {
		return err
	}
	return r.find(p, in.Timestamp, isolation, out)
}

// led is a partition that is led in the epoch that a client knows, if it says which. Errors: topics.ErrNoTopic, topics.ErrPartition,
// topics.ErrOffline, partition.ErrFencedEpoch, partition.ErrUnknownEpoch.
func (s *Server) led(topic string, index int32, epoch batch.Epoch) (*partition.Partition, error) {
	t := s.Topics.Topic(topic)
	if t == nil {
		return nil, noTopic(topic)
	}
	p, err := t.Partition(index)
	if err != nil {
		return nil, err
	}
	return p, p.CheckEpoch(epoch)
}

// find fills in the offset for a timestamp; no such record leaves it at -1, which is no error.
func (r *request) find(p *partition.Partition, ts int64, isolation int8, out *wire.ListOffsetsResponsePartition) error {
	at := func(o batch.Offset) {
		out.Offset, out.LeaderEpoch = int64(o), int32(p.Epoch())
	}
	switch {
	case ts == latestTimestamp:
		high, stable := p.Ends()
		if isolation == readCommitted {
			high = stable
		}
		at(high)
	case ts == earliestTimestamp, ts == earliestLocalTimestamp && r.version >= 8:
		at(p.Start())
	case ts == maxTimestamp && r.version >= 7:
		found, ok, err := p.Log().MaxTimestamp()
		return place(out, int64(found.Offset), found.Timestamp, int32(found.Epoch), ok, err)
	case ts == latestTieredTimestamp && r.version >= 9, ts == earliestPendingUpload && r.version >= 11:
	case ts < 0:
		return fmt.Errorf("%w %d in version %d", errTimestamp, ts, r.version)
	default:
		found, ok, err := p.Log().OffsetForTime(ts)
		if _, stable := p.Ends(); isolation == readCommitted && found.Offset >= stable {
			ok = false
		}
		return place(out, int64(found.Offset), found.Timestamp, int32(found.Epoch), ok, err)
	}
	return nil
}

func place(out *wire.ListOffsetsResponsePartition, offset, ts int64, epoch int32, ok bool, err error) error {
	if ok && err == nil {
		out.Offset, out.Timestamp, out.LeaderEpoch = offset, ts, epoch
	}
	return err
}
