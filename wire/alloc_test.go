package wire

import (
	"bytes"
	"testing"
)

// TestHotPathAllocations: what the produce and fetch paths do for each request, and
// what is decoded before login, allocates nothing once their structs and buffers have been used.
func TestHotPathAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's sync.Pool drops entries")
	}
	for _, s := range shapes {
		for version := int16(3); version <= 18; version++ {
			for name, f := range hotPaths(t, version, s[0], s[1]) {
				f() // the first use may allocate
				if n := testing.AllocsPerRun(100, f); n != 0 {
					t.Errorf("%s %d, %dx%d: %v allocations", name, version, s[0], s[1], n)
				}
			}
		}
	}
}

// hotPaths returns one call of each path for messages of the given shape.
func hotPaths(t *testing.T, version int16, topics, partitions int) map[string]func() {
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	paths := map[string]func(){}
	if Supported(KeyProduce, version) == nil {
		body, resp := produceBody(version, topics, partitions), produceResponse(topics, partitions)
		var in ProduceRequest
		var dst []byte
		paths["ProduceRequest.Decode"] = func() { must(in.Decode(version, body)) }
		paths["Decode of a ProduceRequest"] = func() { must(Decode(&in, version, body)) }
		paths["ProduceResponse.Append"] = func() { dst = resp.Append(dst[:0], version) }
		paths["AppendResponseFrame of a ProduceResponse"] = func() { dst = AppendResponseFrame(dst[:0], 1, resp, version) }
	}
	if Supported(KeyFetch, version) == nil {
		body, resp := fetchBody(version, topics, partitions), fetchResponse(topics, partitions)
		inMemory := Append(nil, withRecords(fetchResponse(topics, partitions)), version)
		var in FetchRequest
		var back FetchResponse
		var dst []byte
		var cuts []Cut
		paths["FetchRequest.Decode"] = func() { must(in.Decode(version, body)) }
		paths["AppendFetchFrame"] = func() { dst, cuts = AppendFetchFrame(dst[:0], cuts[:0], 1, resp, version) }
		paths["FetchResponse.Decode"] = func() { must(back.Decode(version, inMemory)) }
	}
	if Supported(KeyAPIVersions, version) == nil {
		body := Append(nil, &APIVersionsRequest{[]byte("kcat"), []byte("1.7")}, version)
		var in APIVersionsRequest
		paths["APIVersionsRequest.Decode"] = func() { must(in.Decode(version, body)) }
	}
	if Supported(KeySASLHandshake, version-3) == nil {
		body := Append(nil, &SASLHandshakeRequest{[]byte("SCRAM-SHA-256")}, version-3)
		var in SASLHandshakeRequest
		paths["Decode of a SASLHandshakeRequest"] = func() { must(Decode(&in, version-3, body)) }
	}
	if Supported(KeySASLAuthenticate, version-3) == nil {
		body := Append(nil, &SASLAuthenticateRequest{make([]byte, 100)}, version-3)
		var in SASLAuthenticateRequest
		paths["Decode of a SASLAuthenticateRequest"] = func() { must(Decode(&in, version-3, body)) }
	}
	frame := AppendRequestHeader(nil, RequestHeader{KeyHeartbeat, 4, 1, "client", true})
	prefixed := append([]byte{0, 0, 0, byte(len(frame))}, frame...)
	var h RequestHeader
	var r bytes.Reader
	buf := make([]byte, 100)
	paths["RequestHeader.Decode"] = func() { _, err := h.Decode(frame); must(err) }
	paths["ReadFrame"] = func() {
		r.Reset(prefixed)
		_, err := ReadFrame(&r, 100, func(int) []byte { return buf })
		must(err)
	}
	return paths
}

// withRecords puts records in memory instead of splicing them.
func withRecords(r *FetchResponse) *FetchResponse {
	for i := range r.Topics {
		for j := range r.Topics[i].Partitions {
			p := &r.Topics[i].Partitions[j]
			p.RecordsSize, p.Records = 0, bytes.Repeat([]byte{byte(j)}, 200+j)
		}
	}
	return r
}
