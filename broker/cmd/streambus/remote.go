package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/streambus/streambus/broker/admin"
	"golang.org/x/term"
)

// remote are the flags of every command that talks to a cluster.
type remote struct {
	o      admin.Options
	format format
	yes    bool
}

const connection = `
The cluster is the one at --bootstrap-server (or --brokers, which is the same), by default 127.0.0.1:9092; any Kafka-compatible
cluster will do. Results go to stdout, all else to stderr; --format json prints what scripts read best.`

func (r *remote) flags(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringSliceVar(&r.o.Brokers, "bootstrap-server", []string{admin.DefaultBroker}, "`HOST:PORT` of brokers to begin with; --brokers is the same flag")
	f.Var(&r.format, "format", "how results are printed: text or json")
	f.DurationVar(&r.o.Timeout, "timeout", 10*time.Second, "how long to wait for the cluster")
	f.BoolVar(&r.o.TLS, "tls", false, "connect with TLS")
	f.StringVar(&r.o.CAFile, "tls-ca", "", "`FILE` with the certificates to trust, in PEM (implies --tls; default: the system's)")
	f.StringVar(&r.o.CertFile, "tls-cert", "", "`FILE` with a client certificate, in PEM (implies --tls)")
	f.StringVar(&r.o.KeyFile, "tls-key", "", "`FILE` with its key, in PEM")
	f.StringVar(&r.o.ServerName, "tls-server-name", "", "`NAME` that the broker's certificate must have, where it is not its address")
	f.StringVar(&r.o.SASL, "sasl-mechanism", "", "log in by `PLAIN`, SCRAM-SHA-256 or SCRAM-SHA-512")
	f.StringVar(&r.o.User, "sasl-user", "", "`NAME` to log in as")
	f.StringVar(&r.o.PasswordFile, "sasl-password-file", "", "`FILE` whose first line is the password")
}

// brokersIsBootstrapServer makes the two names one flag.
func brokersIsBootstrapServer(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	if name == "brokers" {
		name = "bootstrap-server"
	}
	return pflag.NormalizedName(name)
}

// askYes gives a command the flag --yes.
func (r *remote) askYes(c *cobra.Command) {
	c.Flags().BoolVarP(&r.yes, "yes", "y", false, "do not ask")
}

// errNotConfirmed ends a command that would have destroyed something.
var errNotConfirmed = errors.New("nothing was done")

// confirm asks before something is destroyed. Where nobody can be asked, --yes must have been said.
func (r *remote) confirm(c *cobra.Command, format string, args ...any) error {
	return confirm(c, r.yes, fmt.Sprintf(format, args...))
}

func confirm(c *cobra.Command, yes bool, what string) error {
	if yes {
		return nil
	}
	in, ok := c.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return fmt.Errorf("%w: this would %s, and cannot be undone; say --yes to do it (stdin is no terminal, so nobody can be asked)", errNotConfirmed, what)
	}
	fmt.Fprintf(c.ErrOrStderr(), "This would %s, and cannot be undone. Go on? [y/N] ", what)
	answer, _ := bufio.NewReader(in).ReadString('\n') // an end of input is a no
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errNotConfirmed
	}
	return nil
}

// on makes a command's work of something done with a cluster. SIGINT and SIGTERM end its context.
func (r *remote) on(f func(ctx context.Context, c *cobra.Command, a *admin.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		a, err := admin.Connect(r.o)
		if err != nil {
			return err
		}
		defer a.Close()
		err = f(ctx, c, a, args)
		if err == nil || errors.Is(err, errUsage) || errors.Is(err, admin.ErrOptions) {
			return err
		}
		if errors.Is(err, syscall.EPIPE) {
			return nil // who reads has read enough
		}
		return failure{err}
	}
}

// errUsage is the class of flags that do not fit together.
var errUsage = errors.New("wrong usage")

// listing is a command that prints rows, which may be some where there is an error too.
func listing[T any](r *remote, f func(ctx context.Context, a *admin.Client, args []string) ([]T, error)) func(*cobra.Command, []string) error {
	return r.on(func(ctx context.Context, c *cobra.Command, a *admin.Client, args []string) error {
		all, err := f(ctx, a, args)
		if err != nil && len(all) == 0 {
			return err
		}
		return errors.Join(rows(c, r.format, all), err)
	})
}

// room is a command that has commands.
func room(use, short, long string, all ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(all...)
	return c
}

// pairs reads KEY=VALUE flags.
func pairs(flag string, items []string) (map[string]string, error) {
	out := map[string]string{}
	for _, item := range items {
		k, v, ok := strings.Cut(item, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("%w: --%s %s: it must be KEY=VALUE", errUsage, flag, item)
		}
		out[k] = v
	}
	return out, nil
}
