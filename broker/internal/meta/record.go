package meta

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/streambus/streambus/broker/internal/quota"
)

// A record is stored as the value of one record batch record, key null:
//
//	 0  1  kind
//	 1  1  version of that kind, 0
//	 2  …  the body of the kind
//
//	 1 clusterCreated   id 16
//	 2 brokerStarted    (nothing)
//	 3 topicCreated     id 16 | name s | partitions u32 | settings m
//	 4 topicDeleted     id 16                       its logs are yet to be dropped
//	 5 topicDropped     id 16                       they are
//	 6 producerIDs      next u64                    all below are given out
//	 7 topicChanged     id 16 | settings m          all that are set from then on
//	 8 partitionsSet    id 16 | partitions u32      how many there are from then on (less only where new logs were never opened)
//	 9 brokerSettings   node u32 | settings m       of a broker, or of all (2^32-1); all that are set from then on
//	10 groupSettings    name s | settings m         all that are set from then on
//	11 clientQuotas     entity 3 × p | quotas m     of a user, a client id, an address, in this order; values as decimal text
//	12 featureLevel     name s | level u16
//	13 scramSet         user s | mechanism u8 | iterations u32 | salt s | storedKey s | serverKey s
//	14 scramRemoved     user s | mechanism u8
//
// A snapshot is a run of batches that say all over again (snapshot.go):
//
//	15 snapshotPart     index u32 | last u8         the first record of each of its batches
//	16 clusterState     id 16 | starts u32 | next u64 | featuresEpoch u64
//	17 topicState       id 16 | name s | partitions u32 | settings m | born u32 | deleted u8
//
// s is a u16 length and as many bytes; m is u16 × { key s | value s }; p is a u8 (0: not given, 1: the default, 2: named) and, where
// it is 2, a name s. Integers are big-endian. Nothing may follow the body. A kind or version that is not known stops the start: an
// older broker must not guess at a newer one's metadata.
type kind uint8

const (
	clusterCreated kind = iota + 1
	brokerStarted
	topicCreated
	topicDeleted
	topicDropped
	producerIDs
	topicChanged
	partitionsSet
	brokerSettings
	groupSettings
	clientQuotas
	featureLevel
	scramSet
	scramRemoved
	snapshotPart
	clusterState
	topicState
)

const recordVersion = 0

// maxRecord bounds one record, so that a batch holds it with room to spare.
const maxRecord = 256 << 10

// UUID names a topic or the cluster. The zero UUID means none.
type UUID [16]byte

// String is Kafka's form: URL-safe base64 without padding.
func (u UUID) String() string { return base64.RawURLEncoding.EncodeToString(u[:]) }

// record is one change. Which fields count depends on the kind.
type record struct {
	kind       kind
	id         UUID
	name       string // of a topic, group, feature or user
	partitions uint32
	settings   map[string]string
	next       uint64
	node       int32
	entity     quota.Entity
	level      uint16
	scram      Scram
	index      uint32 // of a snapshot's part
	last       bool
	starts     uint32
	epoch      uint64
	deleted    bool
}

// errRecord is the class of stored records that are none.
var errRecord = errors.New("bad metadata record")

// encode is append with its limits checked. Errors: ErrTooLong.
func (r record) encode() ([]byte, error) {
	texts := []string{r.name, r.entity.User.Name, r.entity.ClientID.Name, r.entity.IP.Name, r.scram.Salt, r.scram.StoredKey, r.scram.ServerKey}
	for k, v := range r.settings {
		texts = append(texts, k, v)
	}
	for _, s := range texts {
		if len(s) > math.MaxUint16 {
			return nil, fmt.Errorf("%w: a text of %d bytes, at most %d are taken", ErrTooLong, len(s), math.MaxUint16)
		}
	}
	b := r.append(nil)
	if len(b) > maxRecord && r.kind < snapshotPart || len(r.settings) > math.MaxUint16 { // a snapshot's is a little longer
		return nil, fmt.Errorf("%w: %d bytes of settings, at most %d are taken", ErrTooLong, len(b), maxRecord)
	}
	return b, nil
}

func (r record) append(dst []byte) []byte {
	dst = append(dst, byte(r.kind), recordVersion)
	switch r.kind {
	case clusterCreated, topicDeleted, topicDropped, topicChanged, topicCreated, partitionsSet, clusterState, topicState:
		dst = append(dst, r.id[:]...)
	case groupSettings, featureLevel, scramSet, scramRemoved:
		dst = appendString(dst, r.name)
	}
	switch r.kind {
	case topicCreated, topicState:
		dst = appendString(dst, r.name)
		dst = binary.BigEndian.AppendUint32(dst, r.partitions)
		dst = appendMap(dst, r.settings)
	case topicChanged, groupSettings:
		dst = appendMap(dst, r.settings)
	case partitionsSet:
		dst = binary.BigEndian.AppendUint32(dst, r.partitions)
	case producerIDs:
		dst = binary.BigEndian.AppendUint64(dst, r.next)
	case brokerSettings:
		dst = appendMap(binary.BigEndian.AppendUint32(dst, uint32(r.node)), r.settings)
	case clientQuotas:
		for _, p := range []quota.Part{r.entity.User, r.entity.ClientID, r.entity.IP} {
			dst = appendPart(dst, p)
		}
		dst = appendMap(dst, r.settings)
	case featureLevel:
		dst = binary.BigEndian.AppendUint16(dst, r.level)
	case scramRemoved:
		dst = append(dst, byte(r.scram.Mechanism))
	case scramSet:
		dst = append(dst, byte(r.scram.Mechanism))
		dst = binary.BigEndian.AppendUint32(dst, uint32(r.scram.Iterations))
		dst = appendString(appendString(appendString(dst, r.scram.Salt), r.scram.StoredKey), r.scram.ServerKey)
	case snapshotPart:
		dst = append(binary.BigEndian.AppendUint32(dst, r.index), bit(r.last))
	case clusterState:
		dst = binary.BigEndian.AppendUint32(dst, r.starts)
		dst = binary.BigEndian.AppendUint64(dst, r.next)
		dst = binary.BigEndian.AppendUint64(dst, r.epoch)
	}
	if r.kind == topicState {
		dst = append(binary.BigEndian.AppendUint32(dst, r.starts), bit(r.deleted))
	}
	return dst
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func appendMap(dst []byte, m map[string]string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		dst = appendString(appendString(dst, k), m[k])
	}
	return dst
}

func appendPart(dst []byte, p quota.Part) []byte {
	switch {
	case !p.Given:
		return append(dst, 0)
	case p.Default:
		return append(dst, 1)
	}
	return appendString(append(dst, 2), p.Name)
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
	case clusterCreated, topicDeleted, topicDropped, topicChanged, topicCreated, partitionsSet, clusterState, topicState:
		r.id = d.uuid()
	case groupSettings, featureLevel, scramSet, scramRemoved:
		r.name = d.string()
	case brokerStarted, producerIDs, brokerSettings, clientQuotas, snapshotPart:
	default:
		return r, fmt.Errorf("%w: unknown kind %d", errRecord, r.kind)
	}
	d.body(&r)
	if d.short || d.bad || len(d.b) > 0 {
		return r, fmt.Errorf("%w: kind %d: %d bytes are left, too short: %t", errRecord, r.kind, len(d.b), d.short)
	}
	return r, nil
}

// body reads what follows the id or name.
func (d *decoder) body(r *record) {
	switch r.kind {
	case topicCreated, topicState:
		r.name, r.partitions, r.settings = d.string(), d.u32(), d.settings()
		if r.kind == topicState {
			r.starts, r.deleted = d.u32(), d.bit()
		}
	case topicChanged, groupSettings:
		r.settings = d.settings()
	case partitionsSet:
		r.partitions = d.u32()
	case producerIDs:
		r.next = d.u64()
	case brokerSettings:
		r.node, r.settings = int32(d.u32()), d.settings()
	case clientQuotas:
		r.entity = quota.Entity{User: d.part(), ClientID: d.part(), IP: d.part()}
		r.settings = d.settings()
	case featureLevel:
		r.level = d.u16()
	case scramRemoved:
		r.scram.Mechanism = Mechanism(d.u8())
	case scramSet:
		r.scram = Scram{Mechanism: Mechanism(d.u8()), Iterations: int32(d.u32()), Salt: d.string(), StoredKey: d.string(), ServerKey: d.string()}
	case snapshotPart:
		r.index, r.last = d.u32(), d.bit()
	case clusterState:
		r.starts, r.next, r.epoch = d.u32(), d.u64(), d.u64()
	}
}

// decoder takes fields off b; once it is too short, all fields are zero.
type decoder struct {
	b     []byte
	short bool
	bad   bool // a value that none of the writers here writes
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

func (d *decoder) bit() bool {
	v := d.u8()
	d.bad = d.bad || v > 1
	return v == 1
}

func (d *decoder) part() quota.Part {
	switch d.u8() {
	case 0:
		return quota.Part{}
	case 1:
		return quota.TheDefault
	case 2:
		return quota.Named(d.string())
	}
	d.bad = true
	return quota.Part{}
}

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
