package cpufreq

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake makes a sysfs with these governors, one policy each.
func fake(t *testing.T, governors ...string) Tree {
	t.Helper()
	tree := Tree{Sys: t.TempDir(), Saved: filepath.Join(t.TempDir(), "saved.json")}
	for i, g := range governors {
		name := filepath.Join("cpufreq", "policy"+string(rune('0'+i)))
		put(t, tree, name, "scaling_governor", g)
		put(t, tree, name, "scaling_available_governors", "performance schedutil powersave")
		put(t, tree, name, "scaling_driver", "acpi-cpufreq")
		put(t, tree, name, "affected_cpus", string(rune('0'+i)))
		put(t, tree, name, "scaling_max_freq", "2000000")
		put(t, tree, name, "cpuinfo_max_freq", "3000000")
	}
	return tree
}

func put(t *testing.T, tree Tree, dir, name, value string) {
	t.Helper()
	if err := os.MkdirAll(tree.cpu(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tree.cpu(dir, name), []byte(value+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func governors(t *testing.T, tree Tree) string {
	t.Helper()
	s, err := tree.Read()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range s.Policies {
		all = append(all, p.Governor)
	}
	return strings.Join(all, " ")
}

func TestRead(t *testing.T) {
	tree := fake(t, "schedutil")
	s, err := tree.Read()
	if err != nil {
		t.Fatal(err)
	}
	p := s.Policies[0]
	if p.Name != "policy0" || p.Driver != "acpi-cpufreq" || p.CPUs != "0" || p.MaxKHz != 2e6 || p.HardwareMaxKHz != 3e6 || len(p.Available) != 3 {
		t.Errorf("read %+v", p)
	}
	if s.Boost != nil {
		t.Errorf("boost %v without a file that says so", *s.Boost)
	}
	put(t, tree, "cpufreq", "boost", "1")
	if s, _ = tree.Read(); s.Boost == nil || !*s.Boost || !strings.HasPrefix(s.BoostOff, "echo 0 ") || !strings.HasSuffix(s.BoostOff, "cpufreq/boost") {
		t.Errorf("cpufreq/boost 1 is on: %q", s.BoostOff)
	}
	put(t, tree, "intel_pstate", "no_turbo", "1") // wins: with intel_pstate the other file is not there
	if s, _ = tree.Read(); s.Boost == nil || *s.Boost || !strings.HasPrefix(s.BoostOff, "echo 1 ") || !strings.HasSuffix(s.BoostOff, "intel_pstate/no_turbo") {
		t.Errorf("intel_pstate/no_turbo 1 is off: %q", s.BoostOff)
	}
}

func TestSetAndRestore(t *testing.T) {
	tree := fake(t, "schedutil", "powersave")
	for range 2 { // the second Set must not remember the first one's work
		if err := tree.Set("performance"); err != nil {
			t.Fatal(err)
		}
		if g := governors(t, tree); g != "performance performance" {
			t.Fatalf("governors are %s", g)
		}
	}
	if err := tree.Restore(); err != nil {
		t.Fatal(err)
	}
	if g := governors(t, tree); g != "schedutil powersave" {
		t.Errorf("restored to %s", g)
	}
	if err := tree.Restore(); !errors.Is(err, ErrNothingSaved) {
		t.Errorf("a second Restore: %v", err)
	}
}

func TestSetRefuses(t *testing.T) {
	if err := fake(t).Set("performance"); !errors.Is(err, ErrNone) {
		t.Errorf("no cpufreq: %v", err)
	}
	tree := fake(t, "schedutil")
	err := tree.Set("warp")
	if err == nil || !strings.Contains(err.Error(), "performance, schedutil, powersave") {
		t.Errorf("an unknown governor: %v", err)
	}
	if _, err := os.Stat(tree.Saved); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused Set has remembered something: %v", err)
	}
}

// TestRestoreHostile: a saved file cannot make Restore write elsewhere.
func TestRestoreHostile(t *testing.T) {
	tree := fake(t, "schedutil")
	for _, text := range []string{`{"governors":{"../policy0":"x"}}`, `{"governors":{"policy/../../x":"x"}}`, `not json`} {
		if err := os.WriteFile(tree.Saved, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := tree.Restore(); err == nil || !strings.Contains(err.Error(), "by hand") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestExplain(t *testing.T) {
	err := Explain(&fs.PathError{Op: "open", Path: "scaling_governor", Err: syscall.EACCES}, "governor --set performance")
	if !strings.Contains(err.Error(), "sudo governor --set performance") {
		t.Errorf("no permission: %v", err)
	}
	err = Explain(&fs.PathError{Op: "open", Path: "scaling_governor", Err: syscall.EROFS}, "governor --set performance")
	if !strings.Contains(err.Error(), "on the host") {
		t.Errorf("read-only: %v", err)
	}
}

// TestReal reads the machine's own tree, whatever it has.
func TestReal(t *testing.T) {
	s, err := Tree{Sys: "/sys"}.Read()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.Policies {
		if p.Governor == "" || p.Driver == "" {
			t.Errorf("%+v: no governor or no driver", p)
		}
	}
	t.Logf("%d policies", len(s.Policies))
}
