package record

import "fmt"

// ID is the id of a topic.
type ID = [16]byte

// Kind says what a record is about. It is the version of its key.
type Kind int16

// The kinds, as Kafka numbers them.
const (
	OffsetOld  Kind = 0 // read only; the same as Offset
	Offset     Kind = 1
	Classic    Kind = 2
	Consumer   Kind = 3
	Partitions Kind = 4 // only tombstones are written
	Member     Kind = 5
	Target     Kind = 6
	TargetOf   Kind = 7
	Current    Kind = 8
	Regex      Kind = 16
)

// Key is the key of a record. Which fields count depends on the kind. It is comparable.
type Key struct {
	Kind      Kind
	Group     string
	Name      string // the topic, the member or the regular expression
	Partition int32  // of an offset
}

func (k *Key) visit(c *codec) (known bool) {
	kind := int16(k.Kind)
	c.i16(&kind)
	k.Kind = Kind(kind)
	switch k.Kind {
	case OffsetOld, Offset:
		c.str(&k.Group)
		c.str(&k.Name)
		c.i32(&k.Partition)
	case Classic, Consumer, Partitions, Target:
		c.str(&k.Group)
	case Member, TargetOf, Current, Regex:
		c.str(&k.Group)
		c.str(&k.Name)
	default:
		return false
	}
	return true
}

// Append appends the key's bytes. Errors: ErrRecord where a name is longer than a record can hold.
func (k Key) Append(dst []byte) ([]byte, error) {
	c := codec{b: dst, writing: true}
	if !k.visit(&c) {
		c.fail("kind %d", k.Kind)
	}
	return c.b, c.err
}

// DecodeKey reads a key. known is false, without an error, for a kind that is not in this package. OffsetOld is given as Offset.
// Errors: ErrRecord.
func DecodeKey(b []byte) (k Key, known bool, err error) {
	c := codec{b: b}
	if known = k.visit(&c); c.err != nil {
		return k, known, fmt.Errorf("key: %w", c.err)
	}
	if !known {
		return k, false, nil
	}
	if len(c.b) > 0 {
		c.fail("key: %d bytes are left over", len(c.b))
	}
	if k.Kind == OffsetOld {
		k.Kind = Offset
	}
	return k, true, c.err
}
