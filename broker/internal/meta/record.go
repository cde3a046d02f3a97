package meta

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// A record is stored as the value of one record batch record, key null:
//
//	 0  1  kind
//	 1  1  version of that kind, 0
//	 2  …  the body of the kind
//
//	1 clusterCreated   id 16
//	2 brokerStarted    (nothing)
//	3 topicCreated     id 16 | name s | partitions u32 | settings u16 × { key s | value s }
//	4 topicDeleted     id 16                       its logs are yet to be dropped
//	5 topicDropped     id 16                       they are
//	6 producerIDs      next u64                    all below are given out
//
// s is a u16 length and as many bytes. Integers are big-endian. Nothing may follow the body. A kind or version that is not
// known stops the start: an older broker must not guess at a newer one's metadata.
type kind uint8

const (
	clusterCreated kind = iota + 1
	brokerStarted
	topicCreated
	topicDeleted
	topicDropped
	producerIDs
)

const recordVersion = 0

// UUID names a topic or the cluster. The zero UUID means none.
type UUID [16]byte

// String is Kafka's form: URL-safe base64 without padding.
func (u UUID) String() string { return base64.RawURLEncoding.EncodeToString(u[:]) }

// record is one change. Which fields count depends on the kind.
type record struct {
	kind       kind
	id         UUID
	name       string
	partitions uint32
	settings   map[string]string
	next       uint64
}

// errRecord is the class of stored records that are none.
var errRecord = errors.New("bad metadata record")

func (r record) append(dst []byte) []byte {
	dst = append(dst, byte(r.kind), recordVersion)
	switch r.kind {
	case clusterCreated, topicDeleted, topicDropped:
		dst = append(dst, r.id[:]...)
	case topicCreated:
		dst = append(dst, r.id[:]...)
		dst = appendString(dst, r.name)
		dst = binary.BigEndian.AppendUint32(dst, r.partitions)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(r.settings)))
		for _, k := range slices.Sorted(maps.Keys(r.settings)) {
			dst = appendString(appendString(dst, k), r.settings[k])
		}
	case producerIDs:
		dst = binary.BigEndian.AppendUint64(dst, r.next)
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}

func decodeRecord(b []byte) (record, error) {
	d := decoder{b: b}
	r := record{kind: kind(d.u8())}
	if v := d.u8(); v != recordVersion {
		return r, fmt.Errorf("%w: kind %d has version %d, this broker knows %d", errRecord, r.kind, v, recordVersion)
	}
	switch r.kind {
	case clusterCreated, topicDeleted, topicDropped:
		r.id = d.uuid()
	case brokerStarted:
	case topicCreated:
		r.id, r.name, r.partitions = d.uuid(), d.string(), d.u32()
		r.settings = d.settings()
	case producerIDs:
		r.next = d.u64()
	default:
		return r, fmt.Errorf("%w: unknown kind %d", errRecord, r.kind)
	}
	if d.short || len(d.b) > 0 {
		return r, fmt.Errorf("%w: kind %d: %d bytes are left, too short: %t", errRecord, r.kind, len(d.b), d.short)
	}
	return r, nil
}

// decoder takes fields off b; once it is too short, all fields are zero.
type decoder struct {
	b     []byte
	short bool
}

func (d *decoder) take(n int) []byte {
	if d.short || n > len(d.b) {
		d.short = true
		return make([]byte, min(n, 16))
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) u8() uint8      { return d.take(1)[0] }
func (d *decoder) u16() uint16    { return binary.BigEndian.Uint16(d.take(2)) }
func (d *decoder) u32() uint32    { return binary.BigEndian.Uint32(d.take(4)) }
func (d *decoder) u64() uint64    { return binary.BigEndian.Uint64(d.take(8)) }
func (d *decoder) uuid() UUID     { return UUID(d.take(16)) }
func (d *decoder) string() string { return string(d.take(int(d.u16()))) }

func (d *decoder) settings() map[string]string {
	m := map[string]string{}
	for range d.u16() {
		if d.short {
			break
		}
		k := d.string()
		m[k] = d.string()
	}
	return m
}
