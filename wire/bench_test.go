package wire

import (
	"fmt"
	"testing"
)

// produceBody is a Produce request body with a 100-byte record set for each
// partition.
func produceBody(version int16, topics, partitions int) []byte {
	r := ProduceRequest{Acks: -1, TimeoutMs: 30000}
	for i := range topics {
		t := ProduceRequestTopic{Name: fmt.Appendf(nil, "topic-%03d", i), TopicID: UUID{byte(i)}}
		for j := range partitions {
			t.Partitions = append(t.Partitions, ProduceRequestPartition{int32(j), make([]byte, 100)})
		}
		r.Topics = append(r.Topics, t)
	}
	return Append(nil, &r, version)
}

// fetchBody is a Fetch request body.
func fetchBody(version int16, topics, partitions int) []byte {
	var r FetchRequest
	r.Default()
	for i := range topics {
		t := FetchRequestTopic{Name: fmt.Appendf(nil, "topic-%03d", i), TopicID: UUID{byte(i)}}
		for j := range partitions {
			var p FetchRequestPartition
			p.Default()
			p.PartitionIndex, p.PartitionMaxBytes = int32(j), 1<<20
			t.Partitions = append(t.Partitions, p)
		}
		r.Topics = append(r.Topics, t)
	}
	return Append(nil, &r, version)
}

// fetchResponse is a Fetch response with 1 MiB to splice for each partition.
func fetchResponse(topics, partitions int) *FetchResponse {
	r := new(FetchResponse)
	for i := range topics {
		t := FetchResponseTopic{Name: fmt.Appendf(nil, "topic-%03d", i), TopicID: UUID{byte(i)}}
		for j := range partitions {
			var p FetchResponsePartition
			p.Default()
			p.PartitionIndex, p.HighWatermark, p.RecordsSize = int32(j), 1<<40, 1<<20
			t.Partitions = append(t.Partitions, p)
		}
		r.Topics = append(r.Topics, t)
	}
	return r
}

func produceResponse(topics, partitions int) *ProduceResponse {
	r := new(ProduceResponse)
	for i := range topics {
		t := ProduceResponseTopic{Name: fmt.Appendf(nil, "topic-%03d", i), TopicID: UUID{byte(i)}}
		for j := range partitions {
			var p ProduceResponsePartition
			p.Default()
			p.PartitionIndex, p.BaseOffset = int32(j), 1<<40
			t.Partitions = append(t.Partitions, p)
		}
		r.Topics = append(r.Topics, t)
	}
	return r
}

var shapes = [][2]int{{1, 1}, {1, 100}, {10, 10}}

func forShapes(b *testing.B, f func(b *testing.B, topics, partitions int)) {
	for _, s := range shapes {
		b.Run(fmt.Sprintf("%dx%d", s[0], s[1]), func(b *testing.B) {
			b.ReportAllocs()
			f(b, s[0], s[1])
		})
	}
}

func BenchmarkRequestHeader(b *testing.B) {
	frame := AppendRequestHeader(nil, RequestHeader{Key: KeyProduce, Version: 9, CorrelationID: 7, ClientID: "producer-1", HasClientID: true})
	var h RequestHeader
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Decode(frame); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProduceDecode(b *testing.B) {
	forShapes(b, func(b *testing.B, topics, partitions int) {
		body := produceBody(11, topics, partitions)
		var r ProduceRequest
		for b.Loop() {
			if err := r.Decode(11, body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkProduceDecodeMessage goes through the package's Decode.
func BenchmarkProduceDecodeMessage(b *testing.B) {
	b.ReportAllocs()
	body := produceBody(11, 1, 1)
	var r ProduceRequest
	for b.Loop() {
		if err := Decode(&r, 11, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProduceResponseEncode(b *testing.B) {
	forShapes(b, func(b *testing.B, topics, partitions int) {
		r := produceResponse(topics, partitions)
		var dst []byte
		for b.Loop() {
			dst = r.Append(dst[:0], 11)
		}
	})
}

func BenchmarkFetchDecode(b *testing.B) {
	forShapes(b, func(b *testing.B, topics, partitions int) {
		body := fetchBody(12, topics, partitions)
		var r FetchRequest
		for b.Loop() {
			if err := r.Decode(12, body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkFetchResponseFrame(b *testing.B) {
	forShapes(b, func(b *testing.B, topics, partitions int) {
		r := fetchResponse(topics, partitions)
		var dst []byte
		var cuts []Cut
		for b.Loop() {
			dst, cuts = AppendFetchFrame(dst[:0], cuts[:0], 7, r, 12)
		}
	})
}

func BenchmarkFetchResponseDecode(b *testing.B) {
	forShapes(b, func(b *testing.B, topics, partitions int) {
		r := fetchResponse(topics, partitions)
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				p := &r.Topics[i].Partitions[j]
				p.RecordsSize, p.Records = 0, make([]byte, 1000)
			}
		}
		body := Append(nil, r, 12)
		var in FetchResponse
		for b.Loop() {
			if err := in.Decode(12, body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkMetadataResponseEncode(b *testing.B) {
	r := &MetadataResponse{Brokers: make([]MetadataResponseBroker, 3)}
	for i := range 100 {
		name := fmt.Sprintf("topic-%03d", i)
		p := MetadataResponsePartition{ReplicaNodes: []int32{1, 2, 3}, IsrNodes: []int32{1, 2, 3}}
		r.Topics = append(r.Topics, MetadataResponseTopic{Name: &name, Partitions: []MetadataResponsePartition{p, p, p}})
	}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = Append(dst[:0], r, 12)
	}
}
