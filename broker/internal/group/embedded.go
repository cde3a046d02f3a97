package group

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The consumer protocol that clients put into the opaque bytes of the classic protocol. It is looked at only to know which topics a group
// reads, and to take members over into a consumer group. Source: Kafka's ConsumerProtocolSubscription and ConsumerProtocolAssignment,
// versions 0 to 3; a later version only adds fields behind those.
//
//	subscription  version i16 | topics [s] | userData bytes | from 1: owned [topic s | partitions [i32]] | from 2: generation i32 |
//	              from 3: rack s
//	assignment    version i16 | [topic s | partitions [i32]] | userData bytes
//
// s is an i16 length and as many bytes, [x] an i32 count and as many x, bytes an i32 length (-1 is null) and as many.

// ConsumerType is the protocol type of consumers; others (connect, sr) are free to put what they like into their metadata.
const ConsumerType = "consumer"

// errEmbedded is the class of metadata that are not what a consumer sends.
var errEmbedded = errors.New("bad consumer metadata")

// subscription is what a consumer says in its metadata.
type subscription struct {
	topics     []string
	owned      []TopicPartition
	generation Generation // NoGeneration where it is not told
	rack       string
}

// reader takes fields off b; once it is too short, all fields are zero.
type reader struct {
	b     []byte
	short bool
}

func (d *reader) take(n int) []byte {
	if d.short || n < 0 || n > len(d.b) {
		d.short = true
		return make([]byte, 8)[:max(min(n, 8), 0)]
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *reader) i16() int16     { return int16(binary.BigEndian.Uint16(d.take(2))) }
func (d *reader) i32() int32     { return int32(binary.BigEndian.Uint32(d.take(4))) }
func (d *reader) string() string { return string(d.take(int(d.i16()))) }

// count reads the length of a list whose elements take at least least bytes each.
func (d *reader) count(least int) int {
	n := int(d.i32())
	if n < 0 {
		n = 0
	}
	if n > len(d.b)/least {
		d.short = true
		return 0
	}
	return n
}

func (d *reader) skipBytes() {
	if n := d.i32(); n > 0 {
		d.take(int(n))
	}
}

func (d *reader) partitions() (out []TopicPartition) {
	for range d.count(6) {
		topic := d.string()
		for range d.count(4) {
			out = append(out, TopicPartition{topic, d.i32()})
		}
	}
	return out
}

// parseSubscription reads the metadata of a member. Errors: errEmbedded.
func parseSubscription(b []byte) (s subscription, err error) {
	d := reader{b: b}
	version := d.i16()
	for range d.count(2) {
		s.topics = append(s.topics, d.string())
	}
	d.skipBytes()
	s.generation = NoGeneration
	if version >= 1 {
		s.owned = d.partitions()
	}
	if version >= 2 {
		s.generation = Generation(d.i32())
	}
	if version >= 3 {
		if n := d.i16(); n > 0 {
			s.rack = string(d.take(int(n)))
		}
	}
	if d.short || version < 0 {
		return subscription{}, fmt.Errorf("%w: a subscription of %d bytes, version %d", errEmbedded, len(b), version)
	}
	return s, nil
}

// parseAssignment reads what a member was assigned; no bytes are nothing. Errors: errEmbedded.
func parseAssignment(b []byte) ([]TopicPartition, error) {
	if len(b) == 0 {
		return nil, nil
	}
	d := reader{b: b}
	version := d.i16()
	all := d.partitions()
	if d.short || version < 0 {
		return nil, fmt.Errorf("%w: an assignment of %d bytes, version %d", errEmbedded, len(b), version)
	}
	return all, nil
}
