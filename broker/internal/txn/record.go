package txn

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/streambus/streambus/engine/batch"
)

// Records of __transaction_state, in Kafka's own schemas (TransactionLogKey, TransactionLogValue), so that kafka-dump-log
// --transaction-log-decoder reads them. Frozen. All integers are big-endian; s is an i16 length and as many bytes, S the same with
// uvarint(length + 1); uvarint is 7 bits a byte, the lowest first.
//
//	key      version i16 (0) | transactionalId s
//
//	value 0  version i16 (0) | producerId i64 | producerEpoch i16 | timeoutMs i32 | state i8
//	         | n i32 (-1 null) of { topic s | n i32 of { partition i32 } }
//	         | updatedMs i64 | startedMs i64 (-1 none)
//
//	value 1  version i16 (1) | producerId i64 | producerEpoch i16 | timeoutMs i32 | state i8
//	         | uvarint(n + 1) (0 null) of { topic S | uvarint(n + 1) of { partition i32 } | tags uvarint (0) }
//	         | updatedMs i64 | startedMs i64
//	         | tags uvarint of { tag uvarint | size uvarint | … }, those with their default left out:
//	               0 previousProducerId i64 (-1) | 1 nextProducerId i64 (-1) | 2 clientTransactionVersion i16 (0)
//
// A null value is a tombstone. Version 1 is written where transaction.version is 1 or more, as by Kafka. Tags that are not known are
// passed over (Kafka 4.1 has a 3, for two-phase commit).

const (
	keyVersion = 0
	tagPrev    = 0
	tagNext    = 1
	tagVersion = 2
)

func appendKey(dst []byte, id string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, keyVersion)
	return appendString(dst, id)
}

func appendString(dst []byte, s string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}

// appendValue writes m, of which Parts must be sorted, in the version that goes with a finalized transaction.version.
func appendValue(dst []byte, m *Meta, feature int16) []byte {
	flexible := feature >= 1
	version := uint16(0)
	if flexible {
		version = 1
	}
	dst = binary.BigEndian.AppendUint16(dst, version)
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.ID))
	dst = binary.BigEndian.AppendUint16(dst, uint16(m.Epoch))
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.TimeoutMs))
	dst = append(dst, byte(m.State))
	dst = appendParts(dst, m, flexible)
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.UpdatedMs))
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.StartedMs))
	if flexible {
		dst = appendTags(dst, m)
	}
	return dst
}

func appendParts(dst []byte, m *Meta, flexible bool) []byte {
	count := func(dst []byte, n int) []byte {
		if flexible {
			return binary.AppendUvarint(dst, uint64(n+1))
		}
		return binary.BigEndian.AppendUint32(dst, uint32(n))
	}
	if m.State == Empty {
		return count(dst, -1)
	}
	dst = count(dst, topicsOf(m.Parts))
	for rest := m.Parts; len(rest) > 0; {
		n := sameTopic(rest)
		if topic := rest[0].Topic; flexible {
			dst = binary.AppendUvarint(dst, uint64(len(topic)+1))
			dst = append(dst, topic...)
		} else {
			dst = appendString(dst, topic)
		}
		dst = count(dst, n)
		for _, p := range rest[:n] {
			dst = binary.BigEndian.AppendUint32(dst, uint32(p.Partition))
		}
		if flexible {
			dst = append(dst, 0)
		}
		rest = rest[n:]
	}
	return dst
}

// sameTopic is how many partitions at the beginning of sorted ones are of one topic.
func sameTopic(ps []TopicPartition) int {
	n := slices.IndexFunc(ps, func(p TopicPartition) bool { return p.Topic != ps[0].Topic })
	if n < 0 {
		return len(ps)
	}
	return n
}

func topicsOf(ps []TopicPartition) (n int) {
	for ; len(ps) > 0; n++ {
		ps = ps[sameTopic(ps):]
	}
	return n
}

func appendTags(dst []byte, m *Meta) []byte {
	n := 0
	for _, set := range []bool{m.Previous != batch.NoProducerID, m.Next != batch.NoProducerID, m.Version != 0} {
		if set {
			n++
		}
	}
	dst = append(dst, byte(n))
	if m.Previous != batch.NoProducerID {
		dst = binary.BigEndian.AppendUint64(append(dst, tagPrev, 8), uint64(m.Previous))
	}
	if m.Next != batch.NoProducerID {
		dst = binary.BigEndian.AppendUint64(append(dst, tagNext, 8), uint64(m.Next))
	}
	if m.Version != 0 {
		dst = binary.BigEndian.AppendUint16(append(dst, tagVersion, 2), uint16(m.Version))
	}
	return dst
}

// sizeOf is at least the size of m's value in either version.
func sizeOf(m *Meta) int {
	n := 128 + 4*len(m.Parts)
	for rest := m.Parts; len(rest) > 0; rest = rest[sameTopic(rest):] {
		n += 12 + len(rest[0].Topic)
	}
	return n
}

// decodeKey reads a key; ok is false for a version that is not known, which is passed over.
func decodeKey(b []byte) (id string, ok bool, err error) {
	d := decoder{b: b}
	if v := d.i16(); v != keyVersion && !d.short {
		return "", false, nil
	}
	id = d.string()
	return id, true, d.end("key")
}

// decodeValue reads a value. What it allocates is bounded by a small multiple of len(b).
func decodeValue(b []byte) (m Meta, err error) {
	d := decoder{b: b}
	version := d.i16()
	if version < 0 || version > 1 {
		return m, fmt.Errorf("%w: value version %d", errRecord, version)
	}
	d.flexible = version == 1
	m.Previous, m.Next, m.LastEpoch = batch.NoProducerID, batch.NoProducerID, NoEpoch
	m.ID, m.Epoch = batch.ProducerID(d.i64()), batch.ProducerEpoch(d.i16())
	m.TimeoutMs, m.State = d.i32(), State(d.i8())
	m.Parts = d.parts()
	m.UpdatedMs, m.StartedMs = d.i64(), d.i64()
	if d.flexible {
		d.tags(&m)
	}
	if err := d.end("value"); err != nil {
		return Meta{}, err
	}
	return m, m.check()
}

// check says what no coordinator writes.
func (m *Meta) check() error {
	switch {
	case m.State < Empty || m.State > CompleteAbort:
		return fmt.Errorf("%w: state %d", errRecord, m.State)
	case m.ID < 0 || m.Epoch < 0:
		return fmt.Errorf("%w: producer %d epoch %d", errRecord, m.ID, m.Epoch)
	case m.State == Empty && len(m.Parts) > 0:
		return fmt.Errorf("%w: %d partitions in state Empty", errRecord, len(m.Parts))
	case m.Next != batch.NoProducerID && !m.State.ends():
		return fmt.Errorf("%w: a next producer id in state %v", errRecord, m.State)
	}
	return nil
}

// decoder takes fields off b; once it is too short, all fields are zero and all counts 0.
type decoder struct {
	b        []byte
	short    bool
	flexible bool
}

func (d *decoder) take(n int) []byte {
	if d.short || n < 0 || n > len(d.b) {
		d.short = true
		return make([]byte, 8)[:min(max(n, 0), 8)]
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) i8() int8       { return int8(d.take(1)[0]) }
func (d *decoder) i16() int16     { return int16(binary.BigEndian.Uint16(d.take(2))) }
func (d *decoder) i32() int32     { return int32(binary.BigEndian.Uint32(d.take(4))) }
func (d *decoder) i64() int64     { return int64(binary.BigEndian.Uint64(d.take(8))) }
func (d *decoder) string() string { return d.text(int(d.i16())) }

func (d *decoder) text(n int) string {
	if s := d.take(n); !d.short {
		return string(s)
	}
	return ""
}

func (d *decoder) uvarint() int {
	v, n := binary.Uvarint(d.b)
	if d.short || n <= 0 || v > 1<<31 {
		d.short = true
		return 0
	}
	d.b = d.b[n:]
	return int(v)
}

// count reads how many elements follow, each of at least size bytes; null is none. A count that what is left cannot hold is refused.
func (d *decoder) count(size int) int {
	n := 0
	if d.flexible {
		n = d.uvarint() - 1
	} else {
		n = int(d.i32())
	}
	if n < -1 && !d.flexible || n > len(d.b)/size {
		d.short = true
	}
	if d.short {
		return 0
	}
	return max(n, 0)
}

func (d *decoder) parts() (all []TopicPartition) {
	smallest := 2 + 4
	if d.flexible {
		smallest = 1 + 1 + 1
	}
	for range d.count(smallest) {
		topic := ""
		if d.flexible {
			topic = d.text(d.uvarint() - 1)
		} else {
			topic = d.string()
		}
		for range d.count(4) {
			all = append(all, TopicPartition{topic, d.i32()})
		}
		if d.flexible {
			d.tags(nil)
		}
		if d.short {
			return nil
		}
	}
	slices.SortFunc(all, compare)
	return slices.Compact(all)
}

// tags reads tagged fields into m, or passes them over.
func (d *decoder) tags(m *Meta) {
	for n := d.uvarint(); n > 0 && !d.short; n-- {
		tag, size := d.uvarint(), d.uvarint()
		field := decoder{b: d.take(size), short: d.short}
		switch {
		case m == nil || d.short || tag > tagVersion:
			continue
		case tag == tagPrev:
			m.Previous = batch.ProducerID(field.i64())
		case tag == tagNext:
			m.Next = batch.ProducerID(field.i64())
		case tag == tagVersion:
			m.Version = field.i16()
		}
		if field.short || len(field.b) > 0 {
			d.short = true
		}
	}
}

func (d *decoder) end(what string) error {
	if d.short || len(d.b) > 0 {
		return fmt.Errorf("%w: %s: %d bytes are left, too short: %t", errRecord, what, len(d.b), d.short)
	}
	return nil
}
