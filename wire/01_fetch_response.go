package wire

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/streambus/streambus/wire/prim"
)

// FetchResponse answers a FetchRequest. It is coded by hand, because the broker
// sends it without touching the records:
//
//	buf      |size|header|..topic..partition 0..|..partition 1..|..tags|
//	cuts                                        ^               ^
//	sent     |size|header|..topic..partition 0..|RECORDS|..partition 1..|RECORDS|..tags|
//	                                             by sendfile             by sendfile
//
// AppendFetchFrame makes buf and cuts. Decoding is the other side, a follower
// or a test: Records are views of the body.
//
// Kafka calls Topics Responses and Name Topic.
type FetchResponse struct {
	ThrottleTimeMs int32
	ErrorCode      ErrorCode // 7+; about the session
	SessionID      int32     // 7+
	Topics         []FetchResponseTopic
	NodeEndpoints  []NodeEndpoint // 16+, tag 0 (KIP-951)

	held held
}

// FetchResponseTopic is one topic of a FetchResponse. Name may be the view that
// came with the request.
type FetchResponseTopic struct {
	Name       []byte // 4 to 12
	TopicID    UUID   // 13+
	Partitions []FetchResponsePartition
}

// FetchResponsePartition is one partition of a FetchResponse. Start from
// Default: zero is a wrong PreferredReadReplica.
type FetchResponsePartition struct {
	PartitionIndex       int32
	ErrorCode            ErrorCode
	PreferredReadReplica int32 // 11+; -1 none (KIP-392)
	HighWatermark        int64
	LastStableOffset     int64 // -1 unknown
	LogStartOffset       int64 // 5+; -1 unknown
	AbortedTransactions  []AbortedTransaction
	Tags                 *FetchResponseTags // 12+; nil is nothing to say

	// Records is the record batches; nil is sent as an empty set, which is
	// what Kafka's broker sends, never as null. A view when decoded.
	Records []byte

	// RecordsSize, if not 0, is how many bytes of records will be spliced in
	// where Cut says; Records must be empty then. Decoding leaves it 0.
	RecordsSize int
}

// AbortedTransaction is one that a read-committed consumer must leave out.
type AbortedTransaction struct {
	ProducerID  int64
	FirstOffset int64
}

// FetchResponseTags are the tagged fields of a partition, each nil or sent.
type FetchResponseTags struct {
	DivergingEpoch *EpochEndOffset   // tag 0; where to truncate to (KIP-595)
	CurrentLeader  *LeaderIDAndEpoch // tag 1
	SnapshotID     *EpochEndOffset   // tag 2
}

// EpochEndOffset is a leader epoch and the offset at which it ends.
type EpochEndOffset struct {
	Epoch     int32
	EndOffset int64
}

// Cut is a place in the bytes of a Fetch response where Size bytes of records
// of r.Topics[Topic].Partitions[Partition] go: before buf[At]. Partitions
// without records to splice have none.
type Cut struct {
	At        int
	Size      int
	Topic     int
	Partition int
}

// Key returns KeyFetch.
func (*FetchResponse) Key() Key { return KeyFetch }

// Default sets Kafka's defaults, keeping capacity like Reset.
func (r *FetchResponse) Default() { r.Reset() }

// Reset empties the response; the capacity of its slices stays.
func (r *FetchResponse) Reset() {
	if r.held.over() {
		*r = FetchResponse{}
	}
	for i := range r.Topics {
		t := &r.Topics[i]
		clear(t.Partitions)
		*t = FetchResponseTopic{Partitions: kept(t.Partitions)}
	}
	*r = FetchResponse{Topics: kept(r.Topics), held: r.held}
}

// Default sets Kafka's defaults.
func (p *FetchResponsePartition) Default() {
	*p = FetchResponsePartition{PreferredReadReplica: -1, LastStableOffset: -1, LogStartOffset: -1}
}

// AppendFetchFrame appends a whole frame but for the records that are spliced:
// size prefix, header, body. The prefix counts the spliced bytes. Cuts are
// appended to cuts in order; At counts from the start of the returned buffer.
// With enough capacity in dst and cuts it allocates nothing.
func AppendFetchFrame(dst []byte, cuts []Cut, correlationID int32, r *FetchResponse, version int16) ([]byte, []Cut) {
	if !KeyFetch.codes(version) {
		panic(refused(KeyFetch, version))
	}
	start, first := len(dst), len(cuts)
	dst = append(dst, 0, 0, 0, 0) // the size, once known
	dst = prim.AppendInt32(dst, correlationID)
	if taggedResponseHeader(KeyFetch, version) {
		dst = append(dst, 0)
	}
	dst = r.appendBody(dst, &cuts, version)
	spliced := 0
	for i := first; i < len(cuts); i++ {
		spliced += cuts[i].Size
	}
	putSize(dst[start:], spliced)
	return dst, cuts
}

// AppendFetchResponse is the body part of AppendFetchFrame.
func AppendFetchResponse(dst []byte, cuts []Cut, r *FetchResponse, version int16) ([]byte, []Cut) {
	if !KeyFetch.codes(version) {
		panic(refused(KeyFetch, version))
	}
	dst = r.appendBody(dst, &cuts, version)
	return dst, cuts
}

// maxPlain is the most that a plain partition takes: null for the aborted
// transactions, no records in memory, no tagged fields.
const maxPlain = 4 + 2 + 8 + 8 + 8 + 1 + 4 + prim.MaxUvarintBytes + 1

func (r *FetchResponse) appendBody(dst []byte, cuts *[]Cut, version int16) []byte {
	flexible := KeyFetch.flexible(version)
	dst = prim.AppendInt32(dst, r.ThrottleTimeMs)
	if version >= 7 {
		dst = prim.AppendInt16(dst, int16(r.ErrorCode))
		dst = prim.AppendInt32(dst, r.SessionID)
	}
	dst = prim.AppendLen(dst, len(r.Topics), flexible)
	for i := range r.Topics {
		t := &r.Topics[i]
		if version >= 13 {
			dst = append(dst, t.TopicID[:]...)
		} else {
			dst = prim.AppendString(dst, t.Name, flexible)
		}
		dst = prim.AppendLen(dst, len(t.Partitions), flexible)
		dst = slices.Grow(dst, len(t.Partitions)*maxPlain)
		for j := 0; j < len(t.Partitions); j++ {
			if flexible {
				dst, j = t.appendPlain(dst, cuts, i, j)
			}
			if j < len(t.Partitions) {
				dst = t.Partitions[j].append(dst, cuts, i, j, version)
			}
		}
		dst = appendNoTags(dst, flexible)
	}
	if version < 16 {
		return appendNoTags(dst, flexible)
	}
	return appendEndpointsTags(dst, r.NodeEndpoints)
}

// appendPlain appends topic i's partitions from j on, in a flexible version, up
// to one that is not plain or for which dst or cuts have no room, and returns
// where it stopped. Nearly every partition is plain, and is stored here in a loop
// without calls.
func (t *FetchResponseTopic) appendPlain(dst []byte, cuts *[]Cut, i, j int) ([]byte, int) {
	c := *cuts
	for ; j < len(t.Partitions); j++ {
		p, n := &t.Partitions[j], len(dst)
		if p.special() || n+maxPlain > cap(dst) {
			break
		}
		b := (*[maxPlain]byte)(dst[n : n+maxPlain])
		p.putHead((*[30]byte)(b[:]))
		b[30] = 0 // null
		binary.BigEndian.PutUint32(b[31:], uint32(p.PreferredReadReplica))
		at := 35 + prim.PutUvarint(b[35:], uint32(p.RecordsSize)+1)
		b[at] = 0 // no tags
		if p.RecordsSize > 0 {
			if len(c) == cap(c) {
				break
			}
			c = c[:len(c)+1]
			c[len(c)-1] = Cut{At: n + at, Size: p.RecordsSize, Topic: i, Partition: j}
		}
		dst = dst[:n+at+1]
	}
	*cuts = (*cuts)[:len(c)]
	return dst, j
}

// special reports whether p is not plain.
func (p *FetchResponsePartition) special() bool {
	return p.AbortedTransactions != nil || len(p.Records) > 0 || p.Tags != nil || p.RecordsSize < 0
}

// putHead stores the fields that come first and have fixed widths, 30 bytes.
func (p *FetchResponsePartition) putHead(b *[30]byte) {
	binary.BigEndian.PutUint32(b[0:], uint32(p.PartitionIndex))
	binary.BigEndian.PutUint16(b[4:], uint16(p.ErrorCode))
	binary.BigEndian.PutUint64(b[6:], uint64(p.HighWatermark))
	binary.BigEndian.PutUint64(b[14:], uint64(p.LastStableOffset))
	binary.BigEndian.PutUint64(b[22:], uint64(p.LogStartOffset))
}

// append appends any partition in any version.
func (p *FetchResponsePartition) append(dst []byte, cuts *[]Cut, i, j int, version int16) []byte {
	flexible := KeyFetch.flexible(version)
	if p.RecordsSize < 0 || p.RecordsSize > 0 && len(p.Records) > 0 {
		p.panicTwoRecords()
	}
	dst = slices.Grow(dst, 30)
	head := dst[len(dst) : len(dst)+30]
	p.putHead((*[30]byte)(head))
	if version < 5 {
		head = head[:22] // no LogStartOffset
	}
	dst = p.appendAborted(dst[:len(dst)+len(head)], flexible)
	if version >= 11 {
		dst = prim.AppendInt32(dst, p.PreferredReadReplica)
	}
	dst = prim.AppendLen(dst, p.RecordsSize+len(p.Records), flexible)
	if p.RecordsSize > 0 {
		*cuts = append(*cuts, Cut{At: len(dst), Size: p.RecordsSize, Topic: i, Partition: j})
	}
	dst = append(dst, p.Records...)
	return p.appendTags(dst, flexible)
}

func (p *FetchResponsePartition) panicTwoRecords() {
	panic(fmt.Sprintf("wire: fetch response partition %d: RecordsSize %d beside %d bytes of Records",
		p.PartitionIndex, p.RecordsSize, len(p.Records)))
}

func (p *FetchResponsePartition) appendAborted(dst []byte, flexible bool) []byte {
	if p.AbortedTransactions == nil {
		return prim.AppendLen(dst, -1, flexible)
	}
	dst = prim.AppendLen(dst, len(p.AbortedTransactions), flexible)
	for _, a := range p.AbortedTransactions {
		dst = prim.AppendInt64(dst, a.ProducerID)
		dst = prim.AppendInt64(dst, a.FirstOffset)
		dst = appendNoTags(dst, flexible)
	}
	return dst
}

func (p *FetchResponsePartition) appendTags(dst []byte, flexible bool) []byte {
	if p.Tags == nil || !flexible {
		return appendNoTags(dst, flexible)
	}
	t := p.Tags
	at := len(dst)
	dst = append(dst, 0) // how many, once known
	if e := t.DivergingEpoch; e != nil {
		dst[at]++
		dst = append(dst, 0, epochBytes)
		dst = prim.AppendInt32(dst, e.Epoch)
		dst = append(prim.AppendInt64(dst, e.EndOffset), 0)
	}
	if t.CurrentLeader != nil {
		dst[at]++
		dst = appendLeader(dst, 1, t.CurrentLeader)
	}
	if e := t.SnapshotID; e != nil { // the other way round, in Kafka's schema
		dst[at]++
		dst = append(dst, 2, epochBytes)
		dst = prim.AppendInt64(dst, e.EndOffset)
		dst = append(prim.AppendInt32(dst, e.Epoch), 0)
	}
	return dst
}

// epochBytes is the encoding of an EpochEndOffset with its empty tag section.
const epochBytes = 4 + 8 + 1
