package checks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/streambus/streambus/tools/cpufreq"
)

// The limits. Each is a bound of noise, not of speed.
const (
	mostBusy     = 0.10 // of the CPUs, by others
	mostSteal    = 0.02 // of the CPUs, taken by the hypervisor
	mostPressure = 10.0 // percent of the last 10 s in which some task waited
	leastFiles   = 65536
	leastMaps    = 262144 // the engine maps both indexes of a sealed segment
	leastLocked  = 8 << 20
)

// load watches how much of the machine others use: the caller is to be idle meanwhile.
func (s system) load(ctx context.Context, window time.Duration) []Result {
	busy := Result{Condition: "CPU used by others", Required: fmt.Sprintf("<= %.0f %%", mostBusy*100), Current: unknown, Severity: Warning, Passed: true}
	steal := Result{Condition: "CPU stolen by the host", Required: fmt.Sprintf("<= %.0f %%", mostSteal*100), Current: unknown, Severity: Warning, Passed: true}
	if b, st, ok := s.watch(ctx, window); ok {
		busy.Current, busy.Passed = percent(b), b <= mostBusy
		steal.Current, steal.Passed = percent(st), st <= mostSteal
		if !busy.Passed {
			busy.Do = "stop what else runs (top -o %CPU shows it), or believe only A/B runs that alternate"
		}
		if !steal.Passed {
			steal.Do = "the host gives this machine less than it shows: take dedicated CPUs, or believe only A/B runs that alternate"
		}
	}
	all := []Result{busy, steal}
	for _, what := range []string{"cpu", "memory", "io"} {
		all = append(all, s.pressure(what))
	}
	return all
}

// watch gives the shares of all CPU time that were used, and stolen, during the window.
func (s system) watch(ctx context.Context, window time.Duration) (busy, steal float64, ok bool) {
	before, err := s.cpuTimes()
	if err != nil {
		return 0, 0, false
	}
	select {
	case <-time.After(window):
	case <-ctx.Done():
		return 0, 0, false
	}
	after, err := s.cpuTimes()
	if err != nil {
		return 0, 0, false
	}
	return shares(before, after)
}

func (s system) cpuTimes() (procfs.CPUStat, error) {
	fs, err := procfs.NewFS(s.path("proc"))
	if err != nil {
		return procfs.CPUStat{}, err
	}
	st, err := fs.Stat()
	return st.CPUTotal, err
}

func shares(a, b procfs.CPUStat) (busy, steal float64, ok bool) {
	used := func(c procfs.CPUStat) float64 { return c.User + c.Nice + c.System + c.IRQ + c.SoftIRQ }
	busy, steal = used(b)-used(a), b.Steal-a.Steal
	all := busy + steal + b.Idle - a.Idle + b.Iowait - a.Iowait
	if all <= 0 {
		return 0, 0, false
	}
	return busy / all, steal / all, true
}

// pressure is the kernel's own word for waiting (Documentation/accounting/psi.rst).
func (s system) pressure(what string) Result {
	r := Result{Condition: "pressure: " + what, Required: fmt.Sprintf("<= %.0f %% of the last 10 s", mostPressure), Current: unknown, Severity: Warning, Passed: true}
	fs, err := procfs.NewFS(s.path("proc"))
	if err != nil {
		return r
	}
	psi, err := fs.PSIStatsForResource(what)
	if err != nil || psi.Some == nil {
		return r // a kernel without PSI
	}
	r.Current, r.Passed = fmt.Sprintf("%.1f %%", psi.Some.Avg10), psi.Some.Avg10 <= mostPressure
	if !r.Passed {
		r.Do = "tasks wait for " + what + " already: wait until the machine is quiet (cat /proc/pressure/" + what + ")"
	}
	return r
}

func (s system) governor() []Result {
	state, err := cpufreq.Tree{Sys: s.path("sys")}.Read()
	return Governor(state, err)
}

// Governor judges what cpufreq.Tree.Read gave.
func Governor(s cpufreq.State, err error) []Result {
	r := Result{Condition: "CPU governor", Required: "performance", Severity: Warning}
	switch {
	case err != nil:
		r.Current, r.Severity, r.Do = err.Error(), Stop, "make the files of /sys/devices/system/cpu/cpufreq readable: without them nobody knows what the clock does"
		return []Result{r}
	case len(s.Policies) == 0:
		r.Current, r.Passed = "no cpufreq (a virtual machine, or the firmware chooses)", true
		return []Result{r}
	}
	var all []Result
	for _, p := range s.Policies {
		all = append(all, policy(p)...)
	}
	if s.Boost != nil {
		b := Result{Condition: "turbo", Required: "off, for runs that are compared", Current: "off", Severity: Warning, Passed: !*s.Boost}
		if *s.Boost {
			b.Current = "on"
			b.Do = "the clock depends on temperature: " + s.BoostOff
		}
		all = append(all, b)
	}
	return all
}

func policy(p cpufreq.Policy) []Result {
	r := Result{Condition: "CPU governor, " + p.Name, Required: "performance", Current: p.Governor, Severity: Warning, Passed: p.Governor == "performance"}
	if p.Driver != "" {
		r.Current += " (" + p.Driver + ")"
	}
	if !r.Passed {
		r.Do = "sudo bin/governor --set performance, and --restore afterwards"
		// Of the pstate drivers "powersave" is a governor that follows the load; of all others it is the lowest clock, always.
		if p.Governor == "powersave" && !strings.HasPrefix(p.Driver, "intel_pstate") && !strings.HasPrefix(p.Driver, "amd-pstate-epp") {
			r.Severity = Stop
			r.Do = "the CPUs are held at their lowest clock: " + r.Do
		}
	}
	all := []Result{r}
	if p.MaxKHz > 0 && p.MaxKHz < p.HardwareMaxKHz {
		all = append(all, Result{Condition: "CPU clock limit, " + p.Name, Required: megahertz(p.HardwareMaxKHz), Current: megahertz(p.MaxKHz), Severity: Warning,
			Do: fmt.Sprintf("echo %d | sudo tee /sys/devices/system/cpu/cpufreq/%s/scaling_max_freq", p.HardwareMaxKHz, p.Name)})
	}
	return all
}

func megahertz(kHz int64) string { return fmt.Sprintf("%d MHz", kHz/1000) }

// fastClocks are read without a system call.
var fastClocks = []string{"tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "riscv_clocksource"}

func (s system) clockSource() Result {
	r := Result{Condition: "clock source", Required: "read without a system call", Current: s.line("sys/devices/system/clocksource/clocksource0/current_clocksource"), Severity: Warning}
	if r.Passed = r.Current == unknown || slices.Contains(fastClocks, r.Current); !r.Passed {
		r.Do = "each reading of the clock costs about a microsecond; dmesg | grep -i clocksource says why the kernel left the TSC"
	}
	return r
}

func (s system) hugePages() Result {
	r := Result{Condition: "transparent huge pages", Required: "madvise or never", Current: unknown, Severity: Warning, Passed: true}
	text := s.line("sys/kernel/mm/transparent_hugepage/enabled")
	if _, rest, ok := strings.Cut(text, "["); ok {
		r.Current, _, _ = strings.Cut(rest, "]")
	}
	if r.Passed = r.Current != "always"; !r.Passed {
		r.Do = "memory figures and tails move with the kernel's compaction: echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled"
	}
	return r
}

func (s system) swap() Result {
	r := Result{Condition: "swap in use", Required: "0", Current: unknown, Severity: Warning, Passed: true}
	fs, err := procfs.NewFS(s.path("proc"))
	if err != nil {
		return r
	}
	m, err := fs.Meminfo()
	if err != nil || m.SwapTotalBytes == nil || m.SwapFreeBytes == nil {
		return r
	}
	used := int64(*m.SwapTotalBytes - *m.SwapFreeBytes)
	r.Current, r.Passed = Bytes(used), used == 0
	if used == 0 && *m.SwapTotalBytes == 0 {
		r.Current = "0, there is none"
	}
	if !r.Passed {
		r.Do = "what is swapped out comes back in the middle of the run: free memory, then sudo swapoff -a && sudo swapon -a"
	}
	return r
}

// maps looks at how many files a process may map.
func (s system) maps() Result {
	r := Result{Condition: "vm.max_map_count", Required: fmt.Sprintf(">= %d", leastMaps), Current: s.line("proc/sys/vm/max_map_count"), Severity: Warning, Passed: true}
	if n, err := strconv.ParseInt(r.Current, 10, 64); err == nil && n < leastMaps {
		r.Passed, r.Do = false, fmt.Sprintf("a broker with more than about %d segments reads the indexes of the others into memory: sudo sysctl vm.max_map_count=%d", n/2, leastMaps)
	}
	return r
}

// uring asks the kernel for a small ring, as the broker does, and gives it back.
func uring() Result {
	r := Result{Condition: "io_uring", Required: "allowed", Current: "allowed", Severity: Warning, Passed: true}
	fd, err := newRing()
	if err == nil {
		err = unix.Close(fd)
	}
	switch {
	case err == nil:
		return r
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		r.Do = "seccomp or the sysctl kernel.io_uring_disabled forbids it: use deploy/seccomp.json, or sudo sysctl kernel.io_uring_disabled=0; the broker works without"
	case errors.Is(err, unix.ENOSYS):
		r.Do = "this kernel has none; the broker works without"
	default:
		r.Do = "the broker works without"
	}
	r.Current, r.Passed = err.Error(), false
	return r
}

func openFiles() Result {
	r := Result{Condition: "limit of open files", Required: fmt.Sprintf(">= %d", leastFiles), Current: unknown, Severity: Warning, Passed: true}
	n, ok := limit(unix.RLIMIT_NOFILE)
	if !ok {
		return r
	}
	r.Current, r.Passed = count(n), n >= leastFiles
	if !r.Passed {
		r.Do = fmt.Sprintf("every connection and every open segment is a file: ulimit -n %d, or LimitNOFILE= in the unit", leastFiles)
	}
	return r
}

func lockedMemory() Result {
	r := Result{Condition: "limit of locked memory", Required: ">= " + Bytes(leastLocked), Current: unknown, Severity: Warning, Passed: true}
	n, ok := limit(unix.RLIMIT_MEMLOCK)
	if !ok {
		return r
	}
	if r.Current = Bytes(int64(min(n, 1<<62))); n == unix.RLIM_INFINITY {
		r.Current = "unlimited"
	}
	if r.Passed = n >= leastLocked; !r.Passed {
		r.Do = "old kernels charge rings to it: ulimit -l unlimited, or LimitMEMLOCK=infinity in the unit"
	}
	return r
}

// clockSynced asks the kernel whether something keeps its clock right.
func clockSynced() Result {
	r := Result{Condition: "clock is kept right", Required: "by NTP or PTP", Current: "yes", Severity: Warning, Passed: true}
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		r.Current = unknown
		return r
	}
	if r.Passed = state != unix.TIME_ERROR; !r.Passed {
		r.Current = "no"
		r.Do = "latencies from one machine to another are wrong by what the clocks differ: run chrony or systemd-timesyncd on all of them"
	}
	return r
}

func limit(which int) (uint64, bool) {
	var l unix.Rlimit
	if err := unix.Getrlimit(which, &l); err != nil {
		return 0, false
	}
	return l.Cur, true
}

// line is the first line of a file, or "unknown".
func (s system) line(name string) string {
	b, err := os.ReadFile(s.path(name))
	if err != nil {
		return unknown
	}
	first, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(first)
}

func percent(f float64) string { return fmt.Sprintf("%.1f %%", f*100) }

func count(n uint64) string {
	if n == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return strconv.FormatUint(n, 10)
}
