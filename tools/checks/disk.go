package checks

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// The probe of the disk: first flushes of one page each, as a group commit of one small record does, then blocks with a flush every few.
const (
	probePage     = 4 << 10
	probeFlushes  = 200
	probeBlock    = 1 << 20
	probeFlushAll = 8         // blocks
	probeMost     = 256 << 20 // bytes
	probeTime     = time.Second
	spaceLeft     = 64 << 20 // the probe leaves at least this free
)

const slowestFlush = 10 * time.Millisecond

// suspectFlush: a virtual disk that is faster than this may not flush at all.
const suspectFlush = 100 * time.Microsecond

// disk looks at free space, and writes a little.
func disk(ctx context.Context, dir string, needSpace, needWrite int64) []Result {
	space := Result{Condition: "free disk space", Required: ">= " + Bytes(needSpace), Severity: Stop}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		space.Current, space.Do = fmt.Sprintf("%s: %v", dir, err), "name the directory that the test will write in, with --dir"
		return []Result{space}
	}
	free := int64(min(st.Bavail*uint64(st.Bsize), math.MaxInt64))
	if space.Current, space.Passed = Bytes(free), free >= needSpace; !space.Passed {
		space.Do = "free some, or run with less: a full disk ends the test"
	}
	all := []Result{space}
	flush := Result{Condition: "flush of 4 KiB (write and fdatasync)", Required: fmt.Sprintf("median <= %v", slowestFlush), Severity: Warning}
	write := Result{Condition: "disk write speed, flushed", Required: "any", Severity: Warning}
	if needWrite > 0 {
		write.Required, write.Severity = ">= "+Bytes(needWrite)+"/s", Stop
	}
	p, err := probe(ctx, dir, free-spaceLeft)
	if err != nil {
		flush.Current, flush.Severity, flush.Do = err.Error(), Stop, "the test could not write there either: choose another --dir, or give this user the right to"
		return append(all, flush)
	}
	median, high := p.flushes[len(p.flushes)/2], p.flushes[len(p.flushes)*99/100]
	flush.Current, flush.Passed = fmt.Sprintf("median %v, p99 %v", rounded(median), rounded(high)), median <= slowestFlush
	if !flush.Passed {
		flush.Do = "an acknowledgement waits for one flush: use a disk with a power-protected cache, or a local one"
	} else if median < suspectFlush {
		flush.Current += " (quick: right for a disk with a protected cache, else it may ignore flushes)"
	}
	if p.bytes > 0 {
		speed := float64(p.bytes) / p.took.Seconds()
		write.Current, write.Passed = Bytes(int64(speed))+"/s", int64(speed) >= needWrite
		if !write.Passed {
			write.Do = "the disk cannot take what the test writes: lower the rate, or use a faster disk"
		}
		all = append(all, write)
	}
	return append(all, flush)
}

// measured is what the probe found; flushes are sorted.
type measured struct {
	flushes []time.Duration
	bytes   int64
	took    time.Duration
}

// probe writes at most probeMost bytes, or room, for about twice probeTime, into a file that it removes.
func probe(ctx context.Context, dir string, room int64) (m measured, err error) {
	f, err := os.CreateTemp(dir, ".preflight-*")
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if room < probePage*probeFlushes {
		return m, fmt.Errorf("no room for the probe: %w", unix.ENOSPC)
	}
	block := make([]byte, probeBlock)
	for i := range block {
		block[i] = byte(i * 131) // not zeros, which some disks leave out
	}
	var at int64
	put := func(n int) error {
		_, err := f.WriteAt(block[:n], at)
		at += int64(n)
		return err
	}
	for begin := time.Now(); len(m.flushes) == 0 || len(m.flushes) < probeFlushes && time.Since(begin) < probeTime; {
		start := time.Now()
		if err := errors.Join(put(probePage), unix.Fdatasync(int(f.Fd())), ctx.Err()); err != nil {
			return m, err
		}
		m.flushes = append(m.flushes, time.Since(start))
	}
	slices.Sort(m.flushes)
	begin := time.Now()
	for m.bytes < min(probeMost, room-at) && time.Since(begin) < probeTime {
		for range probeFlushAll {
			if err := put(probeBlock); err != nil {
				return m, err
			}
		}
		if err := errors.Join(unix.Fdatasync(int(f.Fd())), ctx.Err()); err != nil {
			return m, err
		}
		m.bytes += probeFlushAll * probeBlock
		m.took = time.Since(begin)
	}
	return m, nil
}

// fileSystem looks at what holds dir and how it is mounted.
func (s system) fileSystem(dir string) []Result {
	kind := Result{Condition: "file system", Required: "ext4 or xfs", Current: unknown, Severity: Warning, Passed: true}
	m := s.mountOf(dir)
	if m == nil {
		return []Result{kind}
	}
	kind.Current = m.FSType + " on " + m.MountPoint
	switch m.FSType {
	case "ext4", "xfs":
	case "tmpfs", "ramfs":
		kind.Passed, kind.Severity, kind.Do = false, Stop, "memory is no disk: nothing there is durable, and what is measured is not what a disk does"
	default:
		kind.Passed, kind.Do = false, "the crash tests run on ext4 and xfs; elsewhere figures, and what a power cut leaves, may be others"
	}
	options := Result{Condition: "mount options", Required: "flushes reach the disk", Severity: Warning, Passed: true}
	var notable []string
	for _, o := range []map[string]string{m.Options, m.SuperOptions} {
		for k, v := range o {
			switch {
			case k == "nobarrier" || k == "barrier" && v == "0":
				options.Passed, options.Severity = false, Stop
				options.Do = "mount it without nobarrier: a flush that does not reach the disk is fast and void"
			case k == "sync" || k == "dirsync":
				options.Passed, options.Do = false, "mount it without "+k+": every write waits, also those that need not"
			case k == "data" && v == "journal":
				options.Passed, options.Do = false, "mount it with data=ordered: with data=journal every byte is written twice"
			case k != "noatime" && k != "relatime" && k != "discard":
				continue
			}
			if v != "" {
				k += "=" + v
			}
			notable = append(notable, k)
		}
	}
	slices.Sort(notable)
	if options.Current = strings.Join(slices.Compact(notable), ","); options.Current == "" {
		options.Current = "the defaults"
	}
	return []Result{kind, options}
}

// mountOf finds the mount that holds dir: the longest mount point at or above it; of several on one point the last hides the others.
func (s system) mountOf(dir string) (best *procfs.MountInfo) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	fs, err := procfs.NewFS(s.path("proc"))
	if err != nil {
		return nil
	}
	self, err := fs.Self()
	if err != nil {
		return nil
	}
	mounts, err := self.MountInfo()
	if err != nil {
		return nil
	}
	for _, m := range mounts {
		inside := m.MountPoint == "/" || dir == m.MountPoint || strings.HasPrefix(dir, m.MountPoint+"/")
		if inside && (best == nil || len(m.MountPoint) >= len(best.MountPoint)) {
			best = m
		}
	}
	return best
}

// units of Bytes and ParseBytes, the largest first.
var units = []struct {
	name string
	size int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}}

// Bytes prints a size in binary units.
func Bytes(n int64) string {
	for _, u := range units[:4] {
		if n >= u.size {
			return strconv.FormatFloat(float64(n)/float64(u.size), 'f', 1, 64) + " " + u.name
		}
	}
	return fmt.Sprintf("%d B", n)
}

// ParseBytes reads 10GiB, 50MB/s, 4096: a size, or a rate, in bytes.
func ParseBytes(text string) (int64, error) {
	rest := strings.TrimSuffix(strings.ReplaceAll(text, " ", ""), "/s")
	factor := int64(1)
	for _, u := range units {
		if number, ok := strings.CutSuffix(rest, u.name); ok {
			rest, factor = number, u.size
			break
		}
	}
	f, err := strconv.ParseFloat(rest, 64)
	if f *= float64(factor); err != nil || !(f >= 0 && f < 1<<62) {
		return 0, fmt.Errorf("%q is no size: write 10GiB, 500MB or 50MB/s", text)
	}
	return int64(f), nil
}

func rounded(d time.Duration) time.Duration {
	return d.Round(max(time.Microsecond, d.Truncate(time.Microsecond)/1000))
}
