package main

import (
	"runtime/debug"
	"testing"
)

// TestAbout: a release says which it is by its tag alone, without flags of the linker.
func TestAbout(t *testing.T) {
	info := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}}}
	if b := about(info); b.Version != "v1.2.3" || b.Commit != "abc" || !b.Dirty {
		t.Errorf("a release says %+v", b)
	}
	if b := about(nil); b.Version != "unknown" || b.Commit != "unknown" || b.Dirty {
		t.Errorf("a program without build information says %+v", b)
	}
}
