package engine

import (
	"bytes"
	"testing"

	"github.com/streambus/streambus/engine/disk"
)

func TestLogMeta(t *testing.T) {
	fsys := disk.NewMem()
	if err := fsys.MkdirAll("/d/t-0"); err != nil {
		t.Fatal(err)
	}
	if err := writeMeta(fsys, "/d/t-0", 77); err != nil {
		t.Fatal(err)
	}
	if id, err := readMeta(fsys, "/d/t-0"); id != 77 || err != nil {
		t.Fatal(id, err)
	}
	f, err := fsys.Open("/d/t-0/" + metaFile)
	if err != nil {
		t.Fatal(err)
	}
	good := make([]byte, metaSize)
	if err := disk.ReadFull(f, good, 0); err != nil {
		t.Fatal(err)
	}
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			if id, ok := parseMeta(bad); ok {
				t.Errorf("byte %d bit %d changed: taken for id %d", i, bit, id)
			}
		}
	}
}

func FuzzLogMeta(f *testing.F) {
	f.Add([]byte(metaMagic + "0123456789abcdef"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, ok := parseMeta(b); ok && len(b) != metaSize {
			t.Errorf("%d bytes are taken", len(b))
		}
	})
}
