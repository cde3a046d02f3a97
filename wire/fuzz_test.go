package wire

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Every target fails on a panic and on an allocation above 8 x input + 64 KiB
// (W1, W2); the message targets also count steps.

const fuzzInputLimit = 1 << 20

func FuzzRequestHeader(f *testing.F) {
	for _, c := range goldenRequests {
		f.Add(unhex(c.frame))
	}
	f.Add(unhex("0012 0003 00000009 0000 ffffffff0f"))
	f.Add(unhex("0063 0001 00000009"))
	f.Fuzz(func(t *testing.T, frame []byte) {
		var h RequestHeader
		var body []byte
		var err error
		if n := allocated(allocLimit(len(frame)), func() { h, body, err = DecodeRequestHeader(frame) }); n > allocLimit(len(frame)) {
			t.Fatalf("%d bytes allocated %d", len(frame), n)
		}
		switch {
		case err == nil:
			// Tags are dropped, so only the rest comes back the same.
			again, rest, err := DecodeRequestHeader(append(AppendRequestHeader(nil, h), body...))
			if err != nil || again != h || !bytes.Equal(rest, body) {
				t.Fatalf("%+v became %+v, %v", h, again, err)
			}
		case errors.Is(err, ErrMalformed):
		case errors.Is(err, ErrUnknownKey), errors.Is(err, ErrUnsupportedVersion):
			if h.Key != Key(int16(frame[0])<<8|int16(frame[1])) {
				t.Fatalf("key %d of %x", h.Key, frame)
			}
		default:
			t.Fatalf("unexpected class: %v", err)
		}
	})
}

func FuzzReadFrame(f *testing.F) {
	f.Add(unhex("00000002 6162"), 100, byte(1))
	f.Add(unhex("7fffffff 61"), 100<<20, byte(0))
	f.Add(unhex("06400000 61"), 100<<20, byte(3))
	f.Add(unhex("ffffffff"), 100, byte(200))
	f.Fuzz(func(t *testing.T, in []byte, limit int, step byte) {
		limit = max(0, min(limit, fuzzInputLimit<<7))
		r := &stepReader{in: in, step: int(step) + 1}
		var frame []byte
		var err error
		n := allocated(allocLimit(len(in)), func() {
			r.at = 0
			frame, err = ReadFrame(r, limit, nil)
		})
		if n > allocLimit(len(in)) {
			t.Fatalf("%d bytes, limit %d: allocated %d", len(in), limit, n)
		}
		if err == nil && !bytes.Equal(frame, in[SizePrefixBytes:SizePrefixBytes+len(frame)]) {
			t.Fatalf("frame %x of %x", frame, in)
		}
		if err == nil && len(frame) > limit {
			t.Fatalf("%d bytes, limit %d", len(frame), limit)
		}
		known := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrFrame) || errors.Is(err, ErrFrameTooLarge)
		if err != nil && !known {
			t.Fatalf("unexpected class: %v", err)
		}
	})
}

// stepReader gives at most step bytes at a time.
type stepReader struct {
	in       []byte
	at, step int
}

func (r *stepReader) Read(p []byte) (int, error) {
	if r.at >= len(r.in) {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.step)], r.in[r.at:])
	r.at += n
	return n, nil
}

// addSeeds adds one small body of every version of one side.
func addSeeds(f *testing.F, add func(s side, k Key, version int16, body []byte)) {
	rng := newRandQuiet(1)
	forEach(func(s side, k Key, version int16) {
		add(s, k, version, smallBody(rng, s, k, version))
	})
}

func FuzzRequest(f *testing.F) { fuzzSide(f, sides[0]) }

func FuzzResponse(f *testing.F) { fuzzSide(f, sides[1]) }

func fuzzSide(f *testing.F, s side) {
	addSeeds(f, func(seed side, k Key, version int16, body []byte) {
		if seed.name == s.name {
			f.Add(int16(k), version, body)
		}
	})
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		k := Key(key)
		if len(body) > fuzzInputLimit || Supported(k, version) != nil {
			return
		}
		m, err := decodeBounded(t, s, k, version, body)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrBudget) {
				t.Fatalf("unexpected class: %v", err)
			}
			return
		}
		// Unknown tags and a null where we send an empty set are dropped; what
		// is left must be a fixed point.
		once := Append(nil, m, version)
		again := s.ours(k)
		if err := Decode(again, version, once); err != nil {
			t.Fatalf("%s: our own encoding: %v\n%x", label(s, k, version), err, once)
		}
		if twice := Append(nil, again, version); !bytes.Equal(once, twice) {
			t.Fatalf("%s: encoded again\n%x\n%x", label(s, k, version), once, twice)
		}
	})
}

// FuzzDifferential: whatever we accept, kmsg reads the same. The oracle is only
// given bounded input: bytes that we have decoded, or encoded ourselves.
func FuzzDifferential(f *testing.F) {
	addSeeds(f, func(s side, k Key, version int16, body []byte) {
		f.Add(s.name == "Response", int16(k), version, body)
	})
	f.Fuzz(func(t *testing.T, response bool, key, version int16, body []byte) {
		s, k := sides[0], Key(key)
		if response {
			s = sides[1]
		}
		if len(body) > 1<<16 || Supported(k, version) != nil {
			return
		}
		m := s.ours(k)
		if Decode(m, version, body) != nil {
			return
		}
		if !kmsgStrays(s, k, version) {
			compareWithKmsg(t, s, k, version, m, body)
		}
		encoded := Append(nil, m, version)
		again := s.ours(k)
		if err := Decode(again, version, encoded); err != nil {
			t.Fatalf("%s: our own encoding: %v\n%x", label(s, k, version), err, encoded)
		}
		compareWithKmsg(t, s, k, version, again, encoded)
	})
}

// kmsgStrays reports whether kmsg may read a body of others unlike Kafka. It looks
// into tags that this version does not have in Kafka's schema, which we skip: it
// may refuse or show their contents. And it takes only -1 for a null struct, where
// Kafka and we take any negative byte.
func kmsgStrays(s side, k Key, version int16) bool {
	response := s.name == "Response"
	switch k {
	case KeyProduce:
		return response && version == 9
	case KeyFetch:
		return version >= 12 && (version < 16 || version < 18 && !response)
	case KeyConsumerGroupHeartbeat:
		return response
	case KeyDescribeTopicPartitions:
		return true
	}
	return false
}

func compareWithKmsg(t *testing.T, s side, k Key, version int16, ours Message, body []byte) {
	t.Helper()
	theirs := s.kmsg(k, version)
	if err := theirs.ReadFrom(body); err != nil {
		t.Fatalf("%s: kmsg refuses %x: %v", label(s, k, version), body, err)
	}
	alignDefaults(theirs, version)
	editTags(reflect.ValueOf(theirs).Elem(), func(tags *kmsg.Tags) { *tags = kmsg.Tags{} })
	if d := differ("", reflect.ValueOf(ours).Elem(), reflect.ValueOf(theirs).Elem()); d != "" {
		t.Fatalf("%s: %s\n%x", label(s, k, version), d, body)
	}
}
