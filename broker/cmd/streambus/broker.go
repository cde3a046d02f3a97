package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"github.com/streambus/streambus/broker"
	"github.com/streambus/streambus/broker/internal/config"
	"github.com/streambus/streambus/broker/internal/failpoint"
	"github.com/streambus/streambus/engine"
)

// errNoDataDir is wrong usage.
var errNoDataDir = errors.New("no data directory is given: say where records are to be kept, as in --data-dir ./data (or set log.dirs)")

func brokerCommand() *cobra.Command {
	var s settings
	var insecure bool
	var io string
	level := slog.LevelInfo
	c := &cobra.Command{
		Use:   "broker --data-dir DIR",
		Short: "Run a broker",
		Long: `Run a broker on a data directory until SIGTERM or SIGINT. It then stops taking requests, answers those under way,
flushes, and exits with 0; a second SIGINT stops it at once.

Settings have Kafka's names ("streambus config docs" lists them). A value comes from, the strongest first: --set, the
environment (STREAMBUS_NUM_PARTITIONS), the file given by --config, the default.`,
		Example: `  streambus broker --data-dir ./data
  streambus broker --data-dir ./data --set listeners=PLAINTEXT://127.0.0.1:19092 --set num.partitions=3
  streambus broker --config /etc/streambus/streambus.yaml
  streambus broker --config server.properties --insecure    # listen for other machines, in the clear`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if io != "" {
				s.set = append(s.set, "disk.io="+io)
			}
			err := runBroker(&s, insecure, level)
			if err != nil && !errors.Is(err, errNoDataDir) {
				return failure{err}
			}
			return err
		},
	}
	s.flags(c)
	c.Flags().BoolVar(&insecure, "insecure", false, "listen without TLS or authentication on addresses that other machines can reach")
	c.Flags().StringVar(&io, "io", "", "disk I/O by `auto`, uring or sync (the setting disk.io; auto is io_uring where it pays and is granted)")
	c.Flags().TextVar(&level, "log-level", level, "what is logged: debug, info, warn or error")
	return c
}

func runBroker(s *settings, insecure bool, level slog.Level) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	if cfg.DataDir() == "" {
		return errNoDataDir
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	for _, w := range cfg.Warnings {
		log.Warn(w)
	}
	points, err := failpoint.Inherited(os.Getenv(config.FailpointsVariable))
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(log)
	defer stop()
	b, err := broker.New(ctx, broker.Options{Config: cfg, Insecure: insecure, Logger: log, Failpoints: points})
	if err != nil {
		return hint(err, cfg.DataDir())
	}
	tellSystemd(log, daemon.SdNotifyReady)
	err = b.Run(ctx)
	tellSystemd(log, daemon.SdNotifyStopping)
	err = errors.Join(err, b.Close())
	if err == nil {
		log.Info("broker has stopped")
	}
	return err
}

// tellSystemd says what the broker is at to whoever started it as a unit of Type=notify (sd_notify(3)); to nobody where there is no such unit.
func tellSystemd(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd could not be told", "state", state, "err", err)
	}
}

// hint adds what to do about a data directory that cannot be used.
func hint(err error, dir string) error {
	switch {
	case errors.Is(err, engine.ErrLocked):
		return fmt.Errorf("%w; stop that process, or choose another directory with --data-dir: two brokers cannot share one", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; %s cannot be made there: choose another directory with --data-dir", err, dir)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w; the data directory %s must be writable for this user: choose another with --data-dir, or change its owner", err, dir)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w; a start writes a checkpoint before it serves: free some space on the disk of %s, and start again", err, dir)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EEXIST):
		return fmt.Errorf("%w; the data directory %s must be a directory: choose another with --data-dir", err, dir)
	}
	return err
}

// untilSignal gives a context that ends at the first SIGTERM or SIGINT. A second SIGINT ends the process. SIGHUP, which a terminal that is
// closed sends, and who expects a daemon to read its files again, does nothing but say so.
func untilSignal(log *slog.Logger) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	done := make(chan struct{})
	exited := make(chan struct{})
	go func() { // ends when stop is called, which waits for it
		defer close(exited)
		first := true
		for {
			select {
			case sig := <-signals:
				if sig == syscall.SIGHUP {
					log.Info("nothing is read again: settings that change while the broker runs are changed by `streambus config set`", "signal", sig)
					continue
				}
				if !first && sig == syscall.SIGINT {
					os.Exit(exitInterrupted)
				}
				if first {
					log.Info("stopping: requests under way are answered, then all is flushed; a second interrupt stops at once", "signal", sig)
				}
				first = false
				cancel()
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		<-exited
		cancel()
	}
}
