package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrRecord is the class of bytes that are no record, and of structs that no record can hold.
var ErrRecord = errors.New("bad record in __consumer_offsets")

// codec writes to or reads from b, by one description. After an error all fields are zero.
type codec struct {
	b        []byte
	writing  bool
	flexible bool
	err      error
}

func (c *codec) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrRecord, fmt.Sprintf(format, args...))
	}
}

// take is the next n bytes of what is read.
func (c *codec) take(n int) []byte {
	if c.err == nil && (n < 0 || n > len(c.b)) {
		c.fail("%d bytes are wanted, %d are left", n, len(c.b))
	}
	if c.err != nil {
		return nil
	}
	p := c.b[:n]
	c.b = c.b[n:]
	return p
}

func (c *codec) fixed(n int, v uint64) uint64 {
	if c.writing {
		var be [8]byte
		binary.BigEndian.PutUint64(be[:], v)
		c.b = append(c.b, be[8-n:]...)
		return v
	}
	p := c.take(n)
	var be [8]byte
	copy(be[8-n:], p)
	return binary.BigEndian.Uint64(be[:])
}

func (c *codec) i8(v *int8)   { *v = int8(c.fixed(1, uint64(*v))) }
func (c *codec) i16(v *int16) { *v = int16(c.fixed(2, uint64(*v))) }
func (c *codec) i32(v *int32) { *v = int32(c.fixed(4, uint64(*v))) }
func (c *codec) i64(v *int64) { *v = int64(c.fixed(8, uint64(*v))) }

func (c *codec) id(v *ID) {
	if c.writing {
		c.b = append(c.b, v[:]...)
		return
	}
	copy(v[:], c.take(len(v)))
}

func (c *codec) uvarint(v uint64) uint64 {
	if c.writing {
		c.b = binary.AppendUvarint(c.b, v)
		return v
	}
	if c.err != nil {
		return 0
	}
	v, n := binary.Uvarint(c.b)
	if n <= 0 || n > 5 {
		c.fail("no varint")
		return 0
	}
	c.b = c.b[n:]
	return v
}

// length is the length of a list, bytes or, where wide is false, a string; -1 is null.
func (c *codec) length(n int, wide bool) int {
	switch {
	case c.flexible:
		return int(int64(c.uvarint(uint64(n+1))) - 1)
	case wide:
		return int(int32(c.fixed(4, uint64(n))))
	}
	return int(int16(c.fixed(2, uint64(n))))
}

// str is a string that cannot be null.
func (c *codec) str(v *string) { c.text(v, false) }

// nstr is a string whose "" is null.
func (c *codec) nstr(v *string) { c.text(v, true) }

func (c *codec) text(v *string, nullable bool) {
	if c.writing {
		if len(*v) > math.MaxInt16 {
			c.fail("a name of %d bytes", len(*v))
			return
		}
		if nullable && *v == "" {
			c.length(-1, false)
			return
		}
		c.length(len(*v), false)
		c.b = append(c.b, *v...)
		return
	}
	n := c.length(0, false)
	if n < 0 && nullable {
		*v = ""
		return
	}
	*v = string(c.take(n))
}

// bytes is never null when written.
func (c *codec) bytes(v *[]byte) {
	if c.writing {
		c.length(len(*v), true)
		c.b = append(c.b, *v...)
		return
	}
	n := c.length(0, true)
	if n <= 0 {
		*v = nil
		return
	}
	*v = append([]byte(nil), c.take(n)...)
}

// list visits the elements of a list, each of which takes at least least bytes.
func list[T any](c *codec, v *[]T, least int, visit func(*codec, *T)) {
	n := c.length(len(*v), true)
	if !c.writing {
		*v = nil
		if n <= 0 || c.err != nil {
			return
		}
		if n > len(c.b)/least {
			c.fail("a list of %d in %d bytes", n, len(c.b))
			return
		}
		*v = make([]T, n)
	}
	for i := range *v {
		if visit(c, &(*v)[i]); c.err != nil {
			return
		}
	}
}

func (c *codec) strings(v *[]string) { list(c, v, c.leastString(), (*codec).str) }

func (c *codec) leastString() int {
	if c.flexible {
		return 1
	}
	return 2
}

func (c *codec) ints(v *[]int32) { list(c, v, 4, (*codec).i32) }

// tag is a tagged field.
type tag struct {
	n     uint64
	set   bool // write it
	visit func(*codec)
}

// tags is the tagged fields that end a struct: those given, in order, and when reading any others, which are passed over.
func (c *codec) tags(known ...tag) {
	if !c.flexible {
		return
	}
	if c.writing {
		c.writeTags(known)
		return
	}
	n := c.uvarint(0)
	if n > uint64(len(c.b))/2 {
		c.fail("%d tagged fields in %d bytes", n, len(c.b))
	}
	for ; n > 0 && c.err == nil; n-- {
		number, size := c.uvarint(0), c.uvarint(0)
		sub := codec{b: c.take(int(size)), flexible: true, err: c.err}
		for _, t := range known {
			if t.n == number && sub.err == nil {
				t.visit(&sub)
				if c.err = sub.err; len(sub.b) > 0 {
					c.fail("%d bytes are left over in tagged field %d", len(sub.b), number)
				}
			}
		}
	}
}

func (c *codec) writeTags(known []tag) {
	n := 0
	for _, t := range known {
		if t.set {
			n++
		}
	}
	c.uvarint(uint64(n))
	for _, t := range known {
		if !t.set {
			continue
		}
		sub := codec{writing: true, flexible: true}
		t.visit(&sub)
		if sub.err != nil {
			c.err = sub.err
		}
		c.uvarint(t.n)
		c.uvarint(uint64(len(sub.b)))
		c.b = append(c.b, sub.b...)
	}
}
