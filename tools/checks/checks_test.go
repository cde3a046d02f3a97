package checks

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/streambus/streambus/tools/cpufreq"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// machine makes a /proc and a /sys of these files.
func machine(t *testing.T, files map[string]string) system {
	t.Helper()
	s := system{root: t.TempDir()}
	for name, text := range files {
		file := s.path(name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// holds checks what a result says; a result that does not hold must say what to do.
func holds(t *testing.T, r Result, passed bool, severity Severity, current string) {
	t.Helper()
	if r.Passed != passed || r.Severity != severity || !strings.Contains(r.Current, current) || r.Required == "" || r.Condition == "" {
		t.Errorf("%+v: want passed %t, %s, current %q", r, passed, severity, current)
	}
	if r.Passed == (r.Do != "") {
		t.Errorf("%+v: what to do is said exactly when the condition does not hold", r)
	}
}

func TestShares(t *testing.T) {
	a := procfs.CPUStat{User: 10, System: 5, Idle: 100, Steal: 1}
	b := procfs.CPUStat{User: 12, System: 6, Idle: 105, Steal: 3}
	busy, steal, ok := shares(a, b)
	if !ok || busy != .3 || steal != .2 {
		t.Errorf("busy %v steal %v %t, want .3, .2", busy, steal, ok)
	}
	if _, _, ok := shares(a, a); ok {
		t.Error("no time has passed, so there is no share")
	}
}

func TestPressure(t *testing.T) {
	psi := func(avg string) string { return "some avg10=" + avg + " avg60=0.00 avg300=0.00 total=1" }
	s := machine(t, map[string]string{"proc/pressure/io": psi("35.50"), "proc/pressure/cpu": psi("1.25")})
	holds(t, s.pressure("io"), false, Warning, "35.5 %")
	holds(t, s.pressure("cpu"), true, Warning, "1.2 %")
	holds(t, s.pressure("memory"), true, Warning, unknown)
}

func TestKernelSettings(t *testing.T) {
	const clock, pages, maps = "sys/devices/system/clocksource/clocksource0/current_clocksource", "sys/kernel/mm/transparent_hugepage/enabled", "proc/sys/vm/max_map_count"
	good := machine(t, map[string]string{clock: "tsc", pages: "always [madvise] never", maps: "1048576",
		"proc/meminfo": "MemTotal: 1000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB"})
	holds(t, good.clockSource(), true, Warning, "tsc")
	holds(t, good.hugePages(), true, Warning, "madvise")
	holds(t, good.maps(), true, Warning, "1048576")
	holds(t, good.swap(), true, Warning, "there is none")
	bad := machine(t, map[string]string{clock: "hpet", pages: "[always] madvise never", maps: "65530",
		"proc/meminfo": "SwapTotal: 2048 kB\nSwapFree: 1024 kB"})
	holds(t, bad.clockSource(), false, Warning, "hpet")
	holds(t, bad.hugePages(), false, Warning, "always")
	holds(t, bad.maps(), false, Warning, "65530")
	holds(t, bad.swap(), false, Warning, "1.0 MiB")
	nothing := machine(t, nil)
	for _, r := range []Result{nothing.clockSource(), nothing.hugePages(), nothing.maps(), nothing.swap()} {
		holds(t, r, true, Warning, unknown)
	}
}

func TestGovernor(t *testing.T) {
	on, off := true, false
	for _, c := range []struct {
		name     string
		state    cpufreq.State
		err      error
		at       int // which result
		passed   bool
		severity Severity
		current  string
	}{
		{"none", cpufreq.State{}, nil, 0, true, Warning, "no cpufreq"},
		{"unreadable", cpufreq.State{}, fs.ErrPermission, 0, false, Stop, "permission"},
		{"capped", cpufreq.State{Policies: []cpufreq.Policy{{Name: "policy0", Governor: "performance", MaxKHz: 1e6, HardwareMaxKHz: 2e6}}}, nil, 1, false, Warning, "1000 MHz"},
		{"turbo", cpufreq.State{Policies: []cpufreq.Policy{{Governor: "performance"}}, Boost: &on}, nil, 1, false, Warning, "on"},
		{"no turbo", cpufreq.State{Policies: []cpufreq.Policy{{Governor: "performance"}}, Boost: &off}, nil, 1, true, Warning, "off"},
		{"slow", cpufreq.State{Policies: []cpufreq.Policy{{Governor: "powersave", Driver: "acpi-cpufreq"}}}, nil, 0, false, Stop, "powersave"},
		{"adaptive", cpufreq.State{Policies: []cpufreq.Policy{{Governor: "powersave", Driver: "amd-pstate-epp"}}}, nil, 0, false, Warning, "powersave"},
	} {
		t.Run(c.name, func(t *testing.T) { holds(t, Governor(c.state, c.err)[c.at], c.passed, c.severity, c.current) })
	}
}

// mounts is a machine whose process has these mounts.
func mounts(t *testing.T, lines ...string) system {
	s := machine(t, map[string]string{"proc/7/mountinfo": strings.Join(lines, "\n")})
	if err := os.Symlink("7", s.path("proc/self")); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFileSystem(t *testing.T) {
	s := mounts(t,
		"1 1 8:1 / / rw,relatime shared:1 - btrfs /dev/sda1 rw",
		"2 1 8:2 / /data rw,noatime - ext4 /dev/sdb rw,data=ordered",
		"3 1 8:3 / /fast rw - xfs /dev/sdc rw,nobarrier",
		"4 1 0:9 / /mem rw - tmpfs tmpfs rw",
		"5 1 8:4 / /slow rw,sync - ext4 /dev/sdd rw,data=journal")
	for _, c := range []struct {
		dir             string
		kind, options   bool
		kindIs, stopped Severity
		current         string
	}{
		{"/data/streambus", true, true, Warning, Warning, "ext4 on /data"},
		{"/database", false, true, Warning, Warning, "btrfs on /"}, // /data is not above it
		{"/fast", true, false, Warning, Stop, "xfs on /fast"},
		{"/mem/x", false, true, Stop, Warning, "tmpfs on /mem"},
		{"/slow", true, false, Warning, Warning, "ext4 on /slow"},
	} {
		r := s.fileSystem(c.dir)
		holds(t, r[0], c.kind, c.kindIs, c.current)
		holds(t, r[1], c.options, c.stopped, "")
	}
}

func TestDisk(t *testing.T) {
	dir := t.TempDir()
	all := disk(context.Background(), dir, 1, 1)
	if len(all) != 3 || !all[0].Passed || !all[1].Passed || all[1].Required != ">= 1 B/s" || !strings.Contains(all[2].Current, "median") {
		t.Errorf("%+v", all)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the probe has left %v %v", left, err)
	}
	all = disk(context.Background(), dir, 1<<60, 1<<50)
	holds(t, all[0], false, Stop, "iB")
	holds(t, all[1], false, Stop, "/s")
	holds(t, disk(context.Background(), filepath.Join(dir, "missing"), 1, 0)[0], false, Stop, "no such file")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := probe(ctx, dir, 1<<30); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted probe: %v", err)
	}
}

func TestNetwork(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	all := network(context.Background(), cluster.ListenAddrs()[0], nil, true)
	if len(all) != 2 || !strings.Contains(all[0].Current, "median") || !all[1].Passed || !strings.Contains(all[1].Current, "there and") {
		t.Errorf("%+v", all)
	}
}

func TestNetworkRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // answers with nonsense, then refuses
		defer close(done)
		if c, err := l.Accept(); err == nil {
			_, _ = c.Read(make([]byte, 1<<10)) // a connection closed with unread bytes is reset
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_ = c.Close()
		}
	}()
	holds(t, network(context.Background(), l.Addr().String(), nil, false)[0], false, Stop, "no Kafka broker")
	_ = l.Close()
	<-done
	holds(t, network(context.Background(), l.Addr().String(), nil, false)[0], false, Stop, "refused")
}

func TestHouse(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path != "/metrics" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer web.Close()
	ctx, dir := context.Background(), t.TempDir()
	holds(t, monitoring(ctx, web.URL+"/metrics"), true, Warning, "0 B")
	holds(t, monitoring(ctx, web.URL+"/"), false, Warning, "404")
	holds(t, baseline(dir), false, Warning, "none")
	plan := filepath.Join(dir, "2026-01-01-plan.txt")
	if err := os.WriteFile(plan, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	holds(t, baseline(dir), true, Warning, "plan.txt")
	holds(t, rollback(plan), false, Warning, "empty")
	if err := os.WriteFile(plan, []byte("stop it"), 0o644); err != nil {
		t.Fatal(err)
	}
	holds(t, rollback(plan), true, Warning, "plan.txt")
	holds(t, rollback(""), false, Warning, "none")
	holds(t, rollback(filepath.Join(dir, "x")), false, Warning, "no such file")
	if all := house(ctx, Options{Brokers: []string{"127.0.0.1:1"}, Checklist: true}); len(all) != 2 || !strings.Contains(all[0].Condition, "http://127.0.0.1:9644/metrics") {
		t.Errorf("%+v", all)
	}
}

func TestRing(t *testing.T) {
	r := uring()
	if r.Passed == (r.Do != "") {
		t.Errorf("%+v", r)
	}
	t.Logf("io_uring: %s", r.Current)
}

// TestRunReal goes over this machine, whatever it is.
func TestRunReal(t *testing.T) {
	all := Run(context.Background(), Options{Window: time.Millisecond, Dir: t.TempDir(), Checklist: true, Baseline: "x"})
	seen := map[string]bool{}
	for _, r := range all {
		if seen[r.Condition] || r.Condition == "" || r.Current == "" || r.Required == "" || r.Passed == (r.Do != "") {
			t.Errorf("%+v", r)
		}
		seen[r.Condition] = true
	}
	if quick := Quick(context.Background()); len(quick) < 8 || len(quick) >= len(all) {
		t.Errorf("%d quick of %d", len(quick), len(all))
	}
}

func TestTable(t *testing.T) {
	all := []Result{{"a", "1", "1", Warning, true, ""}, {"b", "1", "2", Stop, false, "mend it"}}
	var b bytes.Buffer
	if err := Table(&b, all); err != nil {
		t.Fatal(err)
	}
	want := "CONDITION  REQUIRED  CURRENT  SEVERITY  PASSED\na          1         1        warning   true\nb          1         2        fatal     false\n\nb: mend it\n"
	if b.String() != want {
		t.Errorf("%s", b.String())
	}
	if !Fatal(all) || Fatal(all[:1]) {
		t.Error("fatal is what is fatal and does not hold")
	}
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{"4096": 4096, "10GiB": 10 << 30, "1.5 KiB": 1536, "200MB/s": 2e8, "3 B": 3, "7kB": 7000} {
		if n, err := ParseBytes(text); err != nil || n != want {
			t.Errorf("%q: %d, %v; want %d", text, n, err, want)
		}
	}
	for _, text := range []string{"", "GiB", "-1", "NaN", "1e30TiB", "10 apples"} {
		if n, err := ParseBytes(text); err == nil {
			t.Errorf("%q: %d", text, n)
		}
	}
}
