package drive

import (
	"os"
	"runtime"
	"runtime/debug"
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

// process measures one process of this machine from one sample to the next.
type process struct {
	pid         int
	proc        *procfs.Proc // nil: not there
	last        time.Time    // of the last sample; zero when it failed
	cpu         float64      // seconds
	read, write uint64       // bytes
}

// usage is what a process used in a stretch of time; what cannot be known is -1.
type usage struct {
	cpu               float64 // cores
	rss               int64   // bytes
	diskRead, diskOut float64 // bytes per second
	fds               int64
}

// sample is the usage since the last sample. The first one, and the first after a process was replaced by another (a broker
// that was restarted), has no rates.
func (p *process) sample(pid int) usage {
	u := usage{cpu: -1, rss: -1, diskRead: -1, diskOut: -1, fds: -1}
	now := time.Now()
	width := now.Sub(p.last).Seconds()
	fresh := pid != p.pid || p.last.IsZero() || width <= 0
	if fresh {
		p.pid, p.proc = pid, nil
		if proc, err := procfs.NewProc(pid); err == nil {
			p.proc = &proc
		}
	}
	p.last = time.Time{} // until there is something to count from
	if p.proc == nil {
		return u
	}
	st, err := p.proc.Stat()
	if err != nil {
		return u
	}
	p.last = now
	cpu := st.CPUTime()
	u.rss = int64(st.ResidentMemory())
	if !fresh {
		u.cpu = (cpu - p.cpu) / width
	}
	p.cpu = cpu
	if pid == os.Getpid() {
		return u // nobody asks for our own files
	}
	if io, err := p.proc.IO(); err == nil {
		if !fresh {
			u.diskRead, u.diskOut = float64(io.ReadBytes-p.read)/width, float64(io.WriteBytes-p.write)/width
		}
		p.read, p.write = io.ReadBytes, io.WriteBytes
	}
	if n, err := p.proc.FileDescriptorsLen(); err == nil {
		u.fds = int64(n)
	}
	return u
}

// gcPauses is how long the garbage collector has stopped this process, all together.
func gcPauses() time.Duration {
	var st debug.GCStats
	debug.ReadGCStats(&st)
	return st.PauseTotal
}
