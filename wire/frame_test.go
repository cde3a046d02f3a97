package wire

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func TestReadFrame(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 20<<10) // 320 KiB
	for _, c := range []struct {
		name  string
		in    []byte
		limit int
		want  []byte
		err   error
	}{
		{"one", unhex("00000002 6162"), 100, []byte("ab"), nil},
		{"empty frame", unhex("00000000"), 100, []byte{}, nil},
		{"at the limit", unhex("00000002 6162"), 2, []byte("ab"), nil},
		{"big", append(unhex("00050000"), big...), 1 << 20, big, nil},
		{"above the limit", unhex("00000003 616263"), 2, nil, ErrFrameTooLarge},
		{"2 GiB", unhex("7fffffff 61"), 100 << 20, nil, ErrFrameTooLarge},
		{"negative", unhex("ffffffff 61"), 100, nil, ErrFrame},
		{"most negative", unhex("80000000"), 100, nil, ErrFrame},
		{"end", nil, 100, nil, io.EOF},
		{"end in the size", unhex("0000"), 100, nil, io.ErrUnexpectedEOF},
		{"end after the size", unhex("00000002"), 100, nil, io.ErrUnexpectedEOF},
		{"end in the frame", unhex("00000002 61"), 100, nil, io.ErrUnexpectedEOF},
		{"end in a big frame", append(unhex("00050000"), big[:200<<10]...), 1 << 20, nil, io.ErrUnexpectedEOF},
		{"an HTTP request", []byte("GET / HTTP/1.1\r\n\r\n"), 100 << 20, nil, ErrFrameTooLarge},
	} {
		readers := map[string]io.Reader{
			"": bytes.NewReader(c.in), "one byte": iotest.OneByteReader(bytes.NewReader(c.in)),
			"half": iotest.HalfReader(bytes.NewReader(c.in)), "data with EOF": iotest.DataErrReader(bytes.NewReader(c.in)),
		}
		for how, r := range readers {
			got, err := ReadFrame(r, c.limit, nil)
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || !bytes.Equal(got, c.want) {
				t.Errorf("%s %s: %d bytes, %v", c.name, how, len(got), err)
			}
		}
	}
	if _, err := ReadFrame(bytes.NewReader(nil), 1, nil); err != io.EOF {
		t.Errorf("a clean end is %v, not io.EOF itself", err)
	}
}

// TestReadFrameLeavesTheNext: nothing past the frame is consumed.
func TestReadFrameLeavesTheNext(t *testing.T) {
	r := bytes.NewReader(unhex("00000001 61 00000001 62"))
	for _, want := range []string{"a", "b"} {
		if got, err := ReadFrame(r, 10, nil); string(got) != want || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// TestReadFrameMemory is W2 for frames: a claim of 100 MiB with little behind
// it costs little.
func TestReadFrameMemory(t *testing.T) {
	for _, n := range []int{0, 1, 1000, 64 << 10, 64<<10 + 1, 300 << 10} {
		in := append(unhex("06400000"), make([]byte, n)...)
		r := bytes.NewReader(in)
		got := allocated(allocLimit(len(in)), func() {
			r.Reset(in)
			if _, err := ReadFrame(r, 100<<20, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Error(err)
			}
		})
		if got > allocLimit(len(in)) {
			t.Errorf("%d bytes of a claimed 100 MiB: allocated %d", n, got)
		}
	}
}

// TestReadFrameGet: buffers come from get, with no more than was asked for, and
// a pooled buffer that is large enough is all it takes.
func TestReadFrameGet(t *testing.T) {
	in := append(unhex("00050000"), make([]byte, 0x50000)...)
	var asked []int
	frame, err := ReadFrame(bytes.NewReader(in), 1<<20, func(n int) []byte {
		asked = append(asked, n)
		return make([]byte, 0, n)
	})
	if err != nil || len(frame) != 0x50000 || len(asked) != 5 || asked[0] != 32<<10 || asked[4] != 0x50000 {
		t.Errorf("%d bytes, asked for %v, %v", len(frame), asked, err)
	}
	pooled := make([]byte, 1<<20)
	frame, err = ReadFrame(bytes.NewReader(in), 1<<20, func(int) []byte { return pooled })
	if err != nil || len(frame) != 0x50000 || &frame[0] != &pooled[0] {
		t.Errorf("%d bytes, %v", len(frame), err)
	}
}

// TestFramesRoundTrip: what the frame appenders write, ReadFrame and the header
// decoders take apart again.
func TestFramesRoundTrip(t *testing.T) {
	rng := newRand(t)
	forEach(func(s side, k Key, version int16) {
		m := randomOurs(rng, s, k, version)
		body := Append(nil, m, version)
		head := []byte("before")
		var frame []byte
		if s.name == "Request" {
			frame = AppendRequestFrame(head, RequestHeader{Version: version, CorrelationID: 5}, m)
		} else {
			frame = AppendResponseFrame(head, 5, m, version)
		}
		got, err := ReadFrame(bytes.NewReader(frame[len(head):]), 1<<30, nil)
		if err != nil {
			t.Fatalf("%s: %v", label(s, k, version), err)
		}
		var rest []byte
		var id int32
		if s.name == "Request" {
			var h RequestHeader
			h, rest, err = DecodeRequestHeader(got)
			id = h.CorrelationID
		} else {
			id, rest, err = DecodeResponseHeader(got, k, version)
		}
		if err != nil || id != 5 || !bytes.Equal(rest, body) || string(frame[:len(head)]) != "before" {
			t.Fatalf("%s: ID %d, %v\n%x\n%x", label(s, k, version), id, err, rest, body)
		}
	})
}
