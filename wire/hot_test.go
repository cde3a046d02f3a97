package wire

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// splice does what the socket will see: the bytes of buf with, at each cut,
// Size bytes of that partition's records.
func splice(buf []byte, cuts []Cut, records func(topic, partition int) []byte) []byte {
	var out []byte
	at := 0
	for _, c := range cuts {
		out = append(out, buf[at:c.At]...)
		out = append(out, records(c.Topic, c.Partition)[:c.Size]...)
		at = c.At
	}
	return append(out, buf[at:]...)
}

// TestFetchFrameCuts: a frame with its records spliced in is, byte for byte, the
// frame with the same records in memory.
func TestFetchFrameCuts(t *testing.T) {
	rng := newRand(t)
	for version := int16(4); version <= 18; version++ {
		for range 200 {
			whole := randomOurs(rng, sides[1], KeyFetch, version).(*FetchResponse)
			cut, records := withoutRecords(rng, whole)
			want := AppendResponseFrame(nil, 9, whole, version)
			prefix := []byte("what the connection had queued before")[:rng.IntN(30)]
			buf, cuts := AppendFetchFrame(bytes.Clone(prefix), []Cut{{At: -1}}, 9, cut, version)
			got := splice(buf, cuts[1:], records)
			if !bytes.Equal(got[len(prefix):], want) || cuts[0].At != -1 {
				t.Fatalf("version %d, cuts %v:\nspliced %x\nwhole   %x", version, cuts, got, want)
			}
		}
	}
}

// withoutRecords returns a copy of r that splices most of its records, and where
// to find them.
func withoutRecords(rng *rand.Rand, r *FetchResponse) (*FetchResponse, func(topic, partition int) []byte) {
	cut := *r
	cut.Topics = nil
	for _, topic := range r.Topics {
		c := FetchResponseTopic{Name: topic.Name, TopicID: topic.TopicID}
		for _, p := range topic.Partitions {
			if rng.IntN(4) > 0 {
				p.RecordsSize, p.Records = len(p.Records), nil
			}
			c.Partitions = append(c.Partitions, p)
		}
		cut.Topics = append(cut.Topics, c)
	}
	return &cut, func(topic, partition int) []byte { return r.Topics[topic].Partitions[partition].Records }
}

// TestFetchFrameRoom: how much room dst and cuts had changes nothing of what is appended.
func TestFetchFrameRoom(t *testing.T) {
	r := fetchResponse(2, 3)
	r.Topics[0].Partitions[1].RecordsSize = 0
	r.Topics[1].Partitions[0].RecordsSize, r.Topics[1].Partitions[0].Records = 0, make([]byte, 300)
	for version := int16(4); version <= 18; version++ {
		want, cuts := AppendFetchFrame(make([]byte, 0, 1<<10), make([]Cut, 0, 10), 9, r, version)
		for room := range len(want) + 2*maxPlain {
			for n := range len(cuts) + 1 {
				got, c := AppendFetchFrame(make([]byte, 0, room), make([]Cut, 0, n), 9, r, version)
				if !bytes.Equal(got, want) || !slices.Equal(c, cuts) {
					t.Fatalf("version %d, room for %d bytes and %d cuts:\n%x %v, want\n%x %v", version, room, n, got, c, want, cuts)
				}
			}
		}
	}
}

// TestFetchFrameGolden freezes one spliced frame, byte for byte.
func TestFetchFrameGolden(t *testing.T) {
	r := &FetchResponse{ThrottleTimeMs: 1, SessionID: 2, Topics: []FetchResponseTopic{{Name: []byte("t")}}}
	for i, size := range []int{300, 0} {
		var p FetchResponsePartition
		p.Default()
		p.PartitionIndex, p.HighWatermark, p.LastStableOffset, p.LogStartOffset, p.RecordsSize = int32(i), 16, 15, 3, size
		r.Topics[0].Partitions = append(r.Topics[0].Partitions, p)
	}
	r.Topics[0].Partitions[1].ErrorCode = CodeOffsetOutOfRange
	buf, cuts := AppendFetchFrame(nil, nil, 0x11223344, r, 12)
	want := unhex(`0000018c 11223344 00
		00000001 0000 00000002
		02 02 74
		03 00000000 0000 0000000000000010 000000000000000f 0000000000000003 00 ffffffff ad02` + ` 00
		   00000001 0001 0000000000000010 000000000000000f 0000000000000003 00 ffffffff 01 00
		00
		00`)
	if !bytes.Equal(buf, want) {
		t.Errorf("frame\n%x, want\n%x", buf, want)
	}
	if len(cuts) != 1 || cuts[0] != (Cut{At: 60, Size: 300}) {
		t.Errorf("cuts %+v", cuts)
	}
	if size := len(buf) - SizePrefixBytes + 300; size != 0x18c {
		t.Errorf("the size says %d, it is %d", 0x18c, size)
	}
}

// TestFetchRecordsNeverNull: a partition without records is sent as an empty
// set, also in response to a decoded null.
func TestFetchRecordsNeverNull(t *testing.T) {
	for version, null := range map[int16]string{11: "ffffffff", 12: "00"} {
		var r FetchResponse
		r.Topics = []FetchResponseTopic{{Partitions: make([]FetchResponsePartition, 1)}}
		body := Append(nil, &r, version)
		empty := map[int16]string{11: "00000000", 12: "01"}[version]
		tail := map[int16]string{11: "", 12: "000000"}[version]
		cut, ok := bytes.CutSuffix(body, unhex(empty+tail))
		if !ok {
			t.Fatalf("version %d: no records are sent as %x", version, body)
		}
		var back FetchResponse
		if err := back.Decode(version, append(cut, unhex(null+tail)...)); err != nil || back.Topics[0].Partitions[0].Records != nil {
			t.Errorf("version %d: null records: %v", version, err)
		}
	}
}

// TestFetchMisuse: contradictions of the caller panic with their values.
func TestFetchMisuse(t *testing.T) {
	both := fetchResponse(1, 1)
	both.Topics[0].Partitions[0].Records = []byte("x")
	negative := fetchResponse(1, 1)
	negative.Topics[0].Partitions[0].RecordsSize = -1
	huge := fetchResponse(1, 3)
	for i := range 3 {
		huge.Topics[0].Partitions[i].RecordsSize = 1 << 30
	}
	for name, f := range map[string]func(){
		"both kinds of records": func() { AppendFetchFrame(nil, nil, 1, both, 12) },
		"negative size":         func() { AppendFetchFrame(nil, nil, 1, negative, 11) },
		"frame past 2 GiB":      func() { AppendFetchFrame(nil, nil, 1, huge, 12) },
		"Append with splices":   func() { Append(nil, fetchResponse(1, 1), 12) },
		"version 19":            func() { AppendFetchFrame(nil, nil, 1, fetchResponse(1, 1), 19) },
		"version 3":             func() { AppendFetchResponse(nil, nil, fetchResponse(1, 1), 3) },
		"Produce 2":             func() { produceResponse(1, 1).Append(nil, 2) },
		"Metadata 14":           func() { Append(nil, new(MetadataRequest), 14) },
		"header of Produce 2":   func() { AppendRequestHeader(nil, RequestHeader{Key: KeyProduce, Version: 2}) },
		"response of key 99":    func() { AppendResponseHeader(nil, 99, 0, 0) },
	} {
		if !panics(f) {
			t.Errorf("%s: no panic", name)
		}
	}
}

func panics(f func()) (p bool) {
	defer func() { p = recover() != nil }()
	f()
	return
}

// TestViews is W6: []byte fields point into the body and cannot grow into it.
func TestViews(t *testing.T) {
	body := produceBody(9, 1, 1)
	var r ProduceRequest
	if err := r.Decode(9, body); err != nil {
		t.Fatal(err)
	}
	topic := r.Topics[0]
	records := topic.Partitions[0].Records
	if cap(topic.Name) != len(topic.Name) || cap(records) != len(records) {
		t.Error("a view's capacity goes on past it")
	}
	at := bytes.Index(body, []byte("topic-000"))
	body[at] = 'T'
	if string(topic.Name) != "Topic-000" {
		t.Errorf("%q is not a view", topic.Name)
	}
}

// TestResetLetsGo: after Reset no slice of a request, not even past its length,
// holds a view of the frame; one that has grown huge is dropped.
func TestResetLetsGo(t *testing.T) {
	var r ProduceRequest
	for _, shape := range [][2]int{{5, 3}, {1, 1}, {3, 7}, {0, 0}} {
		if err := r.Decode(9, produceBody(9, shape[0], shape[1])); err != nil {
			t.Fatal(err)
		}
	}
	r.Reset()
	for _, topic := range r.Topics[:cap(r.Topics)] {
		if topic.Name != nil || len(topic.Partitions) != 0 {
			t.Errorf("kept %+v", topic)
		}
		for _, p := range topic.Partitions[:cap(topic.Partitions)] {
			if p.Records != nil {
				t.Errorf("kept %d bytes of records", len(p.Records))
			}
		}
	}
	if err := r.Decode(9, produceBody(9, 1, maxHeldBytes/16)); err != nil {
		t.Fatal(err)
	}
	if r.Reset(); cap(r.Topics) != 0 {
		t.Error("kept a huge slice")
	}
}

// TestHeldMemory: frames of ever different shapes, each small, do not add up to
// a huge struct.
func TestHeldMemory(t *testing.T) {
	var r ProduceRequest
	for i := range 300 {
		in := ProduceRequest{Topics: make([]ProduceRequestTopic, i+1)}
		in.Topics[i].Partitions = make([]ProduceRequestPartition, 1000)
		if err := r.Decode(9, Append(nil, &in, 9)); err != nil {
			t.Fatal(err)
		}
		r.Reset()
		size := cap(r.Topics) * 64
		for _, topic := range r.Topics[:cap(r.Topics)] {
			size += cap(topic.Partitions) * 32
		}
		if size > maxHeldBytes+64<<10 {
			t.Fatalf("after %d requests the struct holds %d bytes", i+1, size)
		}
	}
}

// TestReusedHotStructs: decoding one random body after another into the same
// struct gives what a fresh struct gives (W3).
func TestReusedHotStructs(t *testing.T) {
	rng := newRand(t)
	for _, c := range []struct {
		s side
		k Key
	}{{sides[0], KeyProduce}, {sides[1], KeyProduce}, {sides[0], KeyFetch}, {sides[1], KeyFetch}, {sides[0], KeyAPIVersions}} {
		used := c.s.ours(c.k)
		for range 1200 / slowdown {
			version := apis[c.k].min + int16(rng.IntN(int(apis[c.k].max-apis[c.k].min)+1))
			body := Append(nil, randomOurs(rng, c.s, c.k, version), version)
			if rng.IntN(5) == 0 && len(body) > 0 { // a failed decode in between
				_ = Decode(used, version, body[:rng.IntN(len(body))])
			}
			fresh := c.s.ours(c.k)
			if err := errors.Join(Decode(used, version, body), Decode(fresh, version, body)); err != nil {
				t.Fatal(err)
			}
			if a, b := fmt.Sprintf("%+v", dump(used)), fmt.Sprintf("%+v", dump(fresh)); a != b {
				t.Fatalf("%s:\nused  %s\nfresh %s", label(c.s, c.k, version), a, b)
			}
		}
	}
}
