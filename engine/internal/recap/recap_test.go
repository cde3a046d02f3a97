package recap

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/epochs"
)

func some() (Recap, []byte) {
	r := Recap{
		Log: 7, Cuts: 2, Segment: 100, Position: 5000, Next: 150, LastPos: 4900, LastCRC: 0xdeadbeef,
		Epochs: []epochs.Entry{{Epoch: 1, Start: 0}, {Epoch: 5, Start: 120}}, Rest: []byte("index and producers"),
	}
	b := append(r.Append(nil), r.Rest...)
	Seal(b)
	return r, b
}

func TestWriteAndRead(t *testing.T) {
	d := disk.NewMem()
	want, b := some()
	for range 2 {
		if err := Write(d, "/recap", b); err != nil {
			t.Fatal(err)
		}
		got, err := Read(d, "/recap")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestEveryFlipIsFound(t *testing.T) {
	_, good := some()
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			if _, err := Parse(bad); !errors.Is(err, ErrCorrupt) {
				t.Errorf("byte %d bit %d: %v", i, bit, err)
			}
		}
	}
	for n := range good {
		if _, err := Parse(good[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	_, good := some()
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= header { // else nothing gets past the checksum
			b = bytes.Clone(b)
			copy(b, magic)
			Seal(b)
		}
		r, err := Parse(b)
		if err != nil {
			return
		}
		again := append(r.Append(nil), r.Rest...)
		if Seal(again); !bytes.Equal(again, b) {
			t.Error("it does not survive encoding")
		}
	})
}
