package inspect_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/inspect"
)

// whole is a directory at rest, with what may be flipped in each file without anybody noticing.
func whole(t testing.TB) map[string][]byte {
	t.Helper()
	mem := disk.NewMem()
	s := build(t, mem, "/d")
	for _, name := range []string{"orders-0", "trimmed-0", "cut-0", "loose-0", "timed-0", "ledger-0"} {
		s.sealed(t, name)
	}
	must(t, s.Close())
	return files(t, mem, "/d")
}

// covered says which bytes of a file are pinned by anything.
func covered(t testing.TB, mem disk.FS, name string, size int) func(int) bool {
	switch {
	case strings.HasSuffix(name, ".commit"): // the header, and frames; not the rest of pages, and what an earlier use left
		type span struct{ lo, hi int }
		spans := []span{{0, 48}}
		for _, r := range look(t, mem, name, inspect.Options{}).rows {
			if r.Kind == "frame" {
				lo := int(field(r, "at").(int64))
				spans = append(spans, span{lo, lo + int(field(r, "size").(int64))})
			}
		}
		return func(i int) bool {
			for _, s := range spans {
				if s.lo <= i && i < s.hi {
					return true
				}
			}
			return false
		}
	case strings.HasSuffix(name, ".spare"), strings.HasSuffix(name, ".lock"):
		return func(int) bool { return false }
	}
	return func(i int) bool { return i < size }
}

// TestEveryFlipIsFound: one bit of any byte that anything pins, in every file, is damage, named with its file; and where it is in a
// segment, with bytes and offsets around it.
func TestEveryFlipIsFound(t *testing.T) {
	all := whole(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	mem := diskOf(t, all)
	flips := 0
	for name, b := range all {
		may := covered(t, mem, name, len(b))
		rounds := 60
		if testing.Short() {
			rounds = 10
		}
		for range rounds {
			i := rng.IntN(len(b))
			if strings.HasSuffix(name, ".commit") && rng.IntN(2) == 0 {
				i = rng.IntN(8 << 10) // most of the file is not used
			}
			if !may(i) {
				continue
			}
			flips++
			f, err := mem.Open(name)
			must(t, err)
			must(t, f.WriteVec([][]byte{{b[i] ^ 1<<rng.IntN(8)}}, int64(i)))
			g := look(t, mem, "/d", inspect.Options{Verify: true})
			if !named(g.damage(), name, int64(i)) {
				t.Fatalf("%s: a flip of byte %d of %d is not found: %+v", name, i, len(b), g.findings)
			}
			look(t, mem, name, inspect.Options{Records: true, Values: true})
			must(t, f.WriteVec([][]byte{b[i : i+1]}, int64(i)))
			must(t, f.Close())
		}
	}
	if g := look(t, mem, "/d", inspect.Options{Verify: true}); len(g.findings) > 0 {
		t.Fatalf("all is as it was, and there is %+v", g.findings)
	}
	t.Logf("%d flips in %d files", flips, len(all))
}

// named says that a finding speaks of the byte of the file; for a segment, with offsets.
func named(all []inspect.Finding, name string, i int64) bool {
	for _, f := range all {
		if f.File == name && f.Lo <= i && i < max(f.Hi, f.Lo+1) {
			return !strings.HasSuffix(name, ".log") || f.Lo == f.Hi || f.First != batch.NoOffset
		}
	}
	return false
}

// TestLostAndMixedUpFilesAreFound: each kind of thing that can happen to a whole file.
func TestLostAndMixedUpFilesAreFound(t *testing.T) {
	all := whole(t)
	segments := func(dir string) (out []string) {
		for _, name := range sorted(all) {
			if strings.HasPrefix(name, dir) && path.Ext(name) == ".log" {
				out = append(out, name)
			}
		}
		return out
	}
	orders, cut := segments("/d/orders-0/"), segments("/d/cut-0/")
	if len(orders) < 4 || len(cut) < 2 {
		t.Fatalf("too few segments: %v %v", orders, cut)
	}
	side := func(name, suffix string) string { return strings.TrimSuffix(name, ".log") + suffix }
	for what, c := range map[string]struct {
		do   func(m map[string][]byte)
		file string
		says string
	}{
		"checkpoint deleted":       {func(m map[string][]byte) { delete(m, "/d/checkpoint") }, "/d/checkpoint", "missing"},
		"checkpoint empty":         {func(m map[string][]byte) { m["/d/checkpoint"] = nil }, "/d/checkpoint", "not a checkpoint"},
		"checkpoint cut":           {func(m map[string][]byte) { m["/d/checkpoint"] = m["/d/checkpoint"][:90] }, "/d/checkpoint", "checksum"},
		"meta deleted":             {func(m map[string][]byte) { delete(m, "/d/cut-0/log.meta") }, "/d/cut-0/log.meta", "no log.meta"},
		"meta of another log":      {func(m map[string][]byte) { m["/d/cut-0/log.meta"] = m["/d/orders-0/log.meta"] }, "/d/orders-0/log.meta", "same log"},
		"first segment deleted":    {func(m map[string][]byte) { delete(m, orders[0]) }, "/d/orders-0", "segments are missing"},
		"middle segment deleted":   {func(m map[string][]byte) { delete(m, orders[1]); delete(m, side(orders[1], ".seal")) }, orders[2], "missing"},
		"last segment deleted":     {func(m map[string][]byte) { delete(m, orders[len(orders)-1]) }, orders[len(orders)-1], "missing"},
		"last segment cut":         {func(m map[string][]byte) { last := orders[len(orders)-1]; m[last] = m[last][:len(m[last])-1] }, orders[len(orders)-1], "left"},
		"last segment too long":    {func(m map[string][]byte) { last := orders[len(orders)-1]; m[last] = append(bytes.Clone(m[last]), 0) }, orders[len(orders)-1], "left"},
		"sealed segment cut":       {func(m map[string][]byte) { m[orders[1]] = m[orders[1]][:len(m[orders[1]])-7] }, orders[1], "seal"},
		"sealed segment zeroed":    {func(m map[string][]byte) { m[orders[1]] = make([]byte, len(m[orders[1]])) }, orders[1], "restore"},
		"segments swapped":         {func(m map[string][]byte) { m[orders[0]], m[orders[1]] = m[orders[1]], m[orders[0]] }, orders[0], "restore"},
		"segment of another place": {func(m map[string][]byte) { m[orders[0]] = m[orders[2]] }, orders[0], "sealed"},
		"segment renamed":          {func(m map[string][]byte) { m["/d/orders-0/7.log"] = m[orders[0]]; delete(m, orders[0]) }, "/d/orders-0/7.log", "name"},
		"seals swapped":            {func(m map[string][]byte) { m[side(orders[0], ".seal")] = m[side(orders[1], ".seal")] }, side(orders[0], ".seal"), "mixed up"},
		"seal cut":                 {func(m map[string][]byte) { n := side(orders[0], ".seal"); m[n] = m[n][:4096] }, side(orders[0], ".seal"), "blocks"},
		"index deleted":            {func(m map[string][]byte) { delete(m, side(orders[0], ".index")) }, side(orders[0], ".index"), "not exist"},
		"index cut":                {func(m map[string][]byte) { n := side(orders[0], ".index"); m[n] = m[n][:len(m[n])-8] }, side(orders[0], ".index"), "sealed with"},
		"index without a seal": {func(m map[string][]byte) {
			delete(m, side(orders[0], ".seal"))
			n := side(orders[0], ".index")
			m[n] = m[side(orders[1], ".index")]
		}, side(orders[0], ".index"), "begins at byte"},
		"times without a seal": {func(m map[string][]byte) {
			delete(m, side(orders[0], ".seal"))
			n := side(orders[0], ".timeindex")
			m[n] = m[side(orders[1], ".timeindex")]
		}, side(orders[0], ".timeindex"), "largest time"},
		"folder deleted": {func(m map[string][]byte) { drop(m, "/d/cut-0/") }, "/d/checkpoint", "missing"},
		"folder copied":  {func(m map[string][]byte) { again(m, "/d/cut-0/", "/d/copy-0/") }, "/d/cut-0/log.meta", "same log"},
		"seals of two logs swapped": {func(m map[string][]byte) {
			a, b := side(orders[0], ".seal"), side(cut[0], ".seal")
			m[a], m[b] = m[b], m[a]
		}, side(orders[0], ".seal"), "of log"},
		"last segment's epoch": {func(m map[string][]byte) {
			last := orders[len(orders)-1]
			m[last] = bytes.Clone(m[last])
			m[last][15] ^= 1
		}, orders[len(orders)-1], "add up to"},
		"recap of nothing": {func(m map[string][]byte) { m["/d/cut-0/recap"] = []byte("nonsense") }, "/d/cut-0/recap", "not a recap"},
		"commit-log file renamed": {func(m map[string][]byte) {
			n := commits(m)[0]
			m["/d/commit/00000000000000099999.commit"] = m[n]
			delete(m, n)
		}, "/d/commit/00000000000000099999.commit", "belongs to"},
		"commit-log file cut":    {func(m map[string][]byte) { n := commits(m)[0]; m[n] = m[n][:8192] }, commits(all)[0], "its header says"},
		"commit-log file zeroed": {func(m map[string][]byte) { n := commits(m)[0]; m[n] = make([]byte, len(m[n])) }, commits(all)[0], "no header"},
	} {
		t.Run(what, func(t *testing.T) {
			m := maps.Clone(all)
			c.do(m)
			g := look(t, diskOf(t, m), "/d", inspect.Options{Verify: true})
			for _, f := range g.damage() {
				if f.File == c.file && strings.Contains(f.What, c.says) {
					return
				}
			}
			t.Errorf("nothing says %q of %s: %+v", c.says, c.file, g.findings)
		})
	}
}

// TestCommitLogOfACrash: with the frames of a crash above the checkpoint, a lost one is found, and the last is taken for torn.
func TestCommitLogOfACrash(t *testing.T) {
	mem := disk.NewMem()
	s, err := openStore(mem, "/d")
	must(t, err)
	l, err := s.open("a", 0)
	must(t, err)
	must(t, l.append(30))
	all := files(t, mem, "/d")
	must(t, s.Close())
	name := commits(all)[0]
	var frames []inspect.Row
	for _, r := range look(t, diskOf(t, all), name, inspect.Options{}).rows {
		if r.Kind == "frame" {
			frames = append(frames, r)
		}
	}
	if len(frames) != 30 {
		t.Fatalf("%d frames", len(frames))
	}
	unmark(all, name, frames[29])
	flip := func(i int) *gathered {
		m := maps.Clone(all)
		b := bytes.Clone(m[name])
		b[field(frames[i], "at").(int64)+60] ^= 4
		m[name] = b
		return look(t, diskOf(t, m), "/d", inspect.Options{Verify: true})
	}
	if g := flip(29); len(g.damage()) > 0 || len(g.findings) == 0 || !strings.Contains(g.findings[0].What, "torn") {
		t.Errorf("the last frame: %+v", g.findings)
	}
	at := field(frames[12], "at").(int64)
	if g := flip(12); len(g.damage()) != 1 || g.damage()[0].File != name || g.damage()[0].Lo != at || !strings.Contains(g.damage()[0].What, "flushed") {
		t.Errorf("frame 12: %+v", g.findings)
	}
	m := maps.Clone(all)
	drop(m, "/d/a/")
	if g := look(t, diskOf(t, m), "/d", inspect.Options{Verify: true}); len(g.damage()) == 0 || !strings.Contains(g.damage()[0].What, "folder") {
		t.Errorf("without the folder: %+v", g.findings)
	}
}

// unmark wipes the mark behind the last frame, if it was written already, and says where it stands.
func unmark(all map[string][]byte, name string, last inspect.Row) (at int64) {
	at = field(last, "at").(int64) + field(last, "size").(int64)
	at = (at + disk.PageSize - 1) / disk.PageSize * disk.PageSize
	all[name] = bytes.Clone(all[name])
	clear(all[name][at:][:48])
	return at
}

// TestLostSegmentOfACompactedLog: offsets may be missing, but a whole file may not.
func TestLostSegmentOfACompactedLog(t *testing.T) {
	all := whole(t)
	var logs []string
	for _, name := range sorted(all) {
		if strings.HasPrefix(name, "/d/orders-0/") && path.Ext(name) == ".log" {
			logs = append(logs, name)
		}
	}
	if g := look(t, diskOf(t, all), "/d", inspect.Options{Verify: true, Compacted: true}); len(g.findings) > 0 {
		t.Errorf("%+v", g.findings)
	}
	for i := 1; i+1 < len(logs); i++ {
		m := maps.Clone(all)
		for _, suffix := range []string{".log", ".seal", ".index", ".timeindex"} {
			delete(m, strings.TrimSuffix(logs[i], ".log")+suffix)
		}
		g := look(t, diskOf(t, m), "/d", inspect.Options{Verify: true, Compacted: true})
		if len(g.damage()) != 1 || g.damage()[0].File != logs[i] || !strings.Contains(g.damage()[0].What, "missing") {
			t.Errorf("without %s: %+v", logs[i], g.findings)
		}
	}
}

// TestMarksAreShownAndProve: a mark behind the last frame is a row, and makes damage of what would be a torn write without it.
func TestMarksAreShownAndProve(t *testing.T) {
	mem := disk.NewMem()
	s, err := openStore(mem, "/d")
	must(t, err)
	l, err := s.open("a", 0)
	must(t, err)
	must(t, l.append(3))
	all := files(t, mem, "/d")
	must(t, s.Close())
	name := commits(all)[0]
	var last inspect.Row
	for _, r := range look(t, diskOf(t, all), name, inspect.Options{}).rows {
		if r.Kind == "frame" {
			last = r
		}
	}
	at := field(last, "at").(int64)
	next := unmark(all, name, last)
	lsn := field(last, "lsn").(uint64) + uint64(next-at)
	mark := bytes.Clone(all[name][at : at+48]) // of the same generation
	clear(mark[32:])
	binary.LittleEndian.PutUint64(mark[16:], lsn)
	binary.LittleEndian.PutUint64(mark[24:], lsn)
	binary.LittleEndian.PutUint32(mark[4:], crc32.Checksum(mark[8:], crc32.MakeTable(crc32.Castagnoli)))
	with := func(mark []byte, flipped int64) *gathered {
		m := maps.Clone(all)
		b := bytes.Clone(m[name])
		copy(b[next:], mark)
		b[flipped] ^= 4
		m[name] = b
		if g := look(t, diskOf(t, m), name, inspect.Options{Records: true}); g.kinds["mark"] != 1 && flipped < next && mark != nil {
			t.Errorf("rows %v", g.kinds)
		}
		return look(t, diskOf(t, m), "/d", inspect.Options{Verify: true})
	}
	if g := with(mark, next+100); len(g.findings) > 0 { // nothing lies there
		t.Errorf("%+v", g.findings)
	}
	if g := with(mark, next+20); len(g.damage()) > 0 {
		t.Errorf("a mark that is damaged: %+v", g.findings)
	}
	if g := with(nil, at+60); len(g.damage()) > 0 {
		t.Errorf("without a mark: %+v", g.findings)
	}
	for _, flipped := range []int64{at, at + 5, at + 20, at + 60, at + 150} {
		if g := with(mark, flipped); len(g.damage()) != 1 || g.damage()[0].File != name || !strings.Contains(g.damage()[0].What, "flushed") {
			t.Errorf("byte %d: %+v", flipped, g.findings)
		}
	}
}

// TestGapsOfACompactedLog: a batch that is not there is damage, unless the log is compacted.
func TestGapsOfACompactedLog(t *testing.T) {
	var all []byte
	for i := range 6 {
		b := makeBatch(5 * i) // one record, not compressed
		b.Stamp(batch.Offset(i), 0)
		if i != 3 {
			all = append(all, b...)
		}
	}
	name := "/x/00000000000000000000.log"
	fs := diskOf(t, map[string][]byte{name: all})
	g := look(t, fs, name, inspect.Options{Verify: true})
	if len(g.damage()) != 1 || g.damage()[0].First != 3 || g.damage()[0].Next != 4 {
		t.Errorf("%+v", g.findings)
	}
	if g := look(t, fs, name, inspect.Options{Verify: true, Compacted: true}); len(g.findings) > 0 {
		t.Errorf("compacted: %+v", g.findings)
	}
}

func commits(m map[string][]byte) (out []string) {
	for _, name := range sorted(m) {
		if path.Ext(name) == ".commit" {
			out = append(out, name)
		}
	}
	return out
}

func drop(m map[string][]byte, prefix string) {
	for name := range m {
		if strings.HasPrefix(name, prefix) {
			delete(m, name)
		}
	}
}

func again(m map[string][]byte, from, to string) {
	for name, b := range maps.Clone(m) {
		if rest, ok := strings.CutPrefix(name, from); ok {
			m[to+rest] = b
		}
	}
}
