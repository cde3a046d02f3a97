package drive

import (
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/procfs"

	"github.com/streambus/streambus/loadscript/internal/report"
)

// hostFacts describes this machine as far as it can be known.
func hostFacts() report.Host {
	h := report.Host{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU(), Go: runtime.Version()}
	h.Name, _ = os.Hostname()
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		h.Kernel = strings.TrimSpace(string(b))
	}
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return h // no procfs: not Linux
	}
	if cpus, err := fs.CPUInfo(); err == nil && len(cpus) > 0 {
		h.CPU = cpus[0].ModelName
	}
	if mem, err := fs.Meminfo(); err == nil && mem.MemTotal != nil {
		h.Memory = int64(*mem.MemTotal) * 1024
	}
	return h
}

// cpuMeter measures how many cores the generator and the broker keep busy. One goroutine uses it.
type cpuMeter struct {
	broker           int
	last             time.Time
	genSec, brokeSec float64
}

func newCPUMeter(broker int) *cpuMeter { return &cpuMeter{broker: broker} }

// sample is the number of cores in use since the last sample; -1 where it cannot be known.
func (c *cpuMeter) sample() (gen, broker float64) {
	now := time.Now()
	width := now.Sub(c.last).Seconds()
	genSec, brokeSec := cpuSeconds(os.Getpid()), -1.0
	if c.broker > 0 {
		brokeSec = cpuSeconds(c.broker)
	}
	gen, broker = -1, -1
	if !c.last.IsZero() && width > 0 {
		if genSec >= 0 && c.genSec >= 0 {
			gen = (genSec - c.genSec) / width
		}
		if brokeSec >= 0 && c.brokeSec >= 0 {
			broker = (brokeSec - c.brokeSec) / width
		}
	}
	c.last, c.genSec, c.brokeSec = now, genSec, brokeSec
	return gen, broker
}

func cpuSeconds(pid int) float64 {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return -1
	}
	st, err := p.Stat()
	if err != nil {
		return -1
	}
	return st.CPUTime()
}
