package console

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type source struct {
	alive error
	ready Readiness
	panic bool
}

func (s *source) Alive() error { return s.alive }

func (s *source) Ready() Readiness {
	if s.panic {
		panic("a bug")
	}
	return s.ready
}

func handler(s *source, loopback bool, log io.Writer) http.Handler {
	return Handler(Options{Source: s, Own: prometheus.NewRegistry(), Kafka: prometheus.NewRegistry(), Loopback: loopback, Logger: slog.New(slog.NewTextHandler(log, nil))})
}

func ask(h http.Handler, method, path, host string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Host = host
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAnswers(t *testing.T) {
	s := &source{ready: Readiness{Ready: true, State: "ready"}}
	h := handler(s, false, io.Discard)
	for _, c := range []struct {
		method, path string
		code         int
	}{
		{"GET", "/healthz", 200}, {"HEAD", "/healthz", 200}, {"GET", "/readyz", 200}, {"GET", "/metrics", 200}, {"GET", "/metrics/kafka", 200}, {"GET", "/", 200},
		{"POST", "/healthz", 405}, {"DELETE", "/readyz", 405}, {"GET", "/nothing", 404}, {"GET", "/debug/pprof/", 404}, {"GET", "/metrics/../etc", 307},
	} {
		w := ask(h, c.method, c.path, "x")
		if w.Code != c.code {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, w.Code, c.code)
		}
		if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: headers %v", c.method, c.path, w.Header())
		}
		if w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %s: other origins are let in", c.method, c.path)
		}
	}
	s.alive = errors.New("the disk is gone")
	s.ready = Readiness{State: "recovering", Reasons: []Reason{{"recovering", "wait"}}, Progress: map[string]any{"logs": 3}}
	if w := ask(h, "GET", "/healthz", "x"); w.Code != 503 || !strings.Contains(w.Body.String(), "the disk is gone") {
		t.Errorf("healthz: %d %s", w.Code, w.Body)
	}
	w := ask(h, "GET", "/readyz", "x")
	var got Readiness
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 503 || got.Reasons[0].Code != "recovering" || got.Progress["logs"] != 3.0 {
		t.Errorf("readyz: %d %s, %v", w.Code, w.Body, err)
	}
}

// TestRebinding: on loopback only loopback's names are answered (H3).
func TestRebinding(t *testing.T) {
	h := handler(&source{}, true, io.Discard)
	for host, code := range map[string]int{
		"localhost": 200, "localhost:9644": 200, "127.0.0.1:9644": 200, "[::1]:9644": 200, "[::1]": 200, "127.1.2.3": 200,
		"evil.example": 421, "evil.example:9644": 421, "10.0.0.1": 421, "localhost.evil.example": 421, "": 421, "[": 421, "[]": 421,
	} {
		if w := ask(h, "GET", "/healthz", host); w.Code != code {
			t.Errorf("Host %q: %d, want %d", host, w.Code, code)
		}
	}
}

func TestPanicIsContained(t *testing.T) {
	var log strings.Builder
	if w := ask(handler(&source{panic: true}, false, &log), "GET", "/readyz", "x"); w.Code != 500 || !strings.Contains(log.String(), "BUG") {
		t.Errorf("%d, %s", w.Code, log.String())
	}
}

func serve(t *testing.T) *Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(ln, Options{Source: &source{}, Own: prometheus.NewRegistry(), Kafka: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestConnectionsAreBounded: whoever takes all connections is refused more, and those who let go make room (H2).
func TestConnectionsAreBounded(t *testing.T) {
	s := serve(t)
	healthy := func() bool {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") // it may be closed already
		line, _ := bufio.NewReader(c).ReadString('\n')
		return strings.Contains(line, "200")
	}
	var held []net.Conn
	for range maxConns {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	if healthy() {
		t.Errorf("a connection beyond %d is served", maxConns)
	}
	for _, c := range held {
		_ = c.Close()
	}
	for !healthy() { // the server sees them go one after the other; if it never does, the tests' timeout says so
		runtime.Gosched()
	}
}

// TestHeadersAreBounded: endless headers are cut off.
func TestHeadersAreBounded(t *testing.T) {
	c, err := net.Dial("tcp", serve(t).Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("a", 64<<10)) // it may be cut off on the way
	line, _ := bufio.NewReader(c).ReadString('\n')
	if !strings.Contains(line, "431") {
		t.Errorf("it says %q", line)
	}
}

// FuzzHandler: whatever is asked, nothing panics and nothing but the routes is found.
func FuzzHandler(f *testing.F) {
	f.Add("GET", "/readyz", "localhost")
	f.Add("PUT", "/metrics?x=1", "[::1]:1")
	h := handler(&source{ready: Readiness{Ready: true}}, true, io.Discard)
	f.Fuzz(func(t *testing.T, method, path, host string) {
		r, err := http.NewRequest(method, "http://x/"+strings.TrimPrefix(path, "/"), nil)
		if err != nil {
			return
		}
		r.Host = host
		r.Body = http.NoBody
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code == 500 {
			t.Errorf("%s %s for %q: %s", method, path, host, w.Body)
		}
	})
}
