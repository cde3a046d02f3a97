package disk

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestReplaceFileIsOldOrNew cuts the power after every operation, and once after the folder's sync.
func TestReplaceFileIsOldOrNew(t *testing.T) {
	rng := newRand(t)
	old, content := strings.Repeat("old", 500), strings.Repeat("new!", 700)
	for n := range 8 {
		for range 20 {
			m := NewMem()
			if err := errors.Join(ReplaceFile(m, "/f", []byte(old)), m.SyncDir("/")); err != nil {
				t.Fatal(err)
			}
			left := n
			d := Inject(m, func(Op, string) error {
				if left--; left < 0 {
					return errors.New("cut")
				}
				return nil
			})
			err := ReplaceFile(d, "/f", []byte(content[:100]), nil, []byte(content[100:]))
			if err == nil {
				err = d.SyncDir("/")
			}
			b, rerr := ReadFile(m.Crash(rng, 0.5), "/f", 1<<20)
			if rerr != nil || string(b) != old && string(b) != content || err == nil && string(b) != content {
				t.Fatalf("cut after %d operations (%v): %d bytes (%v)", n, err, len(b), rerr)
			}
		}
	}
}

// TestReplaceFileLeavesNothingBehind fails each operation but removing.
func TestReplaceFileLeavesNothingBehind(t *testing.T) {
	everywhere(t, func(t *testing.T, fsys FS, dir string) {
		name := dir + "/f"
		for _, fail := range []Op{"", "create", "write", "sync", "rename"} {
			d := Inject(fsys, func(op Op, _ string) error {
				if op == fail {
					return errors.New("broken")
				}
				return nil
			})
			if err := ReplaceFile(d, name, []byte(fail)); (err == nil) != (fail == "") {
				t.Errorf("%s: %v", fail, err)
			}
			if got := names(t, fsys, dir); !slices.Equal(got, []string{"f"}) {
				t.Errorf("%s failed: %v", fail, got)
			}
			if b, err := ReadFile(fsys, name, 100); err != nil || len(b) > 0 {
				t.Errorf("%s failed: %q, %v", fail, b, err)
			}
		}
	})
}
