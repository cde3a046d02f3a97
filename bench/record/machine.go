package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/streambus/streambus/tools/checks"
)

// configuration is the lines above the results, in order.
type configuration struct{ keys, values []string }

func (c *configuration) set(key, value string) {
	if value = strings.Join(strings.Fields(value), " "); value == "" {
		value = "unknown"
	}
	c.keys, c.values = append(c.keys, key), append(c.values, value)
}

func (c *configuration) value(key string) string {
	for i, k := range c.keys {
		if k == key {
			return c.values[i]
		}
	}
	return ""
}

// String gives the lines of the Go benchmark format: a key begins with a lower-case letter and has no space.
func (c *configuration) String() string {
	var b strings.Builder
	for i, k := range c.keys {
		fmt.Fprintf(&b, "%s: %s\n", k, c.values[i])
	}
	return b.String()
}

// describe says what the results depend on; what cannot be found out is "unknown". The disk is the one that holds dir.
func describe(ctx context.Context, dir string) *configuration {
	c := &configuration{}
	c.set("commit", commit(ctx))
	c.set("date", time.Now().UTC().Format(time.RFC3339))
	c.set("machine", machine())
	c.set("processor", field("/proc/cpuinfo", "model name"))
	c.set("cores", fmt.Sprint(runtime.NumCPU()))
	c.set("memory", field("/proc/meminfo", "MemTotal"))
	c.set("kernel", line("/proc/sys/kernel/osrelease"))
	c.set("governor", governor("/sys/devices/system/cpu"))
	m := mountOf(read("/proc/self/mountinfo"), dir)
	c.set("filesystem", m.describe())
	c.set("disk", m.disk())
	c.set("go", runtime.Version())
	c.set("load", line("/proc/loadavg"))
	c.set("preflight", preflight(checks.Quick(ctx)))
	return c
}

// commit names the commit, and says when the tree differs from it.
func commit(ctx context.Context) string {
	id, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	name := strings.TrimSpace(string(id))
	// What runs themselves write does not change what they measure.
	if changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--", ":/", ":/!bench/results", ":/!docs").Output(); err != nil || len(changed) > 0 {
		name += "-dirty"
	}
	return name
}

// preflight names what is not as a benchmark wants it.
func preflight(all []checks.Result) string {
	var not []string
	for _, r := range all {
		if !r.Passed {
			not = append(not, fmt.Sprintf("%s is %s (%s)", r.Condition, r.Current, r.Required))
		}
	}
	if len(not) == 0 {
		return "passed"
	}
	return strings.Join(not, "; ")
}

func machine() string {
	name := line("/sys/class/dmi/id/sys_vendor") + " " + line("/sys/class/dmi/id/product_name")
	if strings.TrimSpace(name) == "" && strings.Contains(read("/proc/cpuinfo"), "hypervisor") {
		name = "virtual"
	}
	return name + " " + runtime.GOOS + "/" + runtime.GOARCH
}

// governor is the frequency governor of the processors, all of them when they differ; "none" on a machine without.
func governor(cpus string) string {
	files, _ := filepath.Glob(filepath.Join(cpus, "cpu[0-9]*", "cpufreq", "scaling_governor")) // the pattern is good
	var names []string
	for _, f := range files {
		if g := line(f); len(names) == 0 || names[len(names)-1] != g {
			names = append(names, g)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ",")
}

// mount is one line of mountinfo.
type mount struct{ device, point, options, fs, source string }

// mountOf finds the mount that holds dir: the longest mount point that is dir or above it.
func mountOf(mountinfo, dir string) (best mount) {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	for l := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(l, " - ")
		a, b := strings.Fields(before), strings.Fields(after)
		if !ok || len(a) < 6 || len(b) < 2 {
			continue
		}
		m := mount{device: a[2], point: a[4], options: a[5], fs: b[0], source: b[1]}
		if len(b) > 2 {
			m.options += "; " + b[2] // those of the file system itself, such as discard
		}
		inside := m.point == "/" || dir == m.point || strings.HasPrefix(dir, m.point+"/")
		if inside && len(m.point) >= len(best.point) { // a later mount on the same point hides the earlier
			best = m
		}
	}
	return best
}

func (m mount) describe() string {
	if m.fs == "" {
		return ""
	}
	return fmt.Sprintf("%s on %s (%s)", m.fs, m.point, m.options)
}

// disk names the device and what the kernel believes of it.
func (m mount) disk() string {
	if m.source == "" {
		return ""
	}
	sys, err := filepath.EvalSymlinks("/sys/dev/block/" + m.device)
	if err != nil {
		return m.source
	}
	if _, err := os.Stat(filepath.Join(sys, "queue")); err != nil {
		sys = filepath.Dir(sys) // a partition: the queue is its disk's
	}
	out := m.source + " " + line(filepath.Join(sys, "device", "model"))
	for _, what := range []string{"rotational", "write_cache", "scheduler"} {
		if v := line(filepath.Join(sys, "queue", what)); v != "" {
			out += ", " + what + " " + v
		}
	}
	return out
}

// read gives a small file, or nothing.
func read(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	return string(b)
}

func line(name string) string {
	first, _, _ := strings.Cut(read(name), "\n")
	return strings.TrimSpace(first)
}

// field finds "key : value" in a file of /proc.
func field(name, key string) string {
	for s := bufio.NewScanner(strings.NewReader(read(name))); s.Scan(); {
		if k, v, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
