package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/tools/capture"
	"github.com/streambus/streambus/wire"
)

// dump runs the program on stdin.
func dump(stdin []byte, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(context.Background(), args, bytes.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

func request(id int32) []byte {
	return wire.AppendRequestFrame(nil, wire.RequestHeader{CorrelationID: id, ClientID: "app", HasClientID: true}, wire.NewRequest(wire.KeyListGroups))
}

func response(id int32) []byte {
	return wire.AppendResponseFrame(nil, id, wire.NewResponse(wire.KeyListGroups), 0)
}

// file writes a file of the test.
func file(t *testing.T, b []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(name, b, 0o644))
	return name
}

func TestRawStreams(t *testing.T) {
	q, a := append(request(1), request(2)...), append(response(1), response(2)...)
	code, out, errs := dump(nil, file(t, q))
	if code != exitGood || strings.Count(out, "request ListGroups 0") != 2 || strings.Contains(out, "unanswered") {
		t.Errorf("requests alone: exit code %d\n%s%s", code, out, errs)
	}
	code, out, errs = dump(nil, "--requests", file(t, q), "--responses", file(t, a))
	if code != exitGood || strings.Count(out, "response ListGroups 0") != 2 {
		t.Errorf("both: exit code %d\n%s%s", code, out, errs)
	}
	code, out, _ = dump(nil, "--responses", file(t, a))
	if code != exitProblem || strings.Count(out, "its request was not seen") != 2 {
		t.Errorf("answers alone: exit code %d\n%s", code, out)
	}
	if code, out, _ = dump(q[:len(q)-1], "-"); code != exitProblem || !strings.Contains(out, "inside a frame") {
		t.Errorf("cut off: exit code %d\n%s", code, out)
	}
}

func TestHex(t *testing.T) {
	b := append(request(1), request(2)...)
	xxd := ""
	for at := 0; at < len(b); at += 16 {
		line := b[at:min(at+16, len(b))]
		xxd += fmt.Sprintf("%08x: ", at)
		for i := 0; i < len(line); i += 2 {
			xxd += fmt.Sprintf("%x ", line[i:min(i+2, len(line))])
		}
		xxd += "  a: text  with|all\n"
	}
	for name, text := range map[string]string{
		"digits": hex.EncodeToString(b), "spaced": fmt.Sprintf("% x\n# a comment\n", b), "xxd": xxd, "hexdump": hex.Dump(b),
	} {
		if code, out, errs := dump([]byte(text), "--hex", "-"); code != exitGood || strings.Count(out, "ListGroups") != 2 {
			t.Errorf("%s: exit code %d\n%s%s", name, code, out, errs)
		}
	}
	if code, _, errs := dump([]byte("00\nxyz"), "--hex", "-"); code != exitUsage || !strings.Contains(errs, "line 2") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

func TestCapture(t *testing.T) {
	var b bytes.Buffer
	w, err := capture.NewWriter(&b)
	must(t, err)
	from, to := netip.MustParseAddrPort("[::1]:4000"), netip.MustParseAddrPort("[::1]:9092")
	must(t, w.Open(noon, from, to))
	must(t, w.Data(noon, from, to, request(1)))
	must(t, w.Data(noon.Add(2e6), to, from, response(1)))
	must(t, w.Close(noon, from, to))
	code, out, errs := dump(b.Bytes(), "-")
	if code != exitGood || !strings.Contains(out, "#1 [::1]:9092 > [::1]:4000 response ListGroups 0 id 1") || !strings.Contains(out, "after 2ms") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if code, _, errs = dump(b.Bytes()[:b.Len()-3], "-"); code != exitProblem || !strings.Contains(errs, "cut off") {
		t.Errorf("a capture that is cut off: exit code %d: %s", code, errs)
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "give a FILE"},
		{"a b", "one FILE"},
		{"--listen :1", "go together"},
		{"--listen :1 --to broker", "host:port"},
		{"--save x file", "give --listen"},
		{"--port 0 file", "1 to 65535"},
		{"--max -1 file", "from 0"},
		{"--max-frame 1 file", "4 to"},
		{"--requests x --responses x", "two files"},
		{"--warp", "--help"},
		{"missing-file", "no such file"},
	} {
		if code, _, errs := dump(nil, strings.Fields(c.args)...); code != exitUsage || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit code %d: %s", c.args, code, errs)
		}
	}
}

// notes collects what the proxy says, which its goroutines do.
type notes struct {
	mu   sync.Mutex
	text strings.Builder
	line chan string
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.text.Write(p)
	select {
	case n.line <- string(p):
	default:
	}
	return len(p), nil
}

// TestProxy: a real client talks through it to a fake broker; what was told live is told again from the saved capture.
func TestProxy(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	must(t, err)
	defer cluster.Close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	said := &notes{line: make(chan string, 10)}
	var out bytes.Buffer
	save := filepath.Join(t.TempDir(), "saved.pcap")
	code := make(chan int)
	go func() {
		code <- run(ctx, []string{"--json", "--listen", "127.0.0.1:0", "--to", cluster.ListenAddrs()[0], "--save", save}, nil, &out, said)
	}()
	_, address, _ := strings.Cut(<-said.line, "listening on ")
	address, _, _ = strings.Cut(address, " for ")
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ClientID("through"))
	must(t, err)
	for range 3 {
		_, err = client.SeedBrokers()[0].Request(ctx, kmsg.NewPtrMetadataRequest())
		must(t, err)
	}
	client.Close()
	silent, err := net.Dial("tcp", address) // does not keep the proxy from ending
	must(t, err)
	stop()
	if got := <-code; got != exitGood {
		t.Fatalf("exit code %d: %s\n%s", got, said.text.String(), out.String())
	}
	must(t, silent.Close())
	live := counts(t, out.Bytes())
	if live["request Metadata"] != 3 || live["response Metadata"] != 3 || live["request ApiVersions"] < 1 {
		t.Errorf("told live: %v\n%s", live, out.String())
	}
	exit, again, errs := dump(nil, "--json", save)
	if replayed := counts(t, []byte(again)); exit != exitGood || fmt.Sprint(replayed) != fmt.Sprint(live) {
		t.Errorf("exit code %d, told again: %v, live: %v\n%s", exit, replayed, live, errs)
	}
}

// counts counts kind and API of lines of JSON.
func counts(t *testing.T, lines []byte) map[string]int {
	t.Helper()
	n := map[string]int{}
	for _, line := range bytes.Split(bytes.TrimSpace(lines), []byte("\n")) {
		var e jsonEvent
		must(t, json.Unmarshal(line, &struct {
			*jsonEvent
			Fields json.RawMessage `json:"fields"`
		}{jsonEvent: &e}))
		n[e.Kind+" "+e.API]++
	}
	return n
}

// TestProxyWithoutBroker: a client is turned away, and the proxy goes on.
func TestProxyWithoutBroker(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	dead := l.Addr().String()
	must(t, l.Close())
	ctx, stop := context.WithCancel(context.Background())
	said := &notes{line: make(chan string, 10)}
	code := make(chan int)
	go func() {
		code <- run(ctx, []string{"--listen", "127.0.0.1:0", "--to", dead}, nil, &bytes.Buffer{}, said)
	}()
	_, address, _ := strings.Cut(<-said.line, "listening on ")
	address, _, _ = strings.Cut(address, " for ")
	for range 2 {
		c, err := net.Dial("tcp", address)
		must(t, err)
		if line := <-said.line; !strings.Contains(line, "is the broker there?") {
			t.Error(line)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("the connection is still there")
		}
		must(t, c.Close())
	}
	stop()
	if got := <-code; got != exitGood {
		t.Errorf("exit code %d", got)
	}
}
