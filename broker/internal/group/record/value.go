package record

import "fmt"

// Value is the value of a record: a pointer to one of the structs below.
type Value interface {
	// versions are those that are read, and the one that is written; flexible is the first that is flexible.
	versions() (highest, written, flexible int16)
	visit(c *codec, version int16)
}

// New gives the Value for a kind, nil for one that has none here.
func New(k Kind) Value {
	switch k {
	case Offset, OffsetOld:
		return new(OffsetValue)
	case Classic:
		return new(ClassicValue)
	case Consumer:
		return new(ConsumerValue)
	case Member:
		return new(MemberValue)
	case Target:
		return new(TargetValue)
	case TargetOf:
		return new(TargetOfValue)
	case Current:
		return new(CurrentValue)
	case Regex:
		return new(RegexValue)
	}
	return nil
}

// Append appends the bytes of v. Errors: ErrRecord where a name is longer than a record can hold.
func Append(dst []byte, v Value) ([]byte, error) {
	_, version, flexible := v.versions()
	c := codec{b: dst, writing: true, flexible: version >= flexible}
	c.i16(&version)
	v.visit(&c, version)
	return c.b, c.err
}

// Decode reads into v, which keeps nothing of b. Errors: ErrRecord.
func Decode(b []byte, v Value) error {
	c := codec{b: b}
	var version int16
	c.i16(&version)
	highest, _, flexible := v.versions()
	if c.err == nil && (version < 0 || version > highest) {
		c.fail("version %d of %T", version, v)
	}
	if c.err != nil {
		return c.err
	}
	c.flexible = version >= flexible
	v.visit(&c, version)
	if c.err == nil && len(c.b) > 0 {
		c.fail("%d bytes are left over", len(c.b))
	}
	if c.err != nil {
		return fmt.Errorf("%T: %w", v, c.err)
	}
	return nil
}

// OffsetValue is a committed offset.
type OffsetValue struct {
	Offset    int64
	Epoch     int32 // leader epoch of the record before it; -1: not known
	Metadata  string
	CommitMs  int64
	ExpireMs  int64 // version 1 only, else -1: when it expires whatever the broker's retention
	HasExpiry bool
}

func (v *OffsetValue) versions() (highest, written, flexible int16) {
	if v.HasExpiry { // as Kafka writes it; who asks for it (OffsetCommit 2 to 4) tells no leader epoch
		return 4, 1, 4
	}
	return 4, 3, 4
}

func (v *OffsetValue) visit(c *codec, version int16) {
	c.i64(&v.Offset)
	if version >= 3 {
		c.i32(&v.Epoch)
	} else {
		v.Epoch = -1
	}
	c.str(&v.Metadata)
	c.i64(&v.CommitMs)
	if version == 1 {
		c.i64(&v.ExpireMs)
		v.HasExpiry = v.ExpireMs >= 0
	}
	c.tags()
}

// ClassicValue is the generation of a classic group, or, without members, that it is empty.
type ClassicValue struct {
	ProtocolType string
	Generation   int32
	Protocol     string
	Leader       string
	StateMs      int64 // since when it is in its state; -1: not known
	Members      []ClassicMember
}

// ClassicMember is a member of the generation.
type ClassicMember struct {
	ID, Instance         string
	ClientID, ClientHost string
	RebalanceMs          int32
	SessionMs            int32
	Subscription         []byte // its metadata for the protocol chosen
	Assignment           []byte
}

func (*ClassicValue) versions() (highest, written, flexible int16) { return 4, 3, 4 }

func (v *ClassicValue) visit(c *codec, version int16) {
	c.str(&v.ProtocolType)
	c.i32(&v.Generation)
	c.nstr(&v.Protocol)
	c.nstr(&v.Leader)
	if version >= 2 {
		c.i64(&v.StateMs)
	} else {
		v.StateMs = -1
	}
	list(c, &v.Members, 7, func(c *codec, m *ClassicMember) {
		c.str(&m.ID)
		if version >= 3 {
			c.nstr(&m.Instance)
		}
		c.str(&m.ClientID)
		c.str(&m.ClientHost)
		if version >= 1 {
			c.i32(&m.RebalanceMs)
		}
		c.i32(&m.SessionMs)
		if version < 1 {
			m.RebalanceMs = m.SessionMs
		}
		c.bytes(&m.Subscription)
		c.bytes(&m.Assignment)
		c.tags()
	})
	c.tags()
}

// ConsumerValue is the epoch of a consumer group.
type ConsumerValue struct {
	Epoch        int32
	MetadataHash int64 // of the topics subscribed to
}

func (*ConsumerValue) versions() (highest, written, flexible int16) { return 0, 0, 0 }

func (v *ConsumerValue) visit(c *codec, _ int16) {
	c.i32(&v.Epoch)
	c.tags(tag{0, v.MetadataHash != 0, func(c *codec) { c.i64(&v.MetadataHash) }})
}

// MemberValue is what a member of a consumer group says of itself.
type MemberValue struct {
	Instance, Rack       string
	ClientID, ClientHost string
	Topics               []string // names subscribed to
	Regex                string
	RebalanceMs          int32
	Assignor             string
	Classic              *ClassicInfo // nil but for a member that speaks the classic protocol
}

// ClassicInfo is kept of a member that speaks the classic protocol in a consumer group.
type ClassicInfo struct {
	SessionMs int32
	Protocols []ClassicProtocol
}

// ClassicProtocol is an assignor that such a member can run, and its metadata for it.
type ClassicProtocol struct {
	Name     string
	Metadata []byte
}

func (*MemberValue) versions() (highest, written, flexible int16) { return 0, 0, 0 }

func (v *MemberValue) visit(c *codec, _ int16) {
	c.nstr(&v.Instance)
	c.nstr(&v.Rack)
	c.str(&v.ClientID)
	c.str(&v.ClientHost)
	c.strings(&v.Topics)
	c.nstr(&v.Regex)
	c.i32(&v.RebalanceMs)
	c.nstr(&v.Assignor)
	c.tags(tag{0, v.Classic != nil, v.visitClassic})
}

// visitClassic is a nullable struct: a byte 1, then its fields; -1 is null.
func (v *MemberValue) visitClassic(c *codec) {
	there := int8(1)
	if c.i8(&there); there < 0 || c.err != nil {
		return
	}
	if !c.writing {
		v.Classic = new(ClassicInfo)
	}
	x := v.Classic
	c.i32(&x.SessionMs)
	list(c, &x.Protocols, 3, func(c *codec, p *ClassicProtocol) {
		c.str(&p.Name)
		c.bytes(&p.Metadata)
		c.tags()
	})
	c.tags()
}

// TargetValue is the epoch that the target assignment was made for.
type TargetValue struct {
	Epoch  int32
	MadeMs int64 // when, 0: not known
}

func (*TargetValue) versions() (highest, written, flexible int16) { return 0, 0, 0 }

func (v *TargetValue) visit(c *codec, _ int16) {
	c.i32(&v.Epoch)
	c.tags(tag{0, v.MadeMs != 0, func(c *codec) { c.i64(&v.MadeMs) }})
}

// TopicPartitions is partitions of a topic.
type TopicPartitions struct {
	Topic      ID
	Partitions []int32
}

func (c *codec) topics(v *[]TopicPartitions) {
	list(c, v, 18, func(c *codec, t *TopicPartitions) {
		c.id(&t.Topic)
		c.ints(&t.Partitions)
		c.tags()
	})
}

// TargetOfValue is the target assignment of a member.
type TargetOfValue struct {
	Topics []TopicPartitions
}

func (*TargetOfValue) versions() (highest, written, flexible int16) { return 0, 0, 0 }

func (v *TargetOfValue) visit(c *codec, _ int16) {
	c.topics(&v.Topics)
	c.tags()
}

// CurrentValue is what a member has now, and where it is on its way to the target.
type CurrentValue struct {
	Epoch, Previous int32
	State           int8 // 0 stable, 1 must revoke, 2 waits for others to release
	Assigned        []TopicPartitions
	Revoking        []TopicPartitions
}

func (*CurrentValue) versions() (highest, written, flexible int16) { return 0, 0, 0 }

func (v *CurrentValue) visit(c *codec, _ int16) {
	c.i32(&v.Epoch)
	c.i32(&v.Previous)
	c.i8(&v.State)
	c.topics(&v.Assigned)
	c.topics(&v.Revoking)
	c.tags()
}

// RegexValue is the topics that a regular expression stood for.
type RegexValue struct {
	Topics  []string
	Version int64 // of the metadata that it was held against
	AtMs    int64
}

func (*RegexValue) versions() (highest, written, flexible int16) { return 0, 0, 0 }

func (v *RegexValue) visit(c *codec, _ int16) {
	c.strings(&v.Topics)
	c.i64(&v.Version)
	c.i64(&v.AtMs)
	c.tags()
}
