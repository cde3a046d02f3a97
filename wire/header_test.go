package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// unhex reads hex with spaces, for frames written by hand.
func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

// TestRequestHeaderGolden freezes headers v1 and v2, byte for byte.
func TestRequestHeaderGolden(t *testing.T) {
	for _, c := range []struct {
		name   string
		bytes  string
		header RequestHeader
	}{
		{"v1", "0003 0001 00000007 0002 6162", RequestHeader{KeyMetadata, 1, 7, "ab", true}},
		{"v1 null client", "0000 0003 ffffffff ffff", RequestHeader{KeyProduce, 3, -1, "", false}},
		{"v1 empty client", "0001 000b 80000000 0000", RequestHeader{KeyFetch, 11, -1 << 31, "", true}},
		{"v2", "0012 0003 00000001 0002 6162 00", RequestHeader{KeyAPIVersions, 3, 1, "ab", true}},
		{"v2 null client", "003c 0000 00000001 ffff 00", RequestHeader{KeyDescribeCluster, 0, 1, "", false}},
	} {
		frame := unhex(c.bytes)
		if got := AppendRequestHeader(nil, c.header); !bytes.Equal(got, frame) {
			t.Errorf("%s: appended %x, want %x", c.name, got, frame)
		}
		h, body, err := DecodeRequestHeader(append(frame, 0xaa))
		if err != nil || h != c.header || !bytes.Equal(body, []byte{0xaa}) {
			t.Errorf("%s: %+v, body %x, %v", c.name, h, body, err)
		}
	}
	h, body, err := DecodeRequestHeader(unhex("0012 0003 00000001 0002 6162 02 00 01 ff 05 00"))
	if err != nil || h.ClientID != "ab" || len(body) != 0 {
		t.Errorf("tags in the header: %+v, %x, %v", h, body, err)
	}
}

// TestRequestHeaderRefused: what Kafka's EdgeCaseRequestTest sends, and what
// still comes back with it.
func TestRequestHeaderRefused(t *testing.T) {
	many := "0012 0003 00000009 0000" // header v2 of ApiVersions
	for _, c := range []struct {
		name, bytes string
		err         error
		want        RequestHeader
	}{
		{"empty", "", ErrMalformed, RequestHeader{}},
		{"7 bytes", "0003 0001 000000", ErrMalformed, RequestHeader{}},
		{"no client ID", "0003 0001 00000009", ErrMalformed, RequestHeader{Key: 3, Version: 1, CorrelationID: 9}},
		{"client ID too long", "0003 0001 00000009 0003 6162", ErrMalformed, RequestHeader{Key: 3, Version: 1, CorrelationID: 9}},
		{"client ID -2", "0003 0001 00000009 fffe", ErrMalformed, RequestHeader{Key: 3, Version: 1, CorrelationID: 9}},
		{"unknown key", "0063 0001 00000009 0002 6162", ErrUnknownKey, RequestHeader{Key: 99, Version: 1, CorrelationID: 9}},
		{"negative key", "ffff 0001 00000009", ErrUnknownKey, RequestHeader{Key: -1, Version: 1, CorrelationID: 9}},
		{"version too high", "0012 0063 00000009 0002", ErrUnsupportedVersion, RequestHeader{Key: 18, Version: 99, CorrelationID: 9}},
		{"negative version", "0012 ffff 00000009", ErrUnsupportedVersion, RequestHeader{Key: 18, Version: -1, CorrelationID: 9}},
		{"Produce 2", "0000 0002 00000009 0000", ErrUnsupportedVersion, RequestHeader{Key: 0, Version: 2, CorrelationID: 9}},
		{"no tags", many, ErrMalformed, RequestHeader{Key: 18, Version: 3, CorrelationID: 9}},
		{"65 tags", many + "41" + strings.Repeat("0000", 65), ErrMalformed, RequestHeader{Key: 18, Version: 3, CorrelationID: 9}},
		{"2^32-1 tags", many + "ffffffff0f", ErrMalformed, RequestHeader{Key: 18, Version: 3, CorrelationID: 9}},
		{"tag past the end", many + "01 00 05 aabb", ErrMalformed, RequestHeader{Key: 18, Version: 3, CorrelationID: 9}},
	} {
		h, body, err := DecodeRequestHeader(unhex(c.bytes))
		h.ClientID, h.HasClientID = "", false
		if !errors.Is(err, c.err) || h != c.want || body != nil {
			t.Errorf("%s: %+v, %x, %v", c.name, h, body, err)
		}
	}
	if _, _, err := DecodeRequestHeader(unhex(many + "40" + strings.Repeat("0000", 64))); err != nil {
		t.Errorf("64 tags: %v", err)
	}
}

// TestRequestHeaderDifferential: kmsg's formatter writes what we read, all keys
// and versions.
func TestRequestHeaderDifferential(t *testing.T) {
	for _, clientID := range []string{"", "client-1"} {
		f := kmsg.NewRequestFormatter(kmsg.FormatterClientID(clientID))
		forEach(func(s side, k Key, version int16) {
			if s.name != "Request" {
				return
			}
			m := s.kmsg(k, version).(kmsg.Request)
			frame := f.AppendRequest(nil, m, 42)[SizePrefixBytes:]
			h, body, err := DecodeRequestHeader(frame)
			want := RequestHeader{k, version, 42, clientID, true}
			if err != nil || h != want || !bytes.Equal(body, m.AppendTo(nil)) {
				t.Fatalf("%s: %+v, %x, %v", label(s, k, version), h, body, err)
			}
			ours := AppendRequestHeader(nil, want)
			if !bytes.Equal(append(ours, body...), frame) {
				t.Errorf("%s: %x, kmsg %x", label(s, k, version), ours, frame)
			}
		})
	}
}

// TestRequestHeaderReused: a header struct decoded into again shows nothing of
// the one before, and keeps the client ID's string.
func TestRequestHeaderReused(t *testing.T) {
	h := RequestHeader{KeyFetch, 12, 3, "old", true}
	if _, err := h.Decode(unhex("0003 0001 00000007 ffff")); err != nil || h != (RequestHeader{KeyMetadata, 1, 7, "", false}) {
		t.Errorf("%+v, %v", h, err)
	}
	h = RequestHeader{KeyFetch, 12, 3, "old", true}
	if _, err := h.Decode(nil); err == nil || h != (RequestHeader{}) {
		t.Errorf("%+v, %v", h, err)
	}
}

// TestResponseHeader freezes v0 and v1, and W7.
func TestResponseHeader(t *testing.T) {
	forEach(func(s side, k Key, version int16) {
		want := unhex("00000102")
		if k.flexible(version) && k != KeyAPIVersions {
			want = append(want, 0)
		}
		got := AppendResponseHeader(nil, k, version, 0x102)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x", label(s, k, version), got, want)
		}
		id, body, err := DecodeResponseHeader(append(got, 7, 8), k, version)
		if id != 0x102 || !bytes.Equal(body, []byte{7, 8}) || err != nil {
			t.Errorf("%s: %d, %x, %v", label(s, k, version), id, body, err)
		}
		for n := range want {
			if _, _, err := DecodeResponseHeader(want[:n], k, version); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s cut to %d: %v", label(s, k, version), n, err)
			}
		}
	})
	if got := AppendResponseHeader(nil, KeyAPIVersions, 99, 1); !bytes.Equal(got, unhex("00000001")) {
		t.Errorf("ApiVersions 99: %x", got)
	}
	if _, _, err := DecodeResponseHeader(unhex("00000001"), 99, 0); !errors.Is(err, ErrUnknownKey) {
		t.Error(err)
	}
}
