package disk

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"testing"
	"time"
)

var crashSeed = flag.Uint64("crash.seed", 0, "seed of the random crashes; 0 draws one")

func newRand(t *testing.T) *rand.Rand {
	seed := *crashSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with: go test ./engine/disk -run '^%s$' -crash.seed=%d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func TestCrashKeepsWhatWasSynced(t *testing.T) {
	rng := newRand(t)
	old, gone := 0, 0
	for range 300 {
		m := NewMem()
		f := must[File](t)(m.Create("/f"))
		synced := bytes.Repeat([]byte{1}, 5000)
		if err := f.WriteVec([][]byte{synced}, 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		if err := m.SyncDir("/"); err != nil {
			t.Fatal(err)
		}
		if err := f.WriteVec([][]byte{bytes.Repeat([]byte{2}, 3000)}, 1000); err != nil {
			t.Fatal(err)
		}
		must[File](t)(m.Create("/unsynced"))
		after := m.Crash(rng, 0.5)
		g, err := after.Open("/f")
		if err != nil {
			t.Fatal("a synced name is gone:", err)
		}
		got := content(t, g)
		if len(got) != 5000 || !bytes.Equal(got[:1000], synced[:1000]) || !bytes.Equal(got[4000:], synced[4000:]) {
			t.Fatal("synced bytes beside an unsynced write were harmed")
		}
		for at := 1024; at < 3584; at += SectorSize { // whole sectors of the unsynced write: old or new, never mixed
			if s := got[at : at+SectorSize]; bytes.Count(s, []byte{1}) != SectorSize && bytes.Count(s, []byte{2}) != SectorSize {
				t.Fatalf("the sector at %d is neither old nor new", at)
			} else if s[0] == 1 {
				old++
			}
		}
		if _, err := after.Open("/unsynced"); err != nil {
			gone++
		}
		if string(content(t, f)[1000:1001]) != "\x02" {
			t.Fatal("the crash harmed the system that goes on")
		}
	}
	if sectors := 300 * 5; old < sectors/4 || old > sectors*3/4 || gone < 75 || gone > 225 {
		t.Errorf("%d of %d sectors kept their old bytes, %d of 300 unsynced names were gone: want about half", old, sectors, gone)
	}
}

func TestCrashOfNamesKeepsTheirOrder(t *testing.T) {
	rng := newRand(t)
	seen := map[int]bool{}
	for range 200 {
		m := NewMem()
		for _, name := range []string{"/0", "/1", "/2", "/3"} {
			must[File](t)(m.Create(name))
		}
		after := m.Crash(rng, 0.7)
		n := len(names(t, after, "/"))
		for i, name := range names(t, after, "/") {
			if name[0] != byte('0'+i) {
				t.Fatalf("%v: a later name without an earlier one", names(t, after, "/"))
			}
		}
		seen[n] = true
	}
	if len(seen) != 5 {
		t.Errorf("only %v names survived, ever", seen)
	}
}

func TestSyncedRenameReplaces(t *testing.T) {
	rng := newRand(t)
	m := NewMem()
	write := func(name, text string) {
		f := must[File](t)(m.Create(name))
		if err := f.WriteVec([][]byte{[]byte(text)}, 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	write("/f", "old")
	if err := m.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	write("/f.new", "new")
	if err := m.Rename("/f.new", "/f"); err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for range 100 {
		got[string(content(t, must[File](t)(m.Crash(rng, 0.7).Open("/f"))))]++
	}
	if got["old"] == 0 || got["new"] == 0 || len(got) != 2 {
		t.Errorf("%v: before the sync of the folder it is one or the other", got)
	}
	if err := m.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	if text := string(content(t, must[File](t)(m.Crash(rng, 0).Open("/f")))); text != "new" {
		t.Errorf("%q after the sync", text)
	}
}

func TestUnsyncedChangesFollowTheirFolder(t *testing.T) {
	m := NewMem()
	if err := m.MkdirAll("/d/old"); err != nil {
		t.Fatal(err)
	}
	must[File](t)(m.Create("/d/old/f"))
	for _, dir := range []string{"/", "/d", "/d/old"} {
		if err := m.SyncDir(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Remove("/d/old/f"); err != nil { // not synced
		t.Fatal(err)
	}
	if err := m.Rename("/d/old", "/d/away"); err != nil {
		t.Fatal(err)
	}
	if err := m.MkdirAll("/d/old"); err != nil { // another folder of that name
		t.Fatal(err)
	}
	must[File](t)(m.Create("/d/old/f"))
	for _, dir := range []string{"/d", "/d/old"} {
		if err := m.SyncDir(dir); err != nil {
			t.Fatal(err)
		}
	}
	after := m.Crash(rand.New(rand.NewPCG(1, 1)), 0)
	if _, err := after.Open("/d/old/f"); err != nil {
		t.Error("the removal of another folder's file struck this one:", err)
	}
}
