package wire

import "github.com/streambus/streambus/wire/prim"

// ProduceRequest appends record batches to partitions. It is decoded by hand:
// names, the transactional ID and records are views of the body, and a struct
// that is decoded into again allocates nothing.
//
// Versions 0 to 2, of older message formats, are not coded. Kafka calls Topics
// TopicData and Partitions PartitionData.
type ProduceRequest struct {
	TransactionalID []byte // a view; nil is null
	Acks            int16  // -1 all in-sync replicas, 1 the leader, 0 no answer
	TimeoutMs       int32
	Topics          []ProduceRequestTopic

	held held
}

// ProduceRequestTopic is one topic of a ProduceRequest.
type ProduceRequestTopic struct {
	Name       []byte // 3 to 12; a view
	TopicID    UUID   // 13+ (KIP-516)
	Partitions []ProduceRequestPartition
}

// ProduceRequestPartition is one partition of a ProduceRequest.
type ProduceRequestPartition struct {
	PartitionIndex int32  // Kafka's Index
	Records        []byte // record batches, opaque here; a view; nil is null
}

// Key returns KeyProduce.
func (*ProduceRequest) Key() Key { return KeyProduce }

// Default sets Kafka's defaults, keeping capacity like Reset.
func (r *ProduceRequest) Default() { r.Reset() }

// Reset empties the request and lets go of the views in it; the capacity of its
// slices stays for the next Decode.
func (r *ProduceRequest) Reset() {
	if r.held.over() {
		*r = ProduceRequest{}
	}
	for i := range r.Topics {
		t := &r.Topics[i]
		clear(t.Partitions)
		*t = ProduceRequestTopic{Partitions: kept(t.Partitions)}
	}
	*r = ProduceRequest{Topics: kept(r.Topics), held: r.held}
}

// Decode is the package's Decode without its pool: the produce path.
func (r *ProduceRequest) Decode(version int16, body []byte) error {
	if !KeyProduce.codes(version) {
		return refused(KeyProduce, version)
	}
	rd := prim.NewReader(body)
	r.Reset()
	r.read(&rd, version)
	if err := rd.End(); err != nil {
		return decodeError(KeyProduce, version, err)
	}
	return nil
}

func (r *ProduceRequest) visit(v *visitor) {
	if v.decoding {
		r.read(&v.r, v.version)
		return
	}
	v.dst = r.append(v.dst, v.version)
}

// read fills r, which has been Reset.
func (r *ProduceRequest) read(rd *prim.Reader, version int16) {
	r.readBody(rd, version)
	r.held += held(rd.Charged())
}

func (r *ProduceRequest) readBody(rd *prim.Reader, version int16) {
	flexible := KeyProduce.flexible(version)
	r.TransactionalID = rd.StringView(flexible, true)
	r.Acks = rd.Int16()
	r.TimeoutMs = rd.Int32()
	n := rd.ArrayLen(flexible, false, minOf(flexible, 3, 6))
	r.Topics = resize(rd, r.Topics, n)
	for i := range r.Topics {
		r.Topics[i].read(rd, version, flexible)
		if rd.Failed() {
			return
		}
	}
	if flexible {
		rd.SkipTags()
	}
}

func (t *ProduceRequestTopic) read(rd *prim.Reader, version int16, flexible bool) {
	if version >= 13 {
		t.TopicID = rd.UUID()
	} else {
		t.Name = rd.StringView(flexible, false)
	}
	n := rd.ArrayLen(flexible, false, minOf(flexible, 6, 8))
	t.Partitions = resize(rd, t.Partitions, n)
	for i := range t.Partitions {
		p := &t.Partitions[i]
		p.PartitionIndex = rd.Int32()
		p.Records = rd.BytesView(flexible, true)
		if flexible {
			rd.SkipTags()
		}
		if rd.Failed() {
			return
		}
	}
	if flexible {
		rd.SkipTags()
	}
}

func (r *ProduceRequest) append(dst []byte, version int16) []byte {
	flexible := KeyProduce.flexible(version)
	dst = prim.AppendNullableStringView(dst, r.TransactionalID, flexible)
	dst = prim.AppendInt16(dst, r.Acks)
	dst = prim.AppendInt32(dst, r.TimeoutMs)
	dst = prim.AppendLen(dst, len(r.Topics), flexible)
	for i := range r.Topics {
		t := &r.Topics[i]
		if version >= 13 {
			dst = append(dst, t.TopicID[:]...)
		} else {
			dst = prim.AppendString(dst, t.Name, flexible)
		}
		dst = prim.AppendLen(dst, len(t.Partitions), flexible)
		for j := range t.Partitions {
			p := &t.Partitions[j]
			dst = prim.AppendInt32(dst, p.PartitionIndex)
			dst = prim.AppendNullableBytes(dst, p.Records, flexible)
			dst = appendNoTags(dst, flexible)
		}
		dst = appendNoTags(dst, flexible)
	}
	return appendNoTags(dst, flexible)
}

// ProduceResponse answers a ProduceRequest; there is none for Acks 0. Kafka
// calls Topics Responses and Partitions PartitionResponses.
type ProduceResponse struct {
	Topics         []ProduceResponseTopic
	ThrottleTimeMs int32
	NodeEndpoints  []NodeEndpoint // 10+, tag 0 (KIP-951)

	held held
}

// ProduceResponseTopic is one topic of a ProduceResponse. Name may be the view
// that came with the request.
type ProduceResponseTopic struct {
	Name       []byte // 3 to 12
	TopicID    UUID   // 13+
	Partitions []ProduceResponsePartition
}

// ProduceResponsePartition is what became of one partition's records.
type ProduceResponsePartition struct {
	PartitionIndex  int32 // Kafka's Index
	ErrorCode       ErrorCode
	BaseOffset      int64                        // -1 on error
	LogAppendTimeMs int64                        // -1 unless the topic stamps log append time
	LogStartOffset  int64                        // 5+; -1 unknown
	RecordErrors    []ProduceResponseRecordError // 8+ (KIP-467)
	ErrorMessage    *string                      // 8+
	CurrentLeader   *LeaderIDAndEpoch            // 10+, tag 0; nil is not sent
}

// ProduceResponseRecordError is one record that made its batch fail.
type ProduceResponseRecordError struct {
	BatchIndex             int32
	BatchIndexErrorMessage *string
}

// Key returns KeyProduce.
func (*ProduceResponse) Key() Key { return KeyProduce }

// Default sets Kafka's defaults, keeping capacity like Reset.
func (r *ProduceResponse) Default() { r.Reset() }

// Reset empties the response; the capacity of its slices stays.
func (r *ProduceResponse) Reset() {
	if r.held.over() {
		*r = ProduceResponse{}
	}
	for i := range r.Topics {
		t := &r.Topics[i]
		clear(t.Partitions)
		*t = ProduceResponseTopic{Partitions: kept(t.Partitions)}
	}
	*r = ProduceResponse{Topics: kept(r.Topics), held: r.held}
}

// Default sets Kafka's defaults.
func (p *ProduceResponsePartition) Default() {
	*p = ProduceResponsePartition{LogAppendTimeMs: -1, LogStartOffset: -1}
}

// Append is the package's Append without its pool: the produce path.
func (r *ProduceResponse) Append(dst []byte, version int16) []byte {
	mustSupport(KeyProduce, version)
	flexible := KeyProduce.flexible(version)
	dst = prim.AppendLen(dst, len(r.Topics), flexible)
	for i := range r.Topics {
		t := &r.Topics[i]
		if version >= 13 {
			dst = append(dst, t.TopicID[:]...)
		} else {
			dst = prim.AppendString(dst, t.Name, flexible)
		}
		dst = prim.AppendLen(dst, len(t.Partitions), flexible)
		for j := range t.Partitions {
			dst = t.Partitions[j].append(dst, version, flexible)
		}
		dst = appendNoTags(dst, flexible)
	}
	dst = prim.AppendInt32(dst, r.ThrottleTimeMs)
	if version < 10 {
		return appendNoTags(dst, flexible)
	}
	return appendEndpointsTags(dst, r.NodeEndpoints)
}

func (p *ProduceResponsePartition) append(dst []byte, version int16, flexible bool) []byte {
	dst = prim.AppendInt32(dst, p.PartitionIndex)
	dst = prim.AppendInt16(dst, int16(p.ErrorCode))
	dst = prim.AppendInt64(dst, p.BaseOffset)
	dst = prim.AppendInt64(dst, p.LogAppendTimeMs)
	if version >= 5 {
		dst = prim.AppendInt64(dst, p.LogStartOffset)
	}
	if version >= 8 {
		dst = prim.AppendLen(dst, len(p.RecordErrors), flexible)
		for i := range p.RecordErrors {
			e := &p.RecordErrors[i]
			dst = prim.AppendInt32(dst, e.BatchIndex)
			dst = prim.AppendNullableString(dst, e.BatchIndexErrorMessage, flexible)
			dst = appendNoTags(dst, flexible)
		}
		dst = prim.AppendNullableString(dst, p.ErrorMessage, flexible)
	}
	if version < 10 || p.CurrentLeader == nil {
		return appendNoTags(dst, flexible)
	}
	dst = append(dst, 1) // one tag
	return appendLeader(dst, 0, p.CurrentLeader)
}

func (r *ProduceResponse) visit(v *visitor) {
	if v.decoding {
		r.read(&v.r, v.version)
		return
	}
	v.dst = r.Append(v.dst, v.version)
}

// read fills r, which has been Reset.
func (r *ProduceResponse) read(rd *prim.Reader, version int16) {
	r.readBody(rd, version)
	r.held += held(rd.Charged())
}

func (r *ProduceResponse) readBody(rd *prim.Reader, version int16) {
	flexible := KeyProduce.flexible(version)
	r.Topics = resize(rd, r.Topics, rd.ArrayLen(flexible, false, minOf(flexible, 3, 6)))
	for i := range r.Topics {
		r.Topics[i].read(rd, version, flexible)
		if rd.Failed() {
			return
		}
	}
	r.ThrottleTimeMs = rd.Int32()
	r.NodeEndpoints = nil
	if flexible {
		r.NodeEndpoints = readEndpointsTags(rd, version >= 10)
	}
}

func (t *ProduceResponseTopic) read(rd *prim.Reader, version int16, flexible bool) {
	if version >= 13 {
		t.TopicID = rd.UUID()
	} else {
		t.Name = rd.StringView(flexible, false)
	}
	// 22 bytes and, as a version has it, LogStartOffset, RecordErrors,
	// ErrorMessage and tags: the least of all versions is version 3's.
	t.Partitions = resize(rd, t.Partitions, rd.ArrayLen(flexible, false, 22))
	for i := range t.Partitions {
		t.Partitions[i].read(rd, version, flexible)
		if rd.Failed() {
			return
		}
	}
	if flexible {
		rd.SkipTags()
	}
}

func (p *ProduceResponsePartition) read(rd *prim.Reader, version int16, flexible bool) {
	errs := p.RecordErrors
	p.Default()
	p.PartitionIndex = rd.Int32()
	p.ErrorCode = ErrorCode(rd.Int16())
	p.BaseOffset = rd.Int64()
	p.LogAppendTimeMs = rd.Int64()
	if version >= 5 {
		p.LogStartOffset = rd.Int64()
	}
	if version >= 8 {
		p.RecordErrors = resize(rd, errs, rd.ArrayLen(flexible, false, 6))
		for i := range p.RecordErrors {
			e := &p.RecordErrors[i]
			e.BatchIndex = rd.Int32()
			e.BatchIndexErrorMessage = rd.NullableString(flexible)
			if flexible {
				rd.SkipTags()
			}
		}
		p.ErrorMessage = rd.NullableString(flexible)
	}
	if flexible {
		p.readTags(rd, version >= 10)
	}
}

// readTags reads the partition's tag section; known says whether the version
// has the CurrentLeader tag.
func (p *ProduceResponsePartition) readTags(rd *prim.Reader, known bool) {
	for n := rd.TagCount(); n > 0; n-- {
		tag, size := rd.Tag()
		outer := rd.Enter(size)
		if tag == 0 && known {
			p.CurrentLeader = readLeader(rd)
		} else {
			rd.Span(size)
		}
		rd.Leave(outer)
	}
}
