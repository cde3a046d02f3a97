package wire

import (
	"unsafe" // Sizeof only

	"github.com/streambus/streambus/wire/prim"
)

// Decode is the package's Decode without its pool: the follower's path. It
// allocates nothing in a struct that is decoded into again, but for partitions
// with tags.
func (r *FetchResponse) Decode(version int16, body []byte) error {
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

func (r *FetchResponse) visit(v *visitor) {
	if v.decoding {
		r.read(&v.r, v.version)
		return
	}
	var cuts []Cut
	v.dst, cuts = AppendFetchResponse(v.dst, nil, r, v.version)
	if len(cuts) > 0 {
		panic("wire: Append of a FetchResponse with RecordsSize set; use AppendFetchResponse")
	}
}

// read fills r, which has been Reset.
func (r *FetchResponse) read(rd *prim.Reader, version int16) {
	r.readBody(rd, version)
	r.held += held(rd.Charged())
}

func (r *FetchResponse) readBody(rd *prim.Reader, version int16) {
	flexible := KeyFetch.flexible(version)
	r.ThrottleTimeMs = rd.Int32()
	if version >= 7 {
		r.ErrorCode = ErrorCode(rd.Int16())
		r.SessionID = rd.Int32()
	}
	r.Topics = resize(rd, r.Topics, rd.ArrayLen(flexible, false, minOf(flexible, 3, 6)))
	for i := range r.Topics {
		t := &r.Topics[i]
		if version >= 13 {
			t.TopicID = rd.UUID()
		} else {
			t.Name = rd.StringView(flexible, false)
		}
		// version 4: 22 bytes and the lengths of two null arrays
		t.Partitions = resize(rd, t.Partitions, rd.ArrayLen(flexible, false, 30))
		for j := range t.Partitions {
			t.Partitions[j].read(rd, version, flexible)
			if rd.Failed() {
				return
			}
		}
		if flexible {
			rd.SkipTags()
		}
		if rd.Failed() {
			return
		}
	}
	r.NodeEndpoints = nil
	if flexible {
		r.NodeEndpoints = readEndpointsTags(rd, version >= 16)
	}
}

func (p *FetchResponsePartition) read(rd *prim.Reader, version int16, flexible bool) {
	p.Default()
	p.PartitionIndex = rd.Int32()
	p.ErrorCode = ErrorCode(rd.Int16())
	p.HighWatermark = rd.Int64()
	p.LastStableOffset = rd.Int64()
	if version >= 5 {
		p.LogStartOffset = rd.Int64()
	}
	p.AbortedTransactions = readAborted(rd, flexible)
	if version >= 11 {
		p.PreferredReadReplica = rd.Int32()
	}
	p.Records = rd.BytesView(flexible, true)
	if flexible {
		p.readTags(rd)
	}
}

func readAborted(rd *prim.Reader, flexible bool) []AbortedTransaction {
	n := rd.ArrayLen(flexible, true, 16)
	if n < 0 || !rd.Charge(n*int(unsafe.Sizeof(AbortedTransaction{}))) {
		return nil
	}
	s := make([]AbortedTransaction, n)
	for i := range s {
		s[i] = AbortedTransaction{ProducerID: rd.Int64(), FirstOffset: rd.Int64()}
		if flexible {
			rd.SkipTags()
		}
	}
	return s
}

func (p *FetchResponsePartition) readTags(rd *prim.Reader) {
	for n := rd.TagCount(); n > 0; n-- {
		tag, size := rd.Tag()
		outer := rd.Enter(size)
		if tag > 2 || !p.readTag(tag, rd) {
			rd.Span(size)
		}
		rd.Leave(outer)
	}
}

// readTag reads one of the known tags. A false means the budget is spent; the
// reader has failed then.
func (p *FetchResponsePartition) readTag(tag uint32, rd *prim.Reader) bool {
	if p.Tags == nil {
		if !rd.Charge(int(unsafe.Sizeof(FetchResponseTags{}))) {
			return false
		}
		p.Tags = new(FetchResponseTags)
	}
	if tag == 1 {
		p.Tags.CurrentLeader = readLeader(rd)
		return true
	}
	if !rd.Charge(int(unsafe.Sizeof(EpochEndOffset{}))) {
		return false
	}
	e := new(EpochEndOffset)
	if tag == 0 {
		p.Tags.DivergingEpoch = e
		e.Epoch, e.EndOffset = rd.Int32(), rd.Int64()
	} else {
		p.Tags.SnapshotID = e
		e.EndOffset, e.Epoch = rd.Int64(), rd.Int32()
	}
	rd.SkipTags()
	return true
}
