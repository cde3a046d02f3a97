package deploy

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func text(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// served are the names of metrics and the labels each has: the broker's from docs/METRICS.md, which is made from its tables, loadscript's
// from the comment of its room, and those of the Go runtime and the process that Prometheus' own library adds.
func served(t *testing.T) map[string]metric {
	t.Helper()
	all := map[string]metric{"up": {}}
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z]+) \\| ([^|]*) \\|")
	for _, m := range row.FindAllStringSubmatch(text(t, "../docs/METRICS.md"), -1) {
		all[m[1]] = metric{kind: m[2], labels: strings.FieldsFunc(m[3], func(r rune) bool { return r == ',' || r == ' ' })}
	}
	for _, name := range []string{"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "go_goroutines", "go_memstats_heap_inuse_bytes"} {
		all[name] = metric{}
	}
	line := regexp.MustCompile(`(?m)^//\t([a-z_]+)(?:\{([a-z,]*)\})? +(histogram)?`)
	found := line.FindAllStringSubmatch(text(t, "../loadscript/internal/live/doc.go"), -1)
	for _, m := range found {
		labels := []string{"scenario"}
		if m[2] != "" {
			labels = append(labels, strings.Split(m[2], ",")...)
		}
		all["streambus_benchmark_"+m[1]] = metric{kind: m[3], labels: labels}
	}
	if len(all) < 80 || len(found) < 8 {
		t.Fatalf("only %d metrics are known, %d of them loadscript's: has the form of the documents changed?", len(all), len(found))
	}
	return all
}

type metric struct {
	kind   string
	labels []string
}

// asked are the names in an expression with the labels that are compared in it.
var (
	selector = regexp.MustCompile(`\b((?:streambus|kafka|process|go)_[a-z_]+|up)\b(?:\{([^}]*)\})?`)
	label    = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)\s*"`)
)

// check says what is wrong with an expression.
func check(expr string, all map[string]metric) (wrong []string, names int) {
	for _, m := range selector.FindAllStringSubmatch(expr, -1) {
		names++
		name := m[1]
		known, ok := all[name]
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			if base, cut := strings.CutSuffix(name, part); !ok && cut && all[base].kind == "histogram" {
				known, ok = all[base], true
				known.labels = append(slices.Clone(known.labels), "le")
			}
		}
		if !ok {
			wrong = append(wrong, name+" is not served")
			continue
		}
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			if l[1] != "instance" && l[1] != "job" && !slices.Contains(known.labels, l[1]) {
				wrong = append(wrong, fmt.Sprintf("%s has no label %s", name, l[1]))
			}
		}
	}
	return wrong, names
}

// TestCheck: the check finds what it is there for.
func TestCheck(t *testing.T) {
	all := map[string]metric{"streambus_x_total": {"counter", []string{"topic"}}, "streambus_y_seconds": {"histogram", nil}}
	for expr, want := range map[string]string{
		`rate(streambus_x_total{topic="a",instance=~"b"}[5m])`:              "",
		`histogram_quantile(0.9, sum by (le) (streambus_y_seconds_bucket))`: "",
		`streambus_z`:                  "streambus_z is not served",
		`streambus_x_total{code="a"}`:  "streambus_x_total has no label code",
		`streambus_x_total_bucket > 1`: "streambus_x_total_bucket is not served",
	} {
		if wrong, _ := check(expr, all); strings.Join(wrong, "") != want {
			t.Errorf("%s: %v, want %q", expr, wrong, want)
		}
	}
}

func TestAlerts(t *testing.T) {
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(text(t, "alerts.yml")), &file); err != nil {
		t.Fatal(err)
	}
	all, names := served(t), 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			wrong, n := check(r.Expr, all)
			names += n
			if len(wrong) > 0 || n == 0 {
				t.Errorf("%s: %v (%d metrics)", r.Alert, wrong, n)
			}
			if s := r.Labels["severity"]; s != "page" && s != "ticket" || r.Annotations["summary"] == "" || r.Annotations["do"] == "" {
				t.Errorf("%s: an alert has a severity, a summary and says what to do: %v %v", r.Alert, r.Labels, r.Annotations)
			}
		}
	}
	if names < 12 {
		t.Errorf("only %d metrics are asked for", names)
	}
}

var dashboards = []string{"grafana/brokers.json", "grafana/load.json"}

// dashboard is what is looked at of one.
type dashboard struct {
	Templating struct{ List []struct{ Query string } }
	Panels     []struct {
		ID      int
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr string }
	}
}

func read(t *testing.T, name string) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal([]byte(text(t, name)), &d); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return d
}

func TestDashboards(t *testing.T) {
	all := served(t)
	for _, name := range dashboards {
		d := read(t, name)
		exprs := map[string]string{}
		for _, v := range d.Templating.List {
			exprs["variable "+v.Query] = v.Query
		}
		ids, names := map[int]bool{}, 0
		for i, p := range d.Panels {
			if ids[p.ID] {
				t.Errorf("%s: two panels have the id %d", name, p.ID)
			}
			ids[p.ID] = true
			for j, target := range p.Targets {
				exprs[fmt.Sprintf("%s, query %d", p.Title, j)] = target.Expr
			}
			for _, q := range d.Panels[:i] {
				a, b := p.GridPos, q.GridPos
				if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
					t.Errorf("%s: %q and %q overlap", name, p.Title, q.Title)
				}
			}
		}
		for where, e := range exprs {
			wrong, n := check(e, all)
			names += n
			if len(wrong) > 0 {
				t.Errorf("%s: %s: %v", name, where, wrong)
			}
		}
		if names < 10 {
			t.Errorf("%s: only %d metrics are asked for", name, names)
		}
	}
}

// TestPromtool asks Prometheus itself, where it is installed: also for the queries of the dashboards, as rules with the variables filled in.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (apt-get install prometheus); the files are only read as YAML")
	}
	if out, err := exec.Command(promtool, "check", "config", "prometheus.yml").CombinedOutput(); err != nil { // it reads the rules, too
		t.Errorf("%v\n%s", err, out)
	}
	type rule struct{ Record, Expr string }
	type group struct {
		Name  string
		Rules []rule
	}
	var rules struct{ Groups []group }
	rules.Groups = []group{{Name: "dashboards"}}
	variables := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*", "$scenario", ".*")
	for _, name := range dashboards {
		for _, p := range read(t, name).Panels {
			for _, q := range p.Targets {
				n := len(rules.Groups[0].Rules)
				rules.Groups[0].Rules = append(rules.Groups[0].Rules, rule{fmt.Sprintf("query:%d", n), variables.Replace(q.Expr)})
			}
		}
	}
	b, err := yaml.Marshal(rules)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(promtool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestScrapePorts: the paths are those that are served, on the port that is the default.
func TestScrapePorts(t *testing.T) {
	var file struct {
		Scrape []struct {
			Job    string                       `yaml:"job_name"`
			Path   string                       `yaml:"metrics_path"`
			Static []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal([]byte(text(t, "prometheus.yml")), &file); err != nil {
		t.Fatal(err)
	}
	metrics := text(t, "../docs/METRICS.md")
	for _, s := range file.Scrape {
		if s.Path != "" && !strings.Contains(metrics, "`"+s.Path+"`") {
			t.Errorf("%s: nothing is served at %s", s.Job, s.Path)
		}
		if s.Job != "loadscript" && !strings.Contains(metrics, s.Static[0].Targets[0]) {
			t.Errorf("%s: %s is not the default of http.listeners", s.Job, s.Static[0].Targets[0])
		}
	}
	if len(file.Scrape) != 3 {
		t.Errorf("%d jobs", len(file.Scrape))
	}
}

// section gives the lines KEY=VALUE of the unit.
func unit(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for line := range strings.Lines(text(t, "streambus.service")) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			all[key] = append(all[key], value)
		}
	}
	return all
}

func TestUnit(t *testing.T) {
	u := unit(t)
	for key, want := range map[string]string{
		"Type": "notify", "LimitMEMLOCK": "infinity", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "TimeoutStartSec": "infinity", "StateDirectory": "streambus",
	} {
		if !slices.Contains(u[key], want) {
			t.Errorf("%s is %v, want %s", key, u[key], want)
		}
	}
	filter := strings.Join(u["SystemCallFilter"], " ")
	for _, call := range []string{"io_uring_setup", "io_uring_enter", "io_uring_register"} {
		if !strings.Contains(filter, call) {
			t.Errorf("the unit does not allow %s", call)
		}
	}
	dir, _ := strings.CutPrefix(u["Environment"][0], "STREAMBUS_LOG_DIRS=")
	if dir != "/var/lib/"+u["StateDirectory"][0] {
		t.Errorf("the data directory %s is not the state directory", dir)
	}
}

// TestSystemd asks systemd itself, where it is installed.
func TestSystemd(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd is not installed; the unit is only read as text")
	}
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	there := strings.Replace(text(t, "streambus.service"), "ExecStart=/usr/bin/streambus", "ExecStart="+program, 1) // a program that is there
	file := filepath.Join(dir, "streambus.service")
	if err := os.WriteFile(file, []byte(there), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", "--man=no", file).CombinedOutput(); err != nil || strings.Contains(string(out), file) {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestSeccomp: the profile is an allow list, has io_uring, and has nothing that a broker must never do.
func TestSeccomp(t *testing.T) {
	var p struct {
		DefaultAction string
		Syscalls      []struct {
			Names  []string
			Action string
		}
	}
	if err := json.Unmarshal([]byte(text(t, "seccomp.json")), &p); err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{}
	for _, s := range p.Syscalls {
		for _, n := range s.Names {
			if allowed[n] || s.Action != "SCMP_ACT_ALLOW" {
				t.Errorf("%s: twice, or not allowed (%s)", n, s.Action)
			}
			allowed[n] = true
		}
	}
	if p.DefaultAction != "SCMP_ACT_ERRNO" {
		t.Errorf("the default is %s", p.DefaultAction)
	}
	for _, n := range []string{"io_uring_setup", "io_uring_enter", "io_uring_register", "fdatasync", "cachestat", "pwritev2", "preadv2", "sendfile", "futex", "epoll_pwait"} {
		if !allowed[n] {
			t.Errorf("%s is not allowed", n)
		}
	}
	// A runtime that was not told no-new-privileges (Docker's default) sets the filter first, and becomes the user after it: runc 1.1 and crun
	// 1.8 start no container without these.
	for _, n := range []string{"capget", "capset", "setgid", "setgroups", "setuid", "setresgid", "setresuid"} {
		if !allowed[n] {
			t.Errorf("%s is not allowed, so no container starts by this profile", n)
		}
	}
	for _, n := range []string{"ptrace", "mount", "umount2", "bpf", "kexec_load", "init_module", "setns", "unshare", "userfaultfd", "perf_event_open", "process_vm_readv", "reboot", "keyctl"} {
		if allowed[n] {
			t.Errorf("%s is allowed", n)
		}
	}
}

func TestImage(t *testing.T) {
	d := text(t, "Dockerfile")
	for _, want := range []string{"FROM scratch", "USER 10001:10001", `ENTRYPOINT ["/usr/bin/streambus"]`, `CMD ["broker"]`, "-tags iouring", "-checklinkname=0", "STOPSIGNAL SIGTERM"} {
		if !strings.Contains(d, want) {
			t.Errorf("the Dockerfile has no %s", want)
		}
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(text(t, "../go.mod"))[1]
	if !strings.Contains(d, "golang:"+version+"-") {
		t.Errorf("the Dockerfile does not build with Go %s, as go.mod says", version)
	}
}
