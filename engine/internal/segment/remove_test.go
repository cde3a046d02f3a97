package segment

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/streambus/streambus/engine/disk"
)

func TestRetire(t *testing.T) {
	held(t)
	d := disk.NewMem()
	s, all := rolled(t, d, "/d", 0, 50, 300, newRand(t))
	if err := s.Seal(d, new(sync.Mutex), logID, never, nil); err != nil {
		t.Fatal(err)
	}
	s.Acquire()
	gone := 0
	open, _ := disk.Held()
	if err := s.Retire(func() {
		gone++
		if maps, _ := disk.Held(); maps != open-2 {
			t.Errorf("S6: gone with %d mappings open, %d before", maps, open)
		}
		if err := RemoveFiles(d, "/d", 0); err != nil {
			t.Error(err)
		}
	}); err != nil || gone != 0 {
		t.Fatalf("gone %d times under a reader, %v", gone, err)
	}
	b := make([]byte, len(all[3].Batch))
	if err := s.ReadAt(b, all[3].pos); err != nil || !bytes.Equal(b, all[3].Batch) || s.FloorPosition(s.Size()) == 0 {
		t.Error("S3: not readable while held:", err)
	}
	release(t, s)
	if entries, _ := d.ReadDir("/d"); gone != 1 || len(entries) != 0 {
		t.Errorf("gone %d times, %v left", gone, entries)
	}
	defer func() {
		if recover() == nil {
			t.Error("acquired after the last release")
		}
	}()
	s.Acquire()
}

// TestRemoveInSteps counts the cuts of a file of 200 MiB.
func TestRemoveInSteps(t *testing.T) {
	dir := t.TempDir()
	name := path.Join(dir, Name(7))
	f, err := disk.OS{}.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(200<<20), f.Close()); err != nil { // all hole
		t.Fatal(err)
	}
	var ops []string
	if err := RemoveFiles(disk.Inject(disk.OS{}, func(op disk.Op, name string) error {
		if strings.Contains(name, Suffix) || op == "syncdir" {
			ops = append(ops, string(op))
		}
		return nil
	}), dir, 7); err != nil {
		t.Fatal(err)
	}
	if want := "[rename syncdir open size truncate truncate truncate remove]"; fmt.Sprint(ops) != want {
		t.Errorf("%v, want %s", ops, want)
	}
	if entries, err := (disk.OS{}).ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v", entries, err)
	}
	if err := RemoveFiles(disk.OS{}, dir, 7); err != nil {
		t.Error("nothing to remove:", err)
	}
}
