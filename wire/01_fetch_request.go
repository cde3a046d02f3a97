package wire

import (
	"math"

	"github.com/streambus/streambus/wire/prim"
)

// FetchRequest asks for record batches from offsets on. It is decoded by hand:
// names are views of the body, and a struct that is decoded into again
// allocates nothing.
//
// From version 13 on topics go by ID. Kafka calls ForgottenTopics
// ForgottenTopicsData, and Name Topic. Its ReplicaState, tag 1 of 15+, is
// ReplicaID and ReplicaEpoch here, so that one field says who asks.
type FetchRequest struct {
	ClusterID       []byte // 12+, tag 0; a view; nil is null
	ReplicaID       int32  // -1 for a consumer, else the follower's node ID
	ReplicaEpoch    int64  // 15+; the follower's broker epoch, -1 unknown (KIP-903)
	MaxWaitMs       int32
	MinBytes        int32
	MaxBytes        int32
	IsolationLevel  int8  // 0 read uncommitted, 1 read committed
	SessionID       int32 // 7+ (KIP-227)
	SessionEpoch    int32 // 7+; -1 no session
	Topics          []FetchRequestTopic
	ForgottenTopics []FetchRequestForgottenTopic // 7+
	RackID          []byte                       // 11+; a view

	held held
}

// FetchRequestTopic is one topic of a FetchRequest.
type FetchRequestTopic struct {
	Name       []byte // 4 to 12; a view
	TopicID    UUID   // 13+ (KIP-516)
	Partitions []FetchRequestPartition
}

// FetchRequestPartition is one partition of a FetchRequest.
type FetchRequestPartition struct {
	PartitionIndex     int32 // Kafka's Partition
	CurrentLeaderEpoch int32 // 9+; -1 unknown (KIP-320)
	FetchOffset        int64
	LastFetchedEpoch   int32 // 12+; -1 none (KIP-595)
	PartitionMaxBytes  int32
	LogStartOffset     int64 // 5+; a follower's, -1 for a consumer
	ReplicaDirectoryID UUID  // 17+, tag 0; of a voter that fetches (KIP-853)
	HighWatermark      int64 // 18+, tag 1; what the follower knows; MaxInt64 unknown (KIP-1166)
}

// FetchRequestForgottenTopic leaves the session.
type FetchRequestForgottenTopic struct {
	Name       []byte // 7 to 12; a view
	TopicID    UUID   // 13+
	Partitions []int32
}

// Key returns KeyFetch.
func (*FetchRequest) Key() Key { return KeyFetch }

// Default sets Kafka's defaults, keeping capacity like Reset.
func (r *FetchRequest) Default() { r.Reset() }

// Reset sets Kafka's defaults and lets go of the views in the request; the
// capacity of its slices stays for the next Decode.
func (r *FetchRequest) Reset() {
	if r.held.over() {
		*r = FetchRequest{}
	}
	for i := range r.Topics {
		t := &r.Topics[i]
		*t = FetchRequestTopic{Partitions: kept(t.Partitions)}
	}
	for i := range r.ForgottenTopics {
		t := &r.ForgottenTopics[i]
		*t = FetchRequestForgottenTopic{Partitions: kept(t.Partitions)}
	}
	*r = FetchRequest{
		ReplicaID:       -1,
		ReplicaEpoch:    -1,
		MaxBytes:        math.MaxInt32,
		SessionEpoch:    -1,
		Topics:          kept(r.Topics),
		ForgottenTopics: kept(r.ForgottenTopics),
		held:            r.held,
	}
}

// Default sets Kafka's defaults.
func (p *FetchRequestPartition) Default() {
	*p = FetchRequestPartition{CurrentLeaderEpoch: -1, LastFetchedEpoch: -1, LogStartOffset: -1, HighWatermark: math.MaxInt64}
}

// Decode is the package's Decode without its pool: the fetch path.
func (r *FetchRequest) Decode(version int16, body []byte) error {
	if !KeyFetch.codes(version) {
		return refused(KeyFetch, version)
	}
	rd := prim.NewReader(body)
	r.Reset()
	r.read(&rd, version)
	if err := rd.End(); err != nil {
		return decodeError(KeyFetch, version, err)
	}
	return nil
}

func (r *FetchRequest) visit(v *visitor) {
	if v.decoding {
		r.read(&v.r, v.version)
		return
	}
	v.dst = r.append(v.dst, v.version)
}

// read fills r, which has been Reset.
func (r *FetchRequest) read(rd *prim.Reader, version int16) {
	r.readBody(rd, version)
	r.held += held(rd.Charged())
}

func (r *FetchRequest) readBody(rd *prim.Reader, version int16) {
	flexible := KeyFetch.flexible(version)
	if version < 15 {
		r.ReplicaID = rd.Int32()
	}
	r.MaxWaitMs = rd.Int32()
	r.MinBytes = rd.Int32()
	r.MaxBytes = rd.Int32()
	r.IsolationLevel = rd.Int8()
	if version >= 7 {
		r.SessionID = rd.Int32()
		r.SessionEpoch = rd.Int32()
	}
	r.readTopics(rd, version, flexible)
	if version >= 7 {
		r.readForgotten(rd, version, flexible)
	}
	if version >= 11 {
		r.RackID = rd.StringView(flexible, false)
	}
	if flexible {
		r.readTags(rd, version >= 15)
	}
}

func (r *FetchRequest) readTopics(rd *prim.Reader, version int16, flexible bool) {
	r.Topics = resize(rd, r.Topics, rd.ArrayLen(flexible, false, minOf(flexible, 3, 6)))
	for i := range r.Topics {
		t := &r.Topics[i]
		if version >= 13 {
			t.TopicID = rd.UUID()
		} else {
			t.Name = rd.StringView(flexible, false)
		}
		t.Partitions = resize(rd, t.Partitions, rd.ArrayLen(flexible, false, 16))
		for j := range t.Partitions {
			t.Partitions[j].read(rd, version)
		}
		if flexible {
			rd.SkipTags()
		}
		if rd.Failed() {
			return
		}
	}
}

func (p *FetchRequestPartition) read(rd *prim.Reader, version int16) {
	p.Default()
	p.PartitionIndex = rd.Int32()
	if version >= 9 {
		p.CurrentLeaderEpoch = rd.Int32()
	}
	p.FetchOffset = rd.Int64()
	if version >= 12 {
		p.LastFetchedEpoch = rd.Int32()
	}
	if version >= 5 {
		p.LogStartOffset = rd.Int64()
	}
	p.PartitionMaxBytes = rd.Int32()
	switch {
	case version >= 17:
		p.readTags(rd, version)
	case version >= 12:
		rd.SkipTags()
	}
}

// readTags reads the partition's tag section, in nearly every request empty.
func (p *FetchRequestPartition) readTags(rd *prim.Reader, version int16) {
	for n := rd.TagCount(); n > 0; n-- {
		tag, size := rd.Tag()
		outer := rd.Enter(size)
		switch {
		case tag == 0:
			p.ReplicaDirectoryID = rd.UUID()
		case tag == 1 && version >= 18:
			p.HighWatermark = rd.Int64()
		default:
			rd.Span(size)
		}
		rd.Leave(outer)
	}
}

func (r *FetchRequest) readForgotten(rd *prim.Reader, version int16, flexible bool) {
	r.ForgottenTopics = resize(rd, r.ForgottenTopics, rd.ArrayLen(flexible, false, minOf(flexible, 3, 6)))
	for i := range r.ForgottenTopics {
		t := &r.ForgottenTopics[i]
		if version >= 13 {
			t.TopicID = rd.UUID()
		} else {
			t.Name = rd.StringView(flexible, false)
		}
		t.Partitions = resize(rd, t.Partitions, rd.ArrayLen(flexible, false, 4))
		for j := range t.Partitions {
			t.Partitions[j] = rd.Int32()
		}
		if flexible {
			rd.SkipTags()
		}
		if rd.Failed() {
			return
		}
	}
}

// readTags reads the tag section of the request; state says whether the version
// has the ReplicaState tag.
func (r *FetchRequest) readTags(rd *prim.Reader, state bool) {
	for n := rd.TagCount(); n > 0; n-- {
		tag, size := rd.Tag()
		outer := rd.Enter(size)
		switch {
		case tag == 0:
			r.ClusterID = rd.StringView(true, true)
		case tag == 1 && state:
			r.ReplicaID, r.ReplicaEpoch = rd.Int32(), rd.Int64()
			rd.SkipTags()
		default:
			rd.Span(size)
		}
		rd.Leave(outer)
	}
}

func (r *FetchRequest) append(dst []byte, version int16) []byte {
	flexible := KeyFetch.flexible(version)
	if version < 15 {
		dst = prim.AppendInt32(dst, r.ReplicaID)
	}
	dst = prim.AppendInt32(dst, r.MaxWaitMs)
	dst = prim.AppendInt32(dst, r.MinBytes)
	dst = prim.AppendInt32(dst, r.MaxBytes)
	dst = append(dst, byte(r.IsolationLevel))
	if version >= 7 {
		dst = prim.AppendInt32(dst, r.SessionID)
		dst = prim.AppendInt32(dst, r.SessionEpoch)
	}
	dst = prim.AppendLen(dst, len(r.Topics), flexible)
	for i := range r.Topics {
		dst = r.Topics[i].append(dst, version, flexible)
	}
	if version >= 7 {
		dst = prim.AppendLen(dst, len(r.ForgottenTopics), flexible)
		for i := range r.ForgottenTopics {
			dst = r.ForgottenTopics[i].append(dst, version, flexible)
		}
	}
	if version >= 11 {
		dst = prim.AppendString(dst, r.RackID, flexible)
	}
	if !flexible {
		return dst
	}
	return r.appendTags(dst, version)
}

func (r *FetchRequest) appendTags(dst []byte, version int16) []byte {
	at := len(dst)
	dst = append(dst, 0) // how many, once known
	if r.ClusterID != nil {
		dst[at]++
		dst = append(dst, 0)
		dst = insertSize(prim.AppendString(dst, r.ClusterID, true), len(dst))
	}
	if version >= 15 && (r.ReplicaID != -1 || r.ReplicaEpoch != -1) {
		dst[at]++
		dst = append(dst, 1, 4+8+1)
		dst = prim.AppendInt32(dst, r.ReplicaID)
		dst = append(prim.AppendInt64(dst, r.ReplicaEpoch), 0)
	}
	return dst
}

func (t *FetchRequestTopic) append(dst []byte, version int16, flexible bool) []byte {
	if version >= 13 {
		dst = append(dst, t.TopicID[:]...)
	} else {
		dst = prim.AppendString(dst, t.Name, flexible)
	}
	dst = prim.AppendLen(dst, len(t.Partitions), flexible)
	for i := range t.Partitions {
		p := &t.Partitions[i]
		dst = prim.AppendInt32(dst, p.PartitionIndex)
		if version >= 9 {
			dst = prim.AppendInt32(dst, p.CurrentLeaderEpoch)
		}
		dst = prim.AppendInt64(dst, p.FetchOffset)
		if version >= 12 {
			dst = prim.AppendInt32(dst, p.LastFetchedEpoch)
		}
		if version >= 5 {
			dst = prim.AppendInt64(dst, p.LogStartOffset)
		}
		dst = prim.AppendInt32(dst, p.PartitionMaxBytes)
		dst = p.appendTags(dst, version, flexible)
	}
	return appendNoTags(dst, flexible)
}

func (p *FetchRequestPartition) appendTags(dst []byte, version int16, flexible bool) []byte {
	if !flexible {
		return dst
	}
	at := len(dst)
	dst = append(dst, 0) // how many, once known
	if version >= 17 && p.ReplicaDirectoryID != (UUID{}) {
		dst[at]++
		dst = append(dst, 0, 16)
		dst = append(dst, p.ReplicaDirectoryID[:]...)
	}
	if version >= 18 && p.HighWatermark != math.MaxInt64 {
		dst[at]++
		dst = append(dst, 1, 8)
		dst = prim.AppendInt64(dst, p.HighWatermark)
	}
	return dst
}

func (t *FetchRequestForgottenTopic) append(dst []byte, version int16, flexible bool) []byte {
	if version >= 13 {
		dst = append(dst, t.TopicID[:]...)
	} else {
		dst = prim.AppendString(dst, t.Name, flexible)
	}
	dst = prim.AppendLen(dst, len(t.Partitions), flexible)
	for _, p := range t.Partitions {
		dst = prim.AppendInt32(dst, p)
	}
	return appendNoTags(dst, flexible)
}
