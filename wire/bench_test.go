package wire

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/codec"
)

// produceBody is a Produce request body with a batch of one record of 1 KiB, or
// nearly, for each partition.
func produceBody(version int16, topics, partitions int) []byte {
	r := ProduceRequest{Acks: -1, TimeoutMs: 30000}
	for i := range topics {
		t := ProduceRequestTopic{Name: fmt.Appendf(nil, "topic-%03d", i), TopicID: UUID{byte(i)}}
		for j := range partitions {
			t.Partitions = append(t.Partitions, ProduceRequestPartition{int32(j), make([]byte, 1100)})
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

// forShapes measures an API for requests of so many topics with so many partitions each.
func forShapes(b *testing.B, api string, f func(b *testing.B, topics, partitions int)) {
	for _, s := range shapes {
		b.Run(fmt.Sprintf("api=%s/partitions=%dx%d", api, s[0], s[1]), func(b *testing.B) {
			b.ReportAllocs()
			f(b, s[0], s[1])
		})
	}
}

// BenchmarkProtocol_Decode is bytes off the wire to structs: requests as the broker decodes them, by their own Decode and into a struct that it
// has used before, and a fetch response as a follower does.
func BenchmarkProtocol_Decode(b *testing.B) {
	b.Run("api=Header", func(b *testing.B) {
		frame := AppendRequestHeader(nil, RequestHeader{Key: KeyProduce, Version: 9, CorrelationID: 7, ClientID: "producer-1", HasClientID: true})
		var h RequestHeader
		b.ReportAllocs()
		for b.Loop() {
			if _, err := h.Decode(frame); err != nil {
				b.Fatal(err)
			}
		}
	})
	forShapes(b, "Produce", func(b *testing.B, topics, partitions int) {
		body := produceBody(11, topics, partitions)
		decode(b, &ProduceRequest{}, 11, body)
	})
	forShapes(b, "Fetch", func(b *testing.B, topics, partitions int) {
		body := fetchBody(12, topics, partitions)
		decode(b, &FetchRequest{}, 12, body)
	})
	forShapes(b, "FetchResponse", func(b *testing.B, topics, partitions int) {
		r := fetchResponse(topics, partitions)
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				p := &r.Topics[i].Partitions[j]
				p.RecordsSize, p.Records = 0, make([]byte, 1000)
			}
		}
		decode(b, &FetchResponse{}, 12, Append(nil, r, 12))
	})
}

func decode(b *testing.B, m interface{ Decode(int16, []byte) error }, version int16, body []byte) {
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if err := m.Decode(version, body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkProtocol_Encode is structs to bytes: frames of responses as the broker encodes them, and what stands in one of metadata. Of a fetch
// response's records only their place is written.
func BenchmarkProtocol_Encode(b *testing.B) {
	forShapes(b, "ProduceResponse", func(b *testing.B, topics, partitions int) {
		r := produceResponse(topics, partitions)
		var dst []byte
		for b.Loop() {
			dst = AppendResponseFrame(dst[:0], 7, r, 11)
		}
		b.SetBytes(int64(len(dst)))
	})
	forShapes(b, "FetchResponse", func(b *testing.B, topics, partitions int) {
		r := fetchResponse(topics, partitions)
		var dst []byte
		var cuts []Cut
		for b.Loop() {
			dst, cuts = AppendFetchFrame(dst[:0], cuts[:0], 7, r, 12)
		}
		b.SetBytes(int64(len(dst)))
	})
	b.Run("api=MetadataResponse/partitions=100x3", func(b *testing.B) {
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
		b.SetBytes(int64(len(dst)))
	})
}

// BenchmarkProtocol_Compress is the records of a batch through each codec, both ways. MB are of plain bytes: 1 KiB records of which half the
// bytes are random. packed/plain is how large they become.
func BenchmarkProtocol_Compress(b *testing.B) {
	for _, kib := range []int{16, 1024} {
		plain := records(kib)
		for _, name := range []string{"gzip", "snappy", "lz4", "zstd"} {
			c := map[string]batch.Codec{"gzip": batch.Gzip, "snappy": batch.Snappy, "lz4": batch.LZ4, "zstd": batch.Zstd}[name]
			packed, err := codec.Encode(nil, c, plain)
			if err != nil {
				b.Fatal(err)
			}
			run := func(op string, f func(out []byte) ([]byte, error)) {
				b.Run(fmt.Sprintf("codec=%s/batch=%dKiB/%s", name, kib, op), func(b *testing.B) {
					b.SetBytes(int64(len(plain)))
					b.ReportAllocs()
					out := make([]byte, 0, 2*len(plain)+256<<10) // room for any codec
					for b.Loop() {
						if _, err := f(out); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(len(packed))/float64(len(plain)), "packed/plain")
				})
			}
			run("compress", func(out []byte) ([]byte, error) { return codec.Encode(out, c, plain) })
			run("decompress", func(out []byte) ([]byte, error) { return codec.Decode(out, c, packed, len(plain)) })
		}
	}
}

// records are so many KiB, each half random and half zeros.
func records(kib int) []byte {
	out := make([]byte, kib<<10)
	rng := rand.New(rand.NewPCG(1, uint64(kib)))
	for i := range out {
		if i&(1<<10-1) < 1<<9 {
			out[i] = byte(rng.Uint32())
		}
	}
	return out
}
