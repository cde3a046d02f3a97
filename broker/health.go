package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/streambus/streambus/broker/internal/console"
	"github.com/streambus/streambus/broker/internal/stat"
	"github.com/streambus/streambus/engine"
	"golang.org/x/sys/unix"
)

// health says what the broker is at, to the HTTP listener. It is there before anything else and takes no lock.
type health struct {
	dir      string // "": not a directory of the operating system
	stage    atomic.Pointer[stat.State]
	engine   atomic.Pointer[engine.Engine]
	replayed atomic.Int64 // group commits
}

func newHealth(dir string) *health {
	h := &health{dir: dir}
	h.enter(stat.Starting)
	return h
}

func (h *health) enter(s stat.State) { h.stage.Store(&s) }

// state is what counts of the stage and the disk.
func (h *health) state() stat.State {
	if e := h.engine.Load(); e != nil && e.Err() != nil {
		return stat.Failed
	}
	return *h.stage.Load()
}

// Alive implements console.Source. The directory is asked for, not written to: a probe must not wait for a disk that is busy.
func (h *health) Alive() error {
	e := h.engine.Load()
	if e == nil {
		return nil // recovering is being alive
	}
	if err := e.Err(); err != nil {
		return fmt.Errorf("%w; restart the broker, so that it recovers", err)
	}
	if h.dir == "" {
		return nil
	}
	if err := unix.Access(h.dir, unix.W_OK); err != nil {
		return fmt.Errorf("the data directory %s cannot be written: %w; look at the mount and its owner", h.dir, err)
	}
	return nil
}

// Ready implements console.Source.
func (h *health) Ready() console.Readiness {
	s := h.state()
	r := console.Readiness{State: string(s)}
	switch s {
	case stat.Starting:
		r.Reasons = []console.Reason{{Code: "starting", Message: "the data directory is being opened"}}
	case stat.Recovering:
		r.Reasons = []console.Reason{{Code: "recovering", Message: "what was acknowledged before is being brought back; this takes as long as there is to read"}}
		r.Progress = map[string]any{"group_commits_replayed": h.replayed.Load()}
		if e := h.engine.Load(); e != nil {
			r.Progress["logs_open"], r.Progress["logs"] = e.Opened()
		}
	case stat.Draining:
		r.Reasons = []console.Reason{{Code: "draining", Message: "the broker is going down: requests under way are answered, new ones are not taken"}}
	case stat.Failed:
		r.Reasons = []console.Reason{{Code: "disk_failed", Message: h.engine.Load().Err().Error() + "; restart the broker, so that it recovers"}}
	}
	if err := h.Alive(); err != nil && s != stat.Failed {
		r.Reasons = append(r.Reasons, console.Reason{Code: "disk_unwritable", Message: err.Error()})
	}
	r.Ready = len(r.Reasons) == 0
	return r
}

// openConsole starts the HTTP listener, where there is to be one. An address that nobody has chosen is not worth refusing to start for.
func (b *Broker) openConsole() error {
	e, on, chosen := b.o.Config.HTTP()
	if !on {
		return nil
	}
	if !e.Loopback() && !b.o.Insecure {
		return fmt.Errorf("%w on http://%s, which other machines can reach: anybody there could read the names of topics and groups; "+
			"serve it on loopback (--set http.listeners=http://127.0.0.1:%d) or not at all (--set http.listeners=), or say --insecure if the network is closed",
			ErrPlaintext, e.Addr(), e.Port)
	}
	ln, err := net.Listen("tcp", e.Addr())
	if errors.Is(err, syscall.EADDRINUSE) && !chosen {
		b.o.Logger.Warn("no health and no metrics are served: the port is in use by another program; choose another with --set http.listeners=http://127.0.0.1:PORT", "http", e.Addr())
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w for HTTP on %s: %w; choose another address (--set http.listeners=http://%s) or none (--set http.listeners=)",
			ErrListen, e.Addr(), err, "127.0.0.1:PORT")
	}
	b.console = console.Serve(ln, console.Options{
		Source: b.health, Own: b.stats.Own(), Kafka: b.stats.Kafka(), Pprof: b.o.Config.Bool("http.pprof.enable"), Loopback: e.Loopback(), Logger: b.o.Logger,
	})
	b.o.Logger.Info("health and metrics are served", "http", b.console.Addr())
	return nil
}

// consoleTimeout is how long a scrape under way may take when the broker is down.
const consoleTimeout = 2 * time.Second

func (b *Broker) closeConsole() error {
	if b.console == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), consoleTimeout)
	defer cancel()
	return b.console.Close(ctx)
}

// HTTPAddr is where health and metrics are served; nil: nowhere.
func (b *Broker) HTTPAddr() net.Addr {
	if b.console == nil {
		return nil
	}
	return b.console.Addr()
}

// buildVersion names the program for streambus_build_info.
func buildVersion() (version, goVersion string) {
	version = "unknown"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	return version, runtime.Version()
}

// usage is the size of the data directory's file system, and how much of it this process may still fill; -1 where that is not known.
func (b *Broker) usage() (total, usable int64) {
	var st unix.Statfs_t
	if b.health.dir == "" || unix.Statfs(b.health.dir, &st) != nil {
		return -1, -1
	}
	return int64(st.Blocks) * st.Bsize, int64(st.Bavail) * st.Bsize
}
