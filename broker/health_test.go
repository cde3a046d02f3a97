package broker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/streambus/streambus/broker/internal/stat"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/disk"
)

func TestEveryStageHasItsReason(t *testing.T) {
	h := newHealth("")
	for _, c := range []struct {
		stage stat.State
		code  string
	}{{stat.Starting, "starting"}, {stat.Recovering, "recovering"}, {stat.Ready, ""}, {stat.Draining, "draining"}} {
		h.enter(c.stage)
		r := h.Ready()
		if r.Ready != (c.code == "") || r.State != string(c.stage) || r.Ready != (len(r.Reasons) == 0) {
			t.Errorf("%s: %+v", c.stage, r)
		}
		if c.code != "" && (r.Reasons[0].Code != c.code || r.Reasons[0].Message == "") {
			t.Errorf("%s: %+v", c.stage, r.Reasons)
		}
		if err := h.Alive(); err != nil {
			t.Errorf("%s: %v", c.stage, err)
		}
	}
}

// TestUnwritableDirectoryIsTold: a data directory that is gone, or was mounted read-only, is neither healthy nor ready.
func TestUnwritableDirectoryIsTold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	h := newHealth(dir)
	h.enter(stat.Ready)
	e, err := engine.Open(t.Context(), engine.Options{Dir: "/d", FS: disk.NewMem(), CommitFileBytes: 64 << 10, ReserveBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	h.engine.Store(e)
	if err := h.Alive(); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("without the directory: %v", err)
	}
	if r := h.Ready(); r.Ready || r.Reasons[0].Code != "disk_unwritable" {
		t.Errorf("%+v", r)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := h.Alive(); err != nil || !h.Ready().Ready {
		t.Errorf("with it: %v, %+v", err, h.Ready())
	}
}
