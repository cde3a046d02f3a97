package main

import (
	"flag"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// setting is how large batches are and how many one round has.
type setting struct {
	batch, perRound int
}

func main() {
	dir := flag.String("dir", "", "an empty or missing folder on the disk to measure; removed at the end")
	bytes := flag.Int64("bytes", 4<<30, "bytes of batches in each run; the disk needs these and 1 GiB")
	runs := flag.Int("runs", 3, "runs of each way, alternating")
	only := flag.String("only", "", "names of ways to run, by their beginning, separated by commas; all when empty")
	flag.Parse()
	if *dir == "" {
		fmt.Fprintln(os.Stderr, "direct: -dir is missing: name a folder on the disk to measure")
		os.Exit(2)
	}
	if err := run(path.Join(*dir, "experiment"), *bytes, *runs, *only); err != nil {
		fmt.Fprintln(os.Stderr, "direct:", err)
		os.Exit(1)
	}
}

// result is one run.
type result struct {
	mbs, cpu float64       // MB/s (10^6); CPU seconds of the process per GB
	p50, p99 time.Duration // of a round
}

func run(dir string, bytes int64, runs int, only string) (err error) {
	w, err := openFiles(dir, 256<<20)
	if err != nil {
		return err
	}
	defer func() {
		if rerr := w.remove(); err == nil {
			err = rerr
		}
	}()
	p := newPool(poolBytes)
	settings := []setting{{64 << 10, 40}, {1 << 20, 4}}
	results := map[string][]result{}
	for r := range runs {
		for _, s := range settings {
			for i := range ways {
				if !chosen(ways[i].name, only) {
					continue
				}
				res, err := measure(w, p, i, s, bytes)
				if err != nil {
					return fmt.Errorf("%s: %w", ways[i].name, err)
				}
				fmt.Fprintf(os.Stderr, "run %d, %d KiB, %s: %.0f MB/s, %.3f CPU s/GB, round %v %v\n",
					r, s.batch>>10, ways[i].name, res.mbs, res.cpu, res.p50, res.p99)
				results[key(i, s)] = append(results[key(i, s)], res)
			}
		}
	}
	for _, s := range settings {
		report(s, results)
	}
	return nil
}

func chosen(name, only string) bool {
	return only == "" || slices.ContainsFunc(strings.Split(only, ","), func(p string) bool { return strings.HasPrefix(name, p) })
}

func key(way int, s setting) string { return fmt.Sprint(way, " ", s.batch) }

// measure makes one run. A recycled segment is what the run before left, so such a way comes after one that filled them.
func measure(w *files, p *pool, i int, s setting, bytes int64) (result, error) {
	if ways[i].device {
		s = setting{1 << 20, 4}
	}
	bytes -= bytes % int64(s.batch*s.perRound*segments) // whole rounds, the same for every segment
	if !ways[i].device {
		if err := w.openSegments(bytes/segments, ways[i].flags, ways[i].again); err != nil {
			return result{}, err
		}
	}
	x, err := ways[i].open(w)
	if err != nil {
		return result{}, err
	}
	rounds := make([]time.Duration, 0, bytes/int64(s.batch*s.perRound))
	batches := make([]write, s.perRound)
	cpu, begin := cpuTime(), time.Now()
	done, segment := int64(0), 0
	for done+int64(s.batch*s.perRound) <= bytes {
		for k := range batches {
			batches[k] = write{segment, p.batch(s.batch)}
			segment = (segment + 1) % segments
		}
		start := time.Now()
		if err := x.round(batches); err != nil {
			return result{}, err
		}
		rounds = append(rounds, time.Since(start))
		done += int64(s.batch * s.perRound)
	}
	if err := x.finish(); err != nil {
		return result{}, err
	}
	took := time.Since(begin)
	slices.Sort(rounds)
	return result{
		mbs: float64(done) / 1e6 / took.Seconds(), cpu: (cpuTime() - cpu).Seconds() / (float64(done) / 1e9),
		p50: rounds[len(rounds)/2], p99: rounds[len(rounds)*99/100],
	}, nil
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail with these arguments
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// report prints medians, and of the throughput the lowest and highest run.
func report(s setting, results map[string][]result) {
	fmt.Printf("\nBatches of %d KiB, %d a round\n\n", s.batch>>10, s.perRound)
	fmt.Print("| way | MB/s (low to high) | of the device | CPU s/GB | round p50 / p99 ms |\n|---|---|---|---|---|\n")
	limit := 0.0
	for i := range ways {
		all := results[key(i, s)]
		if len(all) == 0 {
			continue
		}
		mbs := sorted(all, func(r result) float64 { return r.mbs })
		mid := mbs[len(mbs)/2]
		if ways[i].device {
			limit = mid
		}
		ratio := "-"
		if limit > 0 {
			ratio = fmt.Sprintf("%.2f", mid/limit)
		}
		median := func(f func(r result) float64) float64 { v := sorted(all, f); return v[len(v)/2] }
		fmt.Printf("| %s | %.0f (%.0f to %.0f) | %s | %.2f | %.2f / %.2f |\n", ways[i].name, mid, mbs[0], mbs[len(mbs)-1], ratio,
			median(func(r result) float64 { return r.cpu }),
			median(func(r result) float64 { return r.p50.Seconds() * 1e3 }), median(func(r result) float64 { return r.p99.Seconds() * 1e3 }))
	}
}

func sorted(all []result, f func(r result) float64) []float64 {
	v := make([]float64, len(all))
	for i, r := range all {
		v[i] = f(r)
	}
	slices.Sort(v)
	return v
}
