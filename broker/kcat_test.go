package broker_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/streambus/streambus/wire"
)

func itoa(n int) string { return strconv.Itoa(n) }

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func kcat(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("kcat")
	if err != nil {
		t.Skip("kcat is not installed: apt-get install kcat")
	}
	cmd := exec.CommandContext(within(t, 30*time.Second), path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kcat %v: %v\n%s", args, err, errs.String())
	}
	return string(out)
}

func TestKcat(t *testing.T) {
	b := start(t, t.TempDir())
	want := "one\ntwo\nthree\n"
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		topic := "k-" + codec
		kcat(t, want, "-b", b.addr, "-P", "-t", topic, "-z", codec)
		if got := kcat(t, "", "-b", b.addr, "-C", "-t", topic, "-e", "-q"); got != want {
			t.Errorf("%s: %q, want %q", codec, got, want)
		}
	}
	kcat(t, want, "-b", b.addr, "-P", "-t", "k-none", "-X", "enable.idempotence=true")
	if got := kcat(t, "", "-b", b.addr, "-G", "g", "-q", "-X", "auto.offset.reset=earliest", "-c", "6", "k-none"); got != want+want {
		t.Errorf("group: %q", got)
	}
	if got := kcat(t, "", "-b", b.addr, "-L"); !strings.Contains(got, `topic "k-zstd" with 1 partitions`) || !strings.Contains(got, "(controller)") {
		t.Errorf("-L:\n%s", got)
	}
	if got := kcat(t, "", "-b", b.addr, "-Q", "-t", "k-none:0:-1"); !strings.Contains(got, "offset 6") {
		t.Errorf("-Q: %s", got)
	}
}

// The kernel must send what is fetched: seen from outside, by its system calls.
func TestLargeFetchesGoBySendfile(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: apt-get install strace")
	}
	trace := filepath.Join(t.TempDir(), "trace")
	args := []string{"-f", "-e", "trace=sendfile", "-o", trace, program, "broker", "--data-dir", t.TempDir(), "--set", "listeners=PLAINTEXT://127.0.0.1:0", "--set", "http.listeners="}
	for _, s := range small {
		args = append(args, "--set", s)
	}
	old := program
	program = strace
	p := spawn(t, args...)
	program = old
	p.waitReady()
	c := dial(t, p.addr)
	c.create("t", 1)
	large := built(-1, 0, 0, strings.Repeat("x", 700_000))
	var produced wire.ProduceResponse
	c.call(9, produceRequest("t", 0, bytes.Clone(large)), &produced)
	var fetched wire.FetchResponse
	c.call(11, fetchRequest("t", 0, 0), &fetched)
	if !bytes.Equal(fetched.Topics[0].Partitions[0].Records[61:], large[61:]) {
		t.Error("what came is not what was sent")
	}
	traced, err := os.ReadFile(filepath.Join("/proc", itoa(p.cmd.Process.Pid), "task", itoa(p.cmd.Process.Pid), "children"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(atoi(strings.Fields(string(traced))[0]), syscall.SIGTERM); err != nil { // strace ends with it
		t.Fatal(err)
	}
	p.wait()
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	bySendfile, calls := 0, 0
	for line := range strings.Lines(string(b)) {
		if i := strings.LastIndex(line, "= "); strings.Contains(line, "sendfile") && i > 0 {
			if n := atoi(strings.TrimSpace(line[i+2:])); n > 0 {
				bySendfile += n
				calls++
				if n > 256<<10 {
					t.Errorf("a step of %d bytes", n)
				}
			}
		}
	}
	if bySendfile != len(large) {
		t.Errorf("%d of %d bytes by %d calls of sendfile:\n%s", bySendfile, len(large), calls, b)
	}
}
