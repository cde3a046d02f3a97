package txn

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"math"
	"path"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

// four aborted transactions of a segment that holds [5, 60). The third was open while the others ran.
func four() []Aborted {
	return []Aborted{{1, 3, 10, 2}, {2, 20, 25, 13}, {1, 13, 30, 31}, {3, 40, 50, 51}}
}

func indexOf(entries []Aborted) (x Index) {
	for _, a := range entries {
		x.Add(a)
	}
	return x
}

func TestCollect(t *testing.T) {
	x := indexOf(four())
	for _, c := range []struct {
		what        string
		from, upper batch.Offset
		want        []batch.Offset // Last of those found
		done        bool
	}{
		{"before all", 0, 2, nil, true},
		{"up to a first record", 0, 3, nil, true},
		{"with a first record", 0, 4, []batch.Offset{10}, true},
		{"from a marker on", 10, 12, []batch.Offset{10}, true},
		{"from behind a marker on", 11, 12, nil, true},
		{"what began before and ends after", 15, 18, []batch.Offset{30}, true},
		{"all", 0, 51, []batch.Offset{10, 25, 30, 50}, true},
		{"above what was stable at the last marker", 0, 52, []batch.Offset{10, 25, 30, 50}, false},
		{"behind all", 51, 55, nil, false},
		{"behind all, known to be all", 51, 51, nil, true},
		{"nothing", 28, 28, []batch.Offset{30}, true},
	} {
		got, done := x.Collect([]Aborted{{ProducerID: 77}}, c.from, c.upper)
		var lasts []batch.Offset
		for _, a := range got[1:] {
			lasts = append(lasts, a.Last)
		}
		if got[0].ProducerID != 77 || !slices.Equal(lasts, c.want) || done != c.done {
			t.Errorf("%s, [%d, %d): %v, done %t; want %v, %t", c.what, c.from, c.upper, lasts, done, c.want, c.done)
		}
	}
	var none Index
	if got, done := none.Collect(nil, 0, 9); got != nil || done {
		t.Errorf("of no entries: %v %t", got, done)
	}
}

func TestCollectAllocatesNothing(t *testing.T) {
	x := indexOf(four())
	dst := make([]Aborted, 0, 4)
	if n := testing.AllocsPerRun(100, func() {
		if got, _ := x.Collect(dst, 0, 51); len(got) != 4 {
			t.Errorf("%v", got)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAddRefusesDisorder(t *testing.T) {
	for what, bad := range map[string]Aborted{
		"the same marker":                   {4, 41, 50, 51},
		"a marker before the last":          {4, 41, 49, 51},
		"a last stable offset that falls":   {4, 41, 55, 50},
		"a last stable offset not yet":      {4, 41, 55, 57},
		"an end before the start":           {4, 60, 55, 56},
		"an end at the start":               {4, 55, 55, 56},
		"a start before all":                {4, -1, 55, 56},
		"no producer":                       {-1, 41, 55, 56},
		"the end of all offsets, and after": {4, 41, math.MaxInt64, math.MinInt64},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s was taken", what)
				}
			}()
			x := indexOf(four())
			x.Add(bad)
		}()
	}
}

// A segment that was rebuilt without those before it knows of later last stable offsets than the one behind it, which was not.
func TestCarry(t *testing.T) {
	x := indexOf([]Aborted{{1, 3, 10, 11}})
	x.Carry(Aborted{2, 20, 25, 2})
	x.Carry(Aborted{1, 30, 35, 36})
	if want := []Aborted{{1, 3, 10, 11}, {2, 20, 25, 11}, {1, 30, 35, 36}}; !slices.Equal(x.Entries(), want) {
		t.Errorf("%v, want %v", x.Entries(), want)
	}
	defer func() {
		if recover() == nil {
			t.Error("a marker before the last was taken")
		}
	}()
	x.Carry(Aborted{2, 20, 34, 36})
}

func TestEntriesStayAsTheyAre(t *testing.T) {
	x := indexOf(four()[:3])
	given := x.Entries()
	x.Add(four()[3])
	if _ = append(given, Aborted{}); !slices.Equal(given, four()[:3]) || !slices.Equal(x.Entries(), four()) {
		t.Errorf("%v, and now %v", given, x.Entries())
	}
}

func TestFullIsToBeRolled(t *testing.T) {
	x := Index{entries: make([]Aborted, MaxAborted-1)}
	if x.Full() {
		t.Error("full before it is")
	}
	if x.entries = append(x.entries, Aborted{}); !x.Full() || x.Len() != MaxAborted {
		t.Error("not full")
	}
}

// TestFileIsKafkas: the bytes are read by Kafka and its tools.
func TestFileIsKafkas(t *testing.T) {
	d := disk.NewMem()
	sum, err := WriteFile(d, "/", 5, four()[:2])
	if err != nil {
		t.Fatal(err)
	}
	b, err := disk.ReadFile(d, "/00000000000000000005.txnindex", 1000)
	if err != nil {
		t.Fatal(err)
	}
	const want = "0000" + "0000000000000001" + "0000000000000003" + "000000000000000a" + "0000000000000002" +
		"0000" + "0000000000000002" + "0000000000000014" + "0000000000000019" + "000000000000000d"
	if got := hex.EncodeToString(b); got != want || sum != (Sum{Entries: 2, CRC: 0x0ce30dae}) {
		t.Errorf("%s, want\n%s; sum %d %08x", got, want, sum.Entries, sum.CRC)
	}
}

func TestWriteAndRead(t *testing.T) {
	for name, d := range map[string]disk.FS{"os": disk.OS{}, "mem": disk.NewMem()} {
		dir := path.Join(t.TempDir(), name)
		if err := d.MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
		for _, entries := range [][]Aborted{four(), four()[:1], nil, four(), nil} {
			sum, err := WriteFile(d, dir, 5, entries)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range []*Sum{nil, &sum} {
				x, err := ReadFile(d, dir, 5, Bounds{Size: 61 * 4, Next: 60, Sum: s})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(entries, x.Entries()); diff != "" && len(entries)+x.Len() > 0 {
					t.Error(diff)
				}
			}
			files, err := d.ReadDir(dir)
			if want := min(len(entries), 1); err != nil || len(files) != want || sum.Entries != uint32(len(entries)) {
				t.Errorf("%s: %d entries, %v, %v", name, len(entries), files, err)
			}
		}
	}
}

func TestReadRefuses(t *testing.T) {
	encoded := appendEntries(nil, four())
	b := Bounds{Size: 61 * 4, Next: 60}
	sum := sumOf(encoded)
	change := func(at int, v byte) []byte { c := slices.Clone(encoded); c[at] = v; return c }
	put := func(content []byte) disk.FS {
		d := disk.NewMem()
		if err := disk.ReplaceFile(d, Name("/", 5), content); err != nil {
			t.Fatal(err)
		}
		return d
	}
	for what, content := range map[string][]byte{
		"half an entry":                 encoded[:len(encoded)-17],
		"a byte more":                   append(slices.Clone(encoded), 0),
		"another version":               change(1, 1),
		"a negative producer":           change(2, 0x80),
		"a negative first offset":       change(10, 0x80),
		"a first offset at the last":    change(17, 10),
		"a last offset before the base": change(25, 4),
		"a last offset that falls":      change(34+25, 9),
		"a last offset at the end":      change(3*34+25, 60),
		"a stable offset that falls":    change(34+33, 1),
		"a stable offset not yet":       change(3*34+33, 52),
		"entries that fall":             append(slices.Clone(encoded[34:]), encoded[:34]...),
		"nothing but zeros":             make([]byte, 34*4),
	} {
		for _, s := range []*Sum{nil, &sum} {
			b.Sum = s
			if _, err := ReadFile(put(content), "/", 5, b); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s (sum %t): %v", what, s != nil, err)
			}
		}
	}
	b.Sum = nil
	if _, err := ReadFile(put(encoded), "/", 5, Bounds{Size: 61*4 - 1, Next: 60}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("more entries than batches: %v", err)
	}
	if x, err := ReadFile(disk.NewMem(), "/", 5, b); err != nil || x.Len() != 0 {
		t.Errorf("no file: %v", err)
	}
	b.Sum = &sum
	if _, err := ReadFile(disk.NewMem(), "/", 5, b); !errors.Is(err, ErrCorrupt) {
		t.Errorf("no file, though it was sealed with one: %v", err)
	}
	for i := range encoded {
		if _, err := ReadFile(put(change(i, encoded[i]^1<<(i%8))), "/", 5, b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	broken := disk.Inject(put(encoded), func(op disk.Op, _ string) error {
		if op == "read" {
			return errors.New("broken")
		}
		return nil
	})
	if _, err := ReadFile(broken, "/", 5, b); err == nil || errors.Is(err, ErrCorrupt) {
		t.Errorf("a disk that does not read: %v", err)
	}
}

// TestWriteFails: the disk's errors come through, and no half of a file stays under any name.
func TestWriteFails(t *testing.T) {
	for _, op := range []disk.Op{"create", "write", "sync", "rename", "remove"} {
		mem := disk.NewMem()
		d := disk.Inject(mem, func(o disk.Op, _ string) error {
			if o == op {
				return fs.ErrPermission
			}
			return nil
		})
		for _, entries := range [][]Aborted{four(), nil} {
			_, err := WriteFile(d, "/", 5, entries)
			if fails := entries != nil || op == "remove"; errors.Is(err, fs.ErrPermission) != fails {
				t.Errorf("%s, %d entries: %v", op, len(entries), err)
			}
		}
		if files, _ := mem.ReadDir("/"); len(files) > 0 {
			t.Errorf("%s: %v are left", op, files)
		}
	}
}

func TestSnapshotsRefuse(t *testing.T) {
	good := someTable().Append(nil) // open: 1 at 0, 4 at 4; ended: 1 to 3, 2 to 5
	if len(good) != 8+2*18+2*16 {
		t.Fatalf("%d bytes", len(good))
	}
	change := func(at int, v byte) []byte { c := slices.Clone(good); c[at] = v; return c }
	for what, b := range map[string][]byte{
		"no header":                 good[:7],
		"more open than there are":  change(0, 200),
		"very many":                 change(3, 0xff),
		"more ended than there are": change(4, 200),
		"more ended than are kept":  append(append([]byte{0, 0, 0, 0, 1, 4, 0, 0}, good[8:]...), make([]byte, 1<<20)...),
		"a negative producer":       change(15, 0x80),
		"a negative first offset":   change(23, 0x80),
		"a negative epoch":          change(25, 0x80),
		"a producer twice":          change(26, 1),
		"first offsets that fall":   change(34, 0),
		"a first offset at the end": change(34, 6),
		"an end before its start":   change(44+8, 1),
		"an end at the end":         change(60+8, 6),
		"ends that fall":            change(60+8, 3),
		"starts of ended that fall": change(60, 1),
		"a negative start":          change(44+7, 0x80),
		"an end beyond all offsets": change(60+15, 0x7f),
		"an end before all offsets": change(60+15, 0x80),
		"it ends in the middle":     good[:len(good)-1],
		"it ends in an open one":    good[:20],
		"entries of another log":    good, // read as of one that ends before
	} {
		next := batch.Offset(6)
		if what == "entries of another log" {
			next = 5
		}
		if _, _, err := Parse(b, next); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := Parse(good, 6); err != nil {
		t.Error(err)
	}
	for what, b := range map[string][]byte{
		"no count":              {1, 0, 0},
		"more than there are":   {1, 0, 0, 0, 0, 0},
		"very many":             {0xff, 0xff, 0xff, 0xff},
		"what is no entry":      append([]byte{1, 0, 0, 0}, make([]byte, 34)...),
		"an entry beyond":       (&Index{entries: []Aborted{{1, 3, 60, 4}}}).AppendBefore(nil, 1<<62),
		"an entry of one below": (&Index{entries: []Aborted{{1, 3, 4, 4}}}).AppendBefore(nil, 1<<62),
	} {
		if x, _, err := ParseIndex(b, 5, 60); !errors.Is(err, ErrCorrupt) || x.Len() > 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
}
