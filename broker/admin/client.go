package admin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Options say which cluster, and how to get in. Zero values mean the defaults given.
type Options struct {
	Brokers []string      // host:port; default 127.0.0.1:9092
	Timeout time.Duration // of a call; default 10 s

	TLS               bool
	CAFile            string // PEM; default: the system's
	CertFile, KeyFile string // PEM of a client certificate; both or none
	ServerName        string // that the certificate must have; default: the broker's host

	SASL         string // "", PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	User         string
	PasswordFile string // its first line; a flag would show in the list of processes
}

// DefaultBroker is where a broker is looked for when nobody says where.
const DefaultBroker = "127.0.0.1:9092"

// ErrOptions is the class of options that cannot be meant.
var ErrOptions = errors.New("bad connection options")

// Client is a connection to a cluster. The caller must call Close.
type Client struct {
	o    Options
	kgo  *kgo.Client
	kadm *kadm.Client
	opts []kgo.Opt // for clients that consume
}

// Connect makes a Client; no broker is asked yet. Errors: ErrOptions, or a file that cannot be read.
func Connect(o Options) (*Client, error) {
	if len(o.Brokers) == 0 {
		o.Brokers = []string{DefaultBroker}
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	for _, b := range o.Brokers {
		if err := checkBroker(b); err != nil {
			return nil, err
		}
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(o.Brokers...), kgo.ClientID("streambus-cli"), kgo.ProducerLinger(0), kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.DialTimeout(min(o.Timeout, 5*time.Second)), kgo.RetryTimeout(o.Timeout), kgo.RecordDeliveryTimeout(o.Timeout),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
	}
	secure, err := o.security()
	if err != nil {
		return nil, err
	}
	opts = append(opts, secure...)
	c, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	adm := kadm.NewClient(c)
	adm.SetTimeoutMillis(int32(min(o.Timeout.Milliseconds(), 1<<30)))
	return &Client{o: o, kgo: c, kadm: adm, opts: opts}, nil
}

// checkBroker says whether an address can be meant: HOST, or HOST:PORT.
func checkBroker(addr string) error {
	host, port := addr, "9092"
	if strings.Contains(addr, ":") {
		var err error
		if host, port, err = net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("%w: broker %q must be HOST:PORT ([HOST]:PORT for IPv6)", ErrOptions, addr)
		}
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || host == "" {
		return fmt.Errorf("%w: broker %q must be HOST:PORT, with a port from 1 to 65535", ErrOptions, addr)
	}
	return nil
}

// Close lets the connections go.
func (c *Client) Close() { c.kgo.Close() }

func (o *Options) security() (opts []kgo.Opt, err error) {
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, fmt.Errorf("%w: a client certificate needs its key, and the other way round", ErrOptions)
	}
	if o.TLS || o.CAFile != "" || o.CertFile != "" || o.ServerName != "" {
		conf := &tls.Config{ServerName: o.ServerName}
		if o.CAFile != "" {
			pem, err := os.ReadFile(o.CAFile)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrOptions, err)
			}
			conf.RootCAs = x509.NewCertPool()
			if !conf.RootCAs.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("%w: %s holds no certificate in PEM", ErrOptions, o.CAFile)
			}
		}
		if o.CertFile != "" {
			pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("%w: client certificate: %w", ErrOptions, err)
			}
			conf.Certificates = []tls.Certificate{pair}
		}
		opts = append(opts, kgo.DialTLSConfig(conf))
	}
	if o.SASL == "" && o.User == "" && o.PasswordFile == "" {
		return opts, nil
	}
	pass, err := o.password()
	if err != nil {
		return nil, err
	}
	switch o.SASL {
	case "PLAIN":
		return append(opts, kgo.SASL(plain.Auth{User: o.User, Pass: pass}.AsMechanism())), nil
	case "SCRAM-SHA-256":
		return append(opts, kgo.SASL(scram.Auth{User: o.User, Pass: pass}.AsSha256Mechanism())), nil
	case "SCRAM-SHA-512":
		return append(opts, kgo.SASL(scram.Auth{User: o.User, Pass: pass}.AsSha512Mechanism())), nil
	}
	return nil, fmt.Errorf("%w: the SASL mechanism must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, not %q", ErrOptions, o.SASL)
}

func (o *Options) password() (string, error) {
	if o.User == "" || o.PasswordFile == "" {
		return "", fmt.Errorf("%w: SASL needs a user and a file with the password", ErrOptions)
	}
	b, err := os.ReadFile(o.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrOptions, err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}

// within bounds one call.
func (c *Client) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.o.Timeout)
}

// call asks one broker of the cluster, or the one that is responsible, and gives the answer. what is for errors.
func call[R kmsg.Response](ctx context.Context, c *Client, what string, req kmsg.Request) (r R, err error) {
	resp, err := c.kgo.Request(ctx, req)
	if err != nil {
		return r, c.explain(what, err)
	}
	return resp.(R), nil
}
