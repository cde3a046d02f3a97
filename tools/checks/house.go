package checks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// house looks at what belongs around a test: somebody watches, there is something to compare with, and a way back.
func house(ctx context.Context, o Options) []Result {
	var all []Result
	urls := o.Metrics
	if len(urls) == 0 && o.Checklist {
		for _, b := range o.Brokers {
			urls = append(urls, "http://"+net.JoinHostPort(host(b), "9644")+"/metrics")
		}
	}
	for _, u := range urls {
		all = append(all, monitoring(ctx, u))
	}
	if o.Baseline != "" {
		all = append(all, baseline(o.Baseline))
	}
	if o.Rollback != "" || o.Checklist {
		all = append(all, rollback(o.Rollback))
	}
	return all
}

func monitoring(ctx context.Context, url string) Result {
	r := Result{Condition: "metrics at " + url, Required: "an answer", Severity: Warning}
	n, err := get(ctx, url)
	if err != nil {
		r.Current, r.Do = err.Error(), "name the broker's metrics with --metrics URL; in production let Prometheus read them (deploy/prometheus.yml)"
		return r
	}
	r.Current, r.Passed = Bytes(n), true
	return r
}

// get reads a page, at most some MiB of it, and says how long it was.
func get(ctx context.Context, url string) (n int64, err error) {
	const most = 64 << 20
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	t := &http.Transport{DisableKeepAlives: true}
	a, err := (&http.Client{Transport: t}).Do(q)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, a.Body.Close()) }()
	if a.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("status %s", a.Status)
	}
	return io.Copy(io.Discard, io.LimitReader(a.Body, most))
}

func baseline(dir string) Result {
	r := Result{Condition: "baseline on record", Required: "results in " + dir, Severity: Warning}
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		r.Current, r.Do = "none", "record one before you change anything: make benchmark-baseline"
		return r
	}
	r.Current, r.Passed = fmt.Sprintf("%d files, the last is %s", len(files), filepath.Base(files[len(files)-1])), true
	return r
}

func rollback(file string) Result {
	r := Result{Condition: "rollback plan", Required: "a file that says how to go back", Severity: Warning}
	if file == "" {
		r.Current, r.Do = "none named", "write down how to stop the test and what to put back, and name the file with --rollback-plan FILE"
		return r
	}
	st, err := os.Stat(file)
	switch {
	case err != nil:
		r.Current = err.Error()
	case st.IsDir() || st.Size() == 0:
		r.Current = file + " is empty"
	default:
		r.Current, r.Passed = fmt.Sprintf("%s, of %s", file, st.ModTime().Format(time.DateOnly)), true
		return r
	}
	r.Do = "write down how to stop the test and what to put back, and name the file with --rollback-plan FILE"
	return r
}
