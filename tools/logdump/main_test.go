package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
)

// TestMain lets the test binary be logdump, so that exit codes and pipes are those of a real process.
func TestMain(m *testing.M) {
	if os.Getenv("BE_LOGDUMP") != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

type watcher struct {
	mu   sync.Mutex
	cond *sync.Cond
	end  batch.Offset
}

func (w *watcher) Flushed(end batch.Offset) {
	w.mu.Lock()
	w.end = end
	w.mu.Unlock()
	w.cond.Broadcast()
}

func (w *watcher) Failed(err error) { panic(err) }

// data makes a data directory with one log: batches with and without producer, one compressed, one sealed segment.
func data(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	e, err := engine.Open(context.Background(), engine.Options{Dir: dir, CommitFileBytes: 64 << 10, ReserveBytes: -1, ScrubInterval: -1})
	must(t, err)
	w := &watcher{}
	w.cond = sync.NewCond(&w.mu)
	l, err := e.OpenLog("orders-0", engine.LogOptions{SegmentBytes: 600, IndexIntervalBytes: 100, Observer: w})
	must(t, err)
	for i := range 6 {
		at, err := l.Append(makeBatch(i), batch.Epoch(i/2), nil)
		must(t, err)
		w.mu.Lock()
		for w.end <= at.Last {
			w.cond.Wait()
		}
		w.mu.Unlock()
	}
	for { // the second segment is begun: the first is sealed now
		if _, err := os.Stat(filepath.Join(dir, "orders-0", fmt.Sprintf("%020d.seal", 0))); err == nil {
			break
		}
		runtime.Gosched()
	}
	must(t, e.Close())
	must(t, os.WriteFile(filepath.Join(dir, ".lock"), []byte("4711\n"), 0o600))
	return dir
}

func makeBatch(i int) batch.Batch {
	b := batch.Builder{ProducerID: 7, ProducerEpoch: 1, BaseSequence: batch.Sequence(i / 2), Sequenced: i%2 == 0}
	b.Add(time.UnixMilli(1700000000000+int64(i)), []byte("key"), fmt.Appendf(nil, "a value\x00\x1b[31m %d %0*d", i, 70, 0), batch.Header{Key: []byte("h"), Value: []byte{0xff}})
	if i == 5 {
		b.Add(time.UnixMilli(1700000000009), nil, nil)
	}
	out := b.Batch()
	if i != 3 {
		return out
	}
	var packed bytes.Buffer
	packed.Write(out[:batch.HeaderSize])
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(out.Records()); err != nil {
		panic(err) // memory
	}
	if err := z.Close(); err != nil {
		panic(err) // memory
	}
	out = packed.Bytes()
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-batch.Overhead))
	binary.BigEndian.PutUint16(out[21:], uint16(batch.Gzip))
	binary.BigEndian.PutUint32(out[17:], out.ComputeCRC())
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func dump(args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	code = run(args, &out, &errs)
	return out.String(), errs.String(), code
}

// scrub takes out what is random: the generation of a commit-log file, and the checksums over it.
func scrub(s, dir string) string {
	s = strings.ReplaceAll(s, dir, "DATA")
	s = regexp.MustCompile(`(?m)^((?:file|frame|mark) .*) [0-9a-f]{16} (.*)$`).ReplaceAllString(s, "$1 GENERATION $2")
	s = regexp.MustCompile(`(?m)^((?:file|frame|mark) .*) [0-9a-f]{8} +((?:no +|yes +)?(?:ok|bad))$`).ReplaceAllString(s, "$1 CRC $2")
	return s
}

// TestGolden: what is printed of each kind of file.
func TestGolden(t *testing.T) {
	dir := data(t)
	log := filepath.Join(dir, "orders-0")
	for name, args := range map[string][]string{
		"checkpoint": {filepath.Join(dir, "checkpoint")},
		"lock":       {filepath.Join(dir, ".lock")},
		"commit":     {filepath.Join(dir, "commit", fmt.Sprintf("%020d.commit", 0))},
		"meta":       {filepath.Join(log, "log.meta")},
		"recap":      {filepath.Join(log, "recap")},
		"segment":    {filepath.Join(log, fmt.Sprintf("%020d.log", 0))},
		"index":      {filepath.Join(log, fmt.Sprintf("%020d.index", 0))},
		"timeindex":  {filepath.Join(log, fmt.Sprintf("%020d.timeindex", 0))},
		"seal":       {"--records", filepath.Join(log, fmt.Sprintf("%020d.seal", 0))},
		"values":     {"--values", "--from=2", log},
		"json":       {"--values", "--format=json", "--max=5", filepath.Join(log, fmt.Sprintf("%020d.log", 0))},
		"verify":     {"--verify", dir},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := dump(args...)
			got := fmt.Sprintf("%s%sexit %d\n", scrub(stdout, dir), stderr, code)
			golden := filepath.Join("testdata", name+".golden")
			if *rewrite {
				must(t, os.MkdirAll("testdata", 0o755))
				must(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			must(t, err)
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s\n(go test ./tools/logdump -run TestGolden -rewrite)", got, want)
			}
		})
	}
}

// TestColumns: every row has as many columns as its heading, and nothing reaches a terminal but ASCII.
func TestColumns(t *testing.T) {
	dir := data(t)
	stdout, _, code := dump("--values", dir)
	if code != exitGood {
		t.Fatalf("exit %d", code)
	}
	columns := 0
	for line := range strings.Lines(stdout) {
		if strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("not plain: %q", line)
		}
		switch n := len(strings.Fields(line)); {
		case strings.HasPrefix(line, "# "):
		case strings.HasPrefix(line, "#"):
			columns = n
		case n != columns:
			t.Errorf("%d columns, the heading has %d: %s", n, columns, line)
		}
	}
	stdout, _, _ = dump("--values", "--format=json", dir)
	for line := range strings.Lines(stdout) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil || o["kind"] == nil || o["file"] == nil {
			t.Errorf("%v: %s", err, line)
		}
	}
}

func TestUsage(t *testing.T) {
	stdout, _, code := dump("--help")
	if code != exitGood || !strings.Contains(stdout, "Examples:") {
		t.Errorf("--help: exit %d, %q", code, stdout)
	}
	for _, args := range [][]string{{}, {"--nonsense", "/"}, {"--format=xml", "/"}, {"--max=-1", "/"}, {"--verify", "--records", "/"}, {"/does/not/exist"}} {
		if stdout, stderr, code := dump(args...); code != exitUsage || stdout != "" || !strings.HasPrefix(stderr, "logdump: ") {
			t.Errorf("%v: exit %d, %q, %q", args, code, stdout, stderr)
		}
	}
}

// process runs the program as a process of its own.
func process(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), "BE_LOGDUMP=1")
	return c
}

func TestProcess(t *testing.T) {
	dir := data(t)
	exit := func(want int, args ...string) string {
		t.Helper()
		out, err := process(args...).CombinedOutput()
		var e *exec.ExitError
		if got := 0; errors.As(err, &e) {
			if got = e.ExitCode(); got != want {
				t.Errorf("%v: exit %d, want %d: %s", args, got, want, out)
			}
		} else if err != nil || want != 0 {
			t.Errorf("%v: %v, want exit %d: %s", args, err, want, out)
		}
		return string(out)
	}
	exit(exitGood, dir)
	exit(exitGood, dir, "--verify")
	exit(exitUsage)
	name := filepath.Join(dir, "orders-0", fmt.Sprintf("%020d.log", 0))
	b, err := os.ReadFile(name)
	must(t, err)
	b[100] ^= 1
	must(t, os.WriteFile(name, b, 0o600))
	if out := exit(exitDamage, "--verify", dir); !strings.Contains(out, "damage "+name+" 0 ") {
		t.Errorf("it says %s", out)
	}
	exit(exitDamage, name)
}

// TestPipeClosedEarly: `logdump … | head -1` ends quietly.
func TestPipeClosedEarly(t *testing.T) {
	dir := data(t)
	r, w, err := os.Pipe()
	must(t, err)
	args := []string{"--values"}
	for range 300 { // more than a pipe holds
		args = append(args, filepath.Join(dir, "orders-0"))
	}
	c := process(args...)
	var stderr bytes.Buffer
	c.Stdout, c.Stderr = w, &stderr
	must(t, c.Start())
	must(t, w.Close())
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	must(t, r.Close())
	if err := c.Wait(); err != nil || stderr.Len() > 0 {
		t.Errorf("%v: %s", err, stderr.String())
	}
}
