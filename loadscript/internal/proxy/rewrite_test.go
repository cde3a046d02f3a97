package proxy

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// framed is the frame of an answer, with a tagged field in the header where there can be one.
func framed(resp kmsg.Response) []byte {
	b := []byte{0, 0, 0, 0, 0, 0, 0, 7}
	if resp.IsFlexible() && resp.Key() != keyApiVersions {
		b = append(b, 1, 5, 2, 'h', 'i')
	}
	b = resp.AppendTo(b)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// named gives an answer of each kind that names a broker.
func named(key, version int16) kmsg.Response {
	resp := kmsg.ResponseForKey(key)
	resp.SetVersion(version)
	switch r := resp.(type) {
	case *kmsg.MetadataResponse:
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID, b.Host, b.Port = 3, "far", 9092
		r.Brokers = append(r.Brokers, b)
	case *kmsg.FindCoordinatorResponse:
		if r.Host, r.Port, r.NodeID = "far", 9092, 3; version > 3 {
			c := kmsg.NewFindCoordinatorResponseCoordinator()
			c.Key, c.Host, c.Port, c.NodeID = "g", "far", 9092, 3
			r.Coordinators = append(r.Coordinators, c)
		}
	case *kmsg.DescribeClusterResponse:
		b := kmsg.NewDescribeClusterResponseBroker()
		b.NodeID, b.Host, b.Port = 3, "far", 9092
		r.Brokers = append(r.Brokers, b)
	case *kmsg.ProduceResponse:
		b := kmsg.NewProduceResponseBroker()
		b.NodeID, b.Host, b.Port = 3, "far", 9092
		r.Brokers = append(r.Brokers, b)
	case *kmsg.FetchResponse:
		b := kmsg.NewFetchResponseBroker()
		b.NodeID, b.Host, b.Port = 3, "far", 9092
		r.Brokers = append(r.Brokers, b)
	case *kmsg.ShareFetchResponse:
		b := kmsg.NewShareFetchResponseNodeEndpoint()
		b.NodeID, b.Host, b.Port = 3, "far", 9092
		r.NodeEndpoints = append(r.NodeEndpoints, b)
	case *kmsg.ShareAcknowledgeResponse:
		b := kmsg.NewShareAcknowledgeResponseNodeEndpoint()
		b.NodeID, b.Host, b.Port = 3, "far", 9092
		r.NodeEndpoints = append(r.NodeEndpoints, b)
	}
	return resp
}

var rewritten = []int16{keyProduce, keyFetch, keyMetadata, keyFindCoordinator, keyDescribeCluster, keyShareFetch, keyShareAcknowledge}

// Every answer that can hold an address, in every version, holds ours afterwards, and is otherwise the same (X1, X3).
func TestRewriteEveryVersion(t *testing.T) {
	far := func(host string, port int32) (string, int32, error) {
		if host != "far" || port != 9092 {
			t.Errorf("asked for %s:%d", host, port)
		}
		return "near", 1234, nil
	}
	tried := 0
	for _, key := range rewritten {
		for v := int16(0); v <= codecMax(key); v++ {
			if !holdsAddresses(call{key: key, version: v}) {
				continue
			}
			resp := named(key, v)
			frame := framed(resp)
			got, err := rewrite(call{key: key, version: v}, slices.Clone(frame), far)
			if err != nil {
				t.Fatalf("key %d version %d: %v", key, v, err)
			}
			if _, err := replace(resp, func(string, int32) (string, int32, error) { return "near", 1234, nil }); err != nil {
				t.Fatal(err)
			}
			if want := framed(resp); !slices.Equal(got, want) {
				t.Errorf("key %d version %d:\n got %x\nwant %x", key, v, got, want)
			}
			if slices.Equal(got, frame) {
				t.Errorf("key %d version %d: the address was not replaced", key, v)
			}
			tried++
		}
	}
	if tried < 35 {
		t.Errorf("only %d versions tried", tried)
	}
}

func TestRewriteLeavesErrorsAlone(t *testing.T) {
	for _, version := range []int16{0, 6} {
		resp := kmsg.NewPtrFindCoordinatorResponse()
		resp.SetVersion(version)
		resp.ErrorCode, resp.NodeID, resp.Port = 15, -1, -1
		frame := framed(resp)
		got, err := rewrite(call{key: keyFindCoordinator, version: version}, slices.Clone(frame), nil)
		if err != nil || !slices.Equal(got, frame) {
			t.Errorf("version %d: %x, %v; want it unchanged", version, got, err)
		}
	}
}

func TestRewriteRefuses(t *testing.T) {
	none := func(string, int32) (string, int32, error) { return "", 0, ErrTooMany }
	if _, err := rewrite(call{key: keyMetadata, version: 12}, framed(named(keyMetadata, 12)), none); !errors.Is(err, ErrTooMany) {
		t.Errorf("no room for a link: %v", err)
	}
	if _, err := rewrite(call{key: keyMetadata, version: 99}, framed(named(keyMetadata, 12)), none); err == nil {
		t.Error("a version that nobody knows was rewritten")
	}
	frame := framed(named(keyMetadata, 12))
	for n := 8; n < len(frame)-1; n++ {
		if _, err := rewrite(call{key: keyMetadata, version: 12}, frame[:n], none); err == nil {
			t.Fatalf("an answer cut to %d of %d bytes was rewritten", n, len(frame))
		}
	}
}

func TestVersionsAreCapped(t *testing.T) {
	for version := int16(0); version <= codecMax(keyApiVersions); version++ {
		resp := kmsg.NewPtrApiVersionsResponse()
		resp.SetVersion(version)
		for _, key := range []int16{keyFetch, keyMetadata, int16(kmsg.CreateTopics)} {
			k := kmsg.NewApiVersionsResponseApiKey()
			k.ApiKey, k.MaxVersion = key, 99
			resp.ApiKeys = append(resp.ApiKeys, k)
		}
		out, err := rewrite(call{key: keyApiVersions, version: version}, framed(resp), nil)
		if err != nil {
			t.Fatal(err)
		}
		got := kmsg.NewPtrApiVersionsResponse()
		got.SetVersion(version)
		if err := got.ReadFrom(out[8:]); err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		for i, want := range []int16{codecMax(keyFetch), codecMax(keyMetadata), 99} {
			if got.ApiKeys[i].MaxVersion != want {
				t.Errorf("version %d: key %d goes up to %d, want %d", version, got.ApiKeys[i].ApiKey, got.ApiKeys[i].MaxVersion, want)
			}
		}
	}
}

// A broker that does not know the version of ApiVersions says so in version 0, whatever was asked.
func TestUnsupportedVersionIsReadAsVersion0(t *testing.T) {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = unsupportedVersion
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MaxVersion = keyMetadata, 99
	resp.ApiKeys = append(resp.ApiKeys, k)
	out, err := rewrite(call{key: keyApiVersions, version: 4}, framed(resp), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := kmsg.NewPtrApiVersionsResponse()
	if err := got.ReadFrom(out[8:]); err != nil || got.ApiKeys[0].MaxVersion != codecMax(keyMetadata) {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzRewrite(f *testing.F) {
	for _, key := range append(rewritten, keyApiVersions) {
		for v := int16(0); v <= codecMax(key); v++ {
			f.Add(key, v, framed(named(key, v)))
		}
	}
	f.Fuzz(func(t *testing.T, key, version int16, frame []byte) {
		c := call{key: key, version: version}
		if len(frame) < 8 || !holdsAddresses(c) {
			return
		}
		out, err := rewrite(c, slices.Clone(frame), func(string, int32) (string, int32, error) { return "127.0.0.1", 1, nil })
		if err == nil && len(out) < 8 {
			t.Errorf("%d bytes came out of %d", len(out), len(frame))
		}
	})
}
