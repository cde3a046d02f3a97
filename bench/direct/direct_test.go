package main

import (
	"bytes"
	"os"
	"path"
	"strings"
	"testing"
)

const testCommitBytes = 16 << 20

// TestEveryWayWritesWhatItShould runs each way on little data and compares the segments, and for the reference frames the commit log's
// growth, with what was given: a fast way that loses bytes would win.
func TestEveryWayWritesWhatItShould(t *testing.T) {
	w, err := openFiles(path.Join(t.TempDir(), "x"), testCommitBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.remove(); err != nil {
			t.Error(err)
		}
	}()
	p := newPool(4 << 20)
	const batch, rounds = 64 << 10, 40 // 80 MiB by twice: the commit log is gone round
	for _, x := range ways {
		if x.device {
			continue
		}
		var want [segments][]byte
		if err := w.openSegments(rounds*5*batch, x.flags, x.again); err != nil {
			t.Fatal(err)
		}
		put, err := x.open(w)
		if err != nil {
			t.Skip(err)
		}
		for range rounds {
			var list []write
			for i := range 40 {
				b := write{i % segments, p.batch(batch)}
				list = append(list, b)
				want[b.segment] = append(want[b.segment], b.data...)
			}
			if err := put.round(list); err != nil {
				if strings.Contains(err.Error(), "invalid argument") {
					t.Skip("no O_DIRECT here: ", err)
				}
				t.Fatal(x.name, err)
			}
		}
		if err := put.finish(); err != nil {
			t.Fatal(x.name, err)
		}
		for i, f := range w.segs {
			if got, err := os.ReadFile(f.Name()); err != nil || !bytes.Equal(got, want[i]) {
				t.Errorf("%s: segment %d does not hold what was written (%d bytes of %d, %v)", x.name, i, len(got), len(want[i]), err)
			}
		}
	}
}

func TestCommitLogTakesAFrameARound(t *testing.T) {
	w, err := openFiles(path.Join(t.TempDir(), "x"), testCommitBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.remove(); err != nil {
			t.Error(err)
		}
	}()
	b := []write{{0, make([]byte, 10_000)}, {1, make([]byte, 20_000)}}
	l := commitLog{w: w}
	for _, c := range []struct {
		refer bool
		want  int64
	}{{true, page}, {true, 2 * page}, {false, 10 * page}} {
		if err := l.append(b, c.refer); err != nil || l.at != c.want {
			t.Errorf("at %d, %v; want %d", l.at, err, c.want)
		}
	}
}

func TestBatchesDiffer(t *testing.T) {
	p := newPool(4 << 20)
	seen := map[string]bool{}
	for range 5000 {
		k := string(p.batch(page)[:16])
		if seen[k] {
			t.Fatal("the same bytes twice")
		}
		seen[k] = true
	}
}
