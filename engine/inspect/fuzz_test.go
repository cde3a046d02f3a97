package inspect_test

import (
	"errors"
	"maps"
	"path"
	"slices"
	"testing"

	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/inspect"
)

func sorted(m map[string][]byte) []string { return slices.Sorted(maps.Keys(m)) }

// fuzzNames are one name of each kind; the last ones are known by their bytes only.
var fuzzNames = []string{
	"checkpoint", ".lock", "00000000000000000003.commit", "1.spare", "log.meta", "recap", "00000000000000000000.log", "00000000000000000000.index",
	"00000000000000000000.timeindex", "00000000000000000000.seal", "checkpoint.tmp", "00000000000000000000.log.deleted", "recap.damaged2",
	"0.log", "unknown",
}

// FuzzFile: V2 and V3, for every kind of name; beside the file lies a good segment, and above it a checkpoint of the same bytes.
func FuzzFile(f *testing.F) {
	all := whole(f)
	log := all["/d/orders-0/00000000000000000000.log"]
	seen := map[string]bool{}
	for _, name := range sorted(all) {
		b := all[name]
		if ext := path.Ext(name); len(b) < 1<<20 && !seen[ext+path.Base(path.Dir(name))] {
			seen[ext+path.Base(path.Dir(name))] = true
			for k, n := range fuzzNames {
				if path.Ext(n) == ext || n == path.Base(name) {
					f.Add(uint8(k), b[:min(len(b), 32<<10)])
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		name := fuzzNames[int(kind)%len(fuzzNames)]
		m := map[string][]byte{"/d/checkpoint": b, "/d/l/00000000000000000000.log": log, "/d/l/log.meta": all["/d/orders-0/log.meta"]}
		m["/d/l/"+name] = b
		m["/d/commit/00000000000000000003.commit"] = b
		fs := diskOf(t, m)
		for _, o := range []inspect.Options{{Verify: true}, {Records: true, Values: true, DecodeLimit: 1 << 20}, {Max: 2, From: 3}} {
			err := inspect.File(inspect.ReadOnly(fs), "/d/l/"+name, o, &gathered{})
			if err != nil && !errors.Is(err, inspect.ErrUnknown) {
				t.Fatalf("%s: %v", name, err)
			}
			if err := inspect.Path(inspect.ReadOnly(fs), "/d", o, &gathered{}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestReadErrorsAreErrors: what cannot be read is not called good, and not called damaged, but for what the disk itself says is.
func TestReadErrorsAreErrors(t *testing.T) {
	all := whole(t)
	for _, name := range sorted(all) {
		broken := disk.Inject(diskOf(t, all), func(op disk.Op, n string) error {
			if op == "read" && n == name {
				return errInjected
			}
			return nil
		})
		err := inspect.Path(inspect.ReadOnly(broken), name, inspect.Options{Records: true}, &gathered{})
		if !errors.Is(err, errInjected) && len(all[name]) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var errInjected = errors.New("injected")
