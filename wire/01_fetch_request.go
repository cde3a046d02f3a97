package wire

import (
	"math"

	"github.com/streambus/streambus/wire/prim"
)

// FetchRequest asks for record batches from offsets on. It is decoded by hand:
// names are views of the body, and a struct that is decoded into again
// allocates nothing.
//
// Versions 4 to 12: after that topics go by ID. Kafka calls ForgottenTopics
// ForgottenTopicsData, and Name Topic.
type FetchRequest struct {
	ClusterID       []byte // 12, tag 0; a view; nil is null
	ReplicaID       int32  // -1 for a consumer, else the follower's node ID
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
	Name       []byte // a view
	Partitions []FetchRequestPartition
}

// FetchRequestPartition is one partition of a FetchRequest.
type FetchRequestPartition struct {
	PartitionIndex     int32 // Kafka's Partition
	CurrentLeaderEpoch int32 // 9+; -1 unknown (KIP-320)
	FetchOffset        int64
	LastFetchedEpoch   int32 // 12; -1 none (KIP-595)
	PartitionMaxBytes  int32
	LogStartOffset     int64 // 5+; a follower's, -1 for a consumer
}

// FetchRequestForgottenTopic leaves the session.
type FetchRequestForgottenTopic struct {
	Name       []byte // a view
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
		MaxBytes:        math.MaxInt32,
		SessionEpoch:    -1,
		Topics:          kept(r.Topics),
		ForgottenTopics: kept(r.ForgottenTopics),
		held:            r.held,
	}
}

// Default sets Kafka's defaults.
func (p *FetchRequestPartition) Default() {
	*p = FetchRequestPartition{CurrentLeaderEpoch: -1, LastFetchedEpoch: -1, LogStartOffset: -1}
}

// Decode is the package's Decode without its pool: the fetch path.
func (r *FetchRequest) Decode(version int16, body []byte) error {
	if err := Supported(KeyFetch, version); err != nil {
		return err
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
	r.ReplicaID = rd.Int32()
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
		r.readForgotten(rd, flexible)
	}
	if version >= 11 {
		r.RackID = rd.StringView(flexible, false)
	}
	if flexible {
		r.readTags(rd)
	}
}

func (r *FetchRequest) readTopics(rd *prim.Reader, version int16, flexible bool) {
	r.Topics = resize(rd, r.Topics, rd.ArrayLen(flexible, false, minOf(flexible, 3, 6)))
	for i := range r.Topics {
		t := &r.Topics[i]
		t.Name = rd.StringView(flexible, false)
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
	if version >= 12 {
		rd.SkipTags()
	}
}

func (r *FetchRequest) readForgotten(rd *prim.Reader, flexible bool) {
	r.ForgottenTopics = resize(rd, r.ForgottenTopics, rd.ArrayLen(flexible, false, minOf(flexible, 3, 6)))
	for i := range r.ForgottenTopics {
		t := &r.ForgottenTopics[i]
		t.Name = rd.StringView(flexible, false)
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

// readTags reads the tag section of the request: tag 0 is ClusterID.
func (r *FetchRequest) readTags(rd *prim.Reader) {
	for n := rd.TagCount(); n > 0; n-- {
		tag, size := rd.Tag()
		outer := rd.Enter(size)
		if tag == 0 {
			r.ClusterID = rd.StringView(true, true)
		} else {
			rd.Span(size)
		}
		rd.Leave(outer)
	}
}

func (r *FetchRequest) append(dst []byte, version int16) []byte {
	flexible := KeyFetch.flexible(version)
	dst = prim.AppendInt32(dst, r.ReplicaID)
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
			dst = r.ForgottenTopics[i].append(dst, flexible)
		}
	}
	if version >= 11 {
		dst = prim.AppendString(dst, r.RackID, flexible)
	}
	if r.ClusterID == nil || !flexible {
		return appendNoTags(dst, flexible)
	}
	dst = append(dst, 1, 0) // one tag, number 0
	return insertSize(prim.AppendString(dst, r.ClusterID, true), len(dst))
}

func (t *FetchRequestTopic) append(dst []byte, version int16, flexible bool) []byte {
	dst = prim.AppendString(dst, t.Name, flexible)
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
		dst = appendNoTags(dst, flexible)
	}
	return appendNoTags(dst, flexible)
}

func (t *FetchRequestForgottenTopic) append(dst []byte, flexible bool) []byte {
	dst = prim.AppendString(dst, t.Name, flexible)
	dst = prim.AppendLen(dst, len(t.Partitions), flexible)
	for _, p := range t.Partitions {
		dst = prim.AppendInt32(dst, p)
	}
	return appendNoTags(dst, flexible)
}
