package console

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Reason says why a broker is not ready, or is not alive.
type Reason struct {
	Code    string `json:"code"` // one word: recovering, draining, disk_failed, …
	Message string `json:"message"`
}

// Readiness is what /readyz shows.
type Readiness struct {
	Ready    bool           `json:"ready"`
	State    string         `json:"state"`
	Reasons  []Reason       `json:"reasons"` // empty when ready
	Progress map[string]any `json:"progress,omitempty"`
}

// Source answers the questions. Its methods may be called by any goroutine, from Serve to the end of Close, and must not wait for
// requests or other brokers.
type Source interface {
	// Alive is nil, or why the broker cannot do its work until it is restarted or its disk is repaired.
	Alive() error
	Ready() Readiness
}

// Options configure a Server.
type Options struct {
	Source     Source // required
	Own, Kafka prometheus.Gatherer
	Pprof      bool
	Loopback   bool         // the listener is: other hosts' names are refused (H3)
	Logger     *slog.Logger // required
}

const (
	maxConns      = 128
	maxScrapes    = 4
	scrapeTimeout = 10 * time.Second
	headerBytes   = 16 << 10
)

// Server is a running console.
type Server struct {
	http *http.Server
	ln   net.Listener
	wg   sync.WaitGroup
}

// Serve serves on ln, which it owns from now on. The caller must call Close.
func Serve(ln net.Listener, o Options) *Server {
	write := scrapeTimeout + 5*time.Second
	if o.Pprof {
		write = 2 * time.Minute // a profile of 30 s, and more
	}
	s := &Server{ln: ln, http: &http.Server{
		Handler: Handler(o), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: write, IdleTimeout: 30 * time.Second,
		MaxHeaderBytes: headerBytes, ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}}
	s.wg.Go(func() {
		if err := s.http.Serve(limited{ln, make(chan struct{}, maxConns)}); !errors.Is(err, http.ErrServerClosed) {
			o.Logger.Error("the HTTP listener has failed; the broker goes on without health and metrics", "err", err)
		}
	})
	return s
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Close lets answers under way go out until ctx ends, and closes all connections (H5).
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	s.wg.Wait()
	return err
}

// Handler is the console without a listener.
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if err := o.Source.Alive(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n")) // whoever is gone needs no answer
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { ready(w, o.Source.Ready()) })
	mux.Handle("GET /metrics", metrics(o, o.Own))
	mux.Handle("GET /metrics/kafka", metrics(o, o.Kafka))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("/healthz\n/readyz\n/metrics\n/metrics/kafka\n")) // as above
	})
	if o.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	}
	return guard(o, mux)
}

func ready(w http.ResponseWriter, r Readiness) {
	if r.Reasons == nil {
		r.Reasons = []Reason{}
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if !r.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(append(b, '\n')) // whoever is gone needs no answer
}

func metrics(o Options, g prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelError), ErrorHandling: promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes, Timeout: scrapeTimeout, EnableOpenMetrics: true,
	})
}

// guard is what holds for every answer.
func guard(o Options, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'")
		if o.Loopback && !local(r.Host) {
			http.Error(w, "this listener is for loopback: ask for localhost or 127.0.0.1", http.StatusMisdirectedRequest)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 1<<10) // nothing here reads one
		defer func() {
			if p := recover(); p != nil {
				o.Logger.Error("BUG: panic in the HTTP listener; the broker goes on", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				http.Error(w, "this is a bug; the broker's log says more", http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// local says that a Host header names this machine's loopback.
func local(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// limited accepts no more connections than room has (H2).
type limited struct {
	net.Listener
	room chan struct{}
}

// Accept implements net.Listener. Beyond the limit a connection is closed as it comes, so that those that are good find room again as
// soon as the deadlines have ended those that are not.
func (l limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.room <- struct{}{}:
			return &counted{Conn: c, room: l.room}, nil
		default:
			_ = c.Close() // nothing was sent or read
		}
	}
}

// counted gives its room back when it is closed.
type counted struct {
	net.Conn
	room chan struct{}
	once sync.Once
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.once.Do(func() { <-c.room })
	return c.Conn.Close()
}
