package batch

import (
	"encoding/binary"
	"fmt"
	"time"
)

// ControlType says what a control batch tells. Kafka knows more types (those of its metadata log): who reads a log passes them over.
type ControlType int16

// What ends a transaction.
const (
	Abort  ControlType = 0
	Commit ControlType = 1
)

// NoCoordinatorEpoch is the coordinator epoch of a control batch that does not end a transaction.
const NoCoordinatorEpoch int32 = -1

// The key and value of the one record of a control batch, big-endian. Frozen.
//
//	key    0  2  version           int16   0; a later one only adds to it
//	       2  2  type              int16   0 abort, 1 commit
//	value  0  2  version           int16   0; a later one only adds to it
//	       2  4  coordinatorEpoch  int32   of the transaction coordinator that decided
const (
	controlKey   = 4
	controlValue = 6
)

// ControlType reads the first record of a control batch; no more of the batch needs to be there. coordinatorEpoch is
// NoCoordinatorEpoch for types other than Abort and Commit. ok is false, and nothing may be concluded, when the batch is not a control
// batch, has no record (Kafka's cleaner empties markers), is compressed, which no control batch may be, or does not parse.
func (b Batch) ControlType() (t ControlType, coordinatorEpoch int32, ok bool) {
	if !b.Control() || b.Codec() != None || b.Count() < 1 {
		return 0, 0, false
	}
	r, _, _, ok := parseRecord(b.Records())
	if !ok || len(r.Key) < controlKey || int16(binary.BigEndian.Uint16(r.Key)) < 0 {
		return 0, 0, false
	}
	t = ControlType(binary.BigEndian.Uint16(r.Key[2:]))
	if t != Abort && t != Commit {
		return t, NoCoordinatorEpoch, true
	}
	if len(r.Value) < controlValue || int16(binary.BigEndian.Uint16(r.Value)) < 0 {
		return 0, 0, false
	}
	return t, int32(binary.BigEndian.Uint32(r.Value[2:])), true
}

// EndTxnMarker builds the batch that ends a producer's transaction, as the transaction coordinator has it written to each partition:
// 78 bytes. Offset and leader epoch are stamped by the log, as always. A type other than Abort and Commit panics.
func EndTxnMarker(t ControlType, id ProducerID, epoch ProducerEpoch, coordinatorEpoch int32, at time.Time) Batch {
	if t != Abort && t != Commit {
		panic(fmt.Sprintf("control type %d ends no transaction", t))
	}
	key := binary.BigEndian.AppendUint16(make([]byte, 2, controlKey), uint16(t))
	value := binary.BigEndian.AppendUint32(make([]byte, 2, controlValue), uint32(coordinatorEpoch))
	b := Builder{ProducerID: id, ProducerEpoch: epoch, BaseSequence: NoSequence, Sequenced: true}
	b.Add(at, key, value)
	out := b.Batch()
	binary.BigEndian.PutUint16(out[atAttributes:], transactionalBit|controlBit)
	return seal(out)
}
