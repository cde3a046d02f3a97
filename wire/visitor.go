package wire

import (
	"math"
	"unsafe" // Sizeof only

	"github.com/streambus/streambus/wire/prim"
)

// visitor walks a message in one direction. A message describes itself once, in
// its visit method, by handing the visitor pointers to its fields in wire
// order; the visitor either fills them from r or appends them to dst. So the
// two directions cannot disagree.
//
//	func (r *HeartbeatRequest) visit(v *visitor) {
//		v.str(&r.GroupID)
//		v.int32(&r.GenerationID)
//		v.str(&r.MemberID)
//		if v.version >= 3 {
//			v.nullStr(&r.GroupInstanceID)
//		}
//		v.tags()
//	}
//
// Decode has called Default on the message; an element of an array starts as
// zero, so an element type with other defaults calls its Default first thing
// when decoding.
type visitor struct {
	version  int16
	flexible bool
	decoding bool
	r        prim.Reader // when decoding
	dst      []byte      // when encoding

	// audit is called by tests for every array that was encoded, with the
	// minimum size its description claims and the bytes its elements took.
	audit func(minSize, n, size int)
}

func (v *visitor) boolean(p *bool) {
	if v.decoding {
		*p = v.r.Bool()
		return
	}
	v.dst = prim.AppendBool(v.dst, *p)
}

func (v *visitor) int8(p *int8) {
	if v.decoding {
		*p = v.r.Int8()
		return
	}
	v.dst = append(v.dst, byte(*p))
}

func (v *visitor) int16(p *int16) {
	if v.decoding {
		*p = v.r.Int16()
		return
	}
	v.dst = prim.AppendInt16(v.dst, *p)
}

func (v *visitor) int32(p *int32) {
	if v.decoding {
		*p = v.r.Int32()
		return
	}
	v.dst = prim.AppendInt32(v.dst, *p)
}

func (v *visitor) int64(p *int64) {
	if v.decoding {
		*p = v.r.Int64()
		return
	}
	v.dst = prim.AppendInt64(v.dst, *p)
}

func (v *visitor) uint16(p *uint16) {
	if v.decoding {
		*p = uint16(v.r.Int16())
		return
	}
	v.dst = prim.AppendInt16(v.dst, int16(*p))
}

// float64 is IEEE 754, big endian.
func (v *visitor) float64(p *float64) {
	if v.decoding {
		*p = math.Float64frombits(uint64(v.r.Int64()))
		return
	}
	v.dst = prim.AppendInt64(v.dst, int64(math.Float64bits(*p)))
}

func (v *visitor) uuid(p *UUID) {
	if v.decoding {
		*p = v.r.UUID()
		return
	}
	v.dst = append(v.dst, p[:]...)
}

func (v *visitor) key(p *Key) { v.int16((*int16)(p)) }

func (v *visitor) code(p *ErrorCode) { v.int16((*int16)(p)) }

// str is a string that cannot be null.
func (v *visitor) str(p *string) {
	if v.decoding {
		*p = v.r.String(v.flexible)
		return
	}
	v.dst = prim.AppendString(v.dst, *p, v.flexible)
}

// strView is a string that cannot be null; decoded, it is a view, for messages
// that come before login and shall allocate nothing.
func (v *visitor) strView(p *[]byte) {
	if v.decoding {
		*p = v.r.StringView(v.flexible, false)
		return
	}
	v.dst = prim.AppendString(v.dst, *p, v.flexible)
}

// nullStr is a string that can be null.
func (v *visitor) nullStr(p **string) {
	if v.decoding {
		*p = v.r.NullableString(v.flexible)
		return
	}
	v.dst = prim.AppendNullableString(v.dst, *p, v.flexible)
}

// nullStrSince is a string that can be null from a version on. Before that,
// nil is sent as the empty string and never read.
func (v *visitor) nullStrSince(version int16, p **string) {
	if v.version >= version {
		v.nullStr(p)
		return
	}
	if v.decoding {
		if v.r.Charge(int(unsafe.Sizeof(""))) {
			s := v.r.String(v.flexible)
			*p = &s
		}
		return
	}
	s := ""
	if *p != nil {
		s = **p
	}
	v.dst = prim.AppendString(v.dst, s, v.flexible)
}

// topic is a topic's name and, from a version on, its ID in place of it.
func (v *visitor) topic(name *string, id *UUID, byID int16) {
	if v.version >= byID {
		v.uuid(id)
		return
	}
	v.str(name)
}

// bytes is a byte string that cannot be null; decoded, it is a view.
func (v *visitor) bytes(p *[]byte) {
	if v.decoding {
		*p = v.r.BytesView(v.flexible, false)
		return
	}
	v.dst = prim.AppendBytes(v.dst, *p, v.flexible)
}

// tags is a tag section of which we know no tag: empty when encoding, skipped
// when decoding. It is nothing in versions without tags.
func (v *visitor) tags() {
	switch {
	case !v.flexible:
	case v.decoding:
		v.r.SkipTags()
	default:
		v.dst = append(v.dst, 0)
	}
}

// tagger is a struct whose tag section has known fields, all in [0, tagEnd).
// (Closures would read better; they would also allocate once per element,
// outside the budget.)
type tagger interface {
	// sends reports whether the field differs from its default, so that it
	// has to be sent.
	sends(tag uint32) bool

	// visitTag describes the field; for an unknown one it does nothing and
	// returns false.
	visitTag(tag uint32, v *visitor) bool

	tagEnd() uint32
}

// tagsOf is a tag section with known fields; others are skipped.
func (v *visitor) tagsOf(t tagger) {
	switch {
	case !v.flexible:
	case v.decoding:
		for n := v.r.TagCount(); n > 0; n-- {
			v.readTag(t)
		}
	default:
		v.appendTags(t)
	}
}

func (v *visitor) readTag(t tagger) {
	tag, size := v.r.Tag()
	outer := v.r.Enter(size)
	if !t.visitTag(tag, v) {
		v.r.Span(size)
	}
	v.r.Leave(outer)
}

func (v *visitor) appendTags(t tagger) {
	n := uint32(0)
	for tag := range t.tagEnd() {
		if t.sends(tag) {
			n++
		}
	}
	v.dst = prim.AppendUvarint(v.dst, n)
	for tag := range t.tagEnd() {
		if !t.sends(tag) {
			continue
		}
		v.dst = prim.AppendUvarint(v.dst, tag)
		start := len(v.dst)
		t.visitTag(tag, v)
		v.dst = insertSize(v.dst, start)
	}
}

// insertSize puts the size of dst[start:] before it, as a uvarint. Its width is
// not known before the field is; tagged fields are rare and small, so the
// field moves.
func insertSize(dst []byte, start int) []byte {
	size := len(dst) - start
	width := prim.UvarintSize(uint32(size))
	dst = append(dst, "\x00\x00\x00\x00\x00"[:width]...)
	copy(dst[start+width:], dst[start:start+size])
	prim.AppendUvarint(dst[:start], uint32(size))
	return dst
}

// array is an array that cannot be null. minSize is the least bytes an element
// takes in any version (a test holds every caller to it); each describes one.
func array[T any](v *visitor, p *[]T, minSize int, each func(*T, *visitor)) {
	arrayOf(v, p, minSize, false, each)
}

// nullArray is an array that can be null.
func nullArray[T any](v *visitor, p *[]T, minSize int, each func(*T, *visitor)) {
	arrayOf(v, p, minSize, true, each)
}

func arrayOf[T any](v *visitor, p *[]T, minSize int, nullable bool, each func(*T, *visitor)) {
	if v.decoding {
		*p = readArray(v, minSize, nullable, each)
		return
	}
	s := *p
	if s == nil && nullable {
		v.dst = prim.AppendLen(v.dst, -1, v.flexible)
		return
	}
	v.dst = prim.AppendLen(v.dst, len(s), v.flexible)
	start := len(v.dst)
	for i := range s {
		each(&s[i], v)
	}
	if v.audit != nil {
		v.audit(minSize, len(s), len(v.dst)-start)
	}
}

// readArray allocates the whole array at once: its count has been compared with
// the bytes that are left and its memory charged to the budget.
func readArray[T any](v *visitor, minSize int, nullable bool, each func(*T, *visitor)) []T {
	n := v.r.ArrayLen(v.flexible, nullable, minSize)
	var zero T
	if n < 0 || !v.r.Charge(n*int(unsafe.Sizeof(zero))) {
		return nil
	}
	s := make([]T, n)
	for i := range s {
		each(&s[i], v)
		if v.r.Failed() {
			return nil
		}
	}
	return s
}

// nullStruct is a struct that can be null: a byte, -1 for null and 1 for one that
// is there, before it. Kafka takes any negative byte for null.
func nullStruct[T any](v *visitor, p **T, visit func(*T, *visitor)) {
	switch {
	case !v.decoding && *p == nil:
		v.dst = append(v.dst, 0xff)
	case !v.decoding:
		v.dst = append(v.dst, 1)
		visit(*p, v)
	case v.r.Int8() >= 0 && !v.r.Failed() && v.r.Charge(int(unsafe.Sizeof(**p))):
		*p = new(T)
		visit(*p, v)
	}
}

// int32s is an array of int32 that cannot be null.
func (v *visitor) int32s(p *[]int32) {
	array(v, p, 4, func(x *int32, v *visitor) { v.int32(x) })
}

// int64s is an array of int64 that cannot be null.
func (v *visitor) int64s(p *[]int64) {
	array(v, p, 8, func(x *int64, v *visitor) { v.int64(x) })
}

// nullInt32s is an array of int32 that can be null.
func (v *visitor) nullInt32s(p *[]int32) {
	nullArray(v, p, 4, func(x *int32, v *visitor) { v.int32(x) })
}

// int8s is an array of int8 that cannot be null.
func (v *visitor) int8s(p *[]int8) {
	array(v, p, 1, func(x *int8, v *visitor) { v.int8(x) })
}

// nullStrs is an array of strings that can be null; they cannot.
func (v *visitor) nullStrs(p *[]string) {
	nullArray(v, p, 1, func(s *string, v *visitor) { v.str(s) })
}

// strs is an array of strings; neither it nor they can be null.
func (v *visitor) strs(p *[]string) {
	array(v, p, 1, func(s *string, v *visitor) { v.str(s) })
}
