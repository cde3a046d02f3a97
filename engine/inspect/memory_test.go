package inspect_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/inspect"
)

// TestMemoryIsBounded: V2, for a batch of 200 MiB in a file of holes, and for counts that no file can hold.
func TestMemoryIsBounded(t *testing.T) {
	dir := t.TempDir()
	huge := filepath.Join(dir, "00000000000000000000.log")
	h := make([]byte, batch.HeaderSize)
	binary.BigEndian.PutUint32(h[8:], 200<<20-batch.Overhead)
	h[16] = 2
	must(t, os.WriteFile(huge, h, 0o600))
	must(t, os.Truncate(huge, 200<<20))
	recap := filepath.Join(dir, "recap")
	b := append([]byte("SBRECAP1"), make([]byte, 93)...)
	for i := range 93 {
		b[8+i] = 0xff
	}
	must(t, os.WriteFile(recap, b, 0o600))
	for _, name := range []string{huge, recap} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		g := look(t, disk.OS{}, name, inspect.Options{Records: true})
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
			t.Errorf("%s: %d MiB were allocated", name, n>>20)
		}
		if len(g.damage()) == 0 {
			t.Errorf("%s: no damage", name)
		}
	}
}
