package drive

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	saslplain "github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// Security is how clients come in. The zero value is plain TCP without a login.
type Security struct {
	TLS       *tls.Config // nil: no TLS
	Mechanism string      // one of Mechanisms; empty: no login
	User      string
	Password  string
}

// Mechanisms are the ways to log in, by their names in Kafka.
var Mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}

func (s Security) opts() (list []kgo.Opt) {
	if s.TLS != nil {
		list = append(list, kgo.DialTLSConfig(s.TLS))
	}
	switch s.Mechanism {
	case "PLAIN":
		list = append(list, kgo.SASL(saslplain.Auth{User: s.User, Pass: s.Password}.AsMechanism()))
	case "SCRAM-SHA-256":
		list = append(list, kgo.SASL(scram.Auth{User: s.User, Pass: s.Password}.AsSha256Mechanism()))
	case "SCRAM-SHA-512":
		list = append(list, kgo.SASL(scram.Auth{User: s.User, Pass: s.Password}.AsSha512Mechanism()))
	}
	return list
}

// refusal says in words what kept the cluster from being used within the limit, and what would help. It wraps ErrUnreachable
// and err.
func refusal(opts Options, limit time.Duration, err error) error {
	s, hint := opts.Security, ""
	var record tls.RecordHeaderError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var dns *net.DNSError
	var early *kgo.ErrFirstReadEOF
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		hint = fmt.Sprintf("the login of %q was refused: --sasl-user and --sasl-password-file must be those of a user that the cluster knows for %s", s.User, s.Mechanism)
	case errors.As(err, &early):
		hint = "the connection was closed at once, as is done to who comes without TLS or a login where they are wanted, or with them where not (--tls, --sasl-mechanism)"
	case s.Mechanism != "" && errors.Is(err, io.EOF):
		hint = fmt.Sprintf("the connection was closed during the login of %q: look at --sasl-user, --sasl-password-file and --sasl-mechanism", s.User)
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		hint = fmt.Sprintf("the brokers do not take %s: choose another --sasl-mechanism", s.Mechanism)
	case errors.As(err, &authority):
		hint = "nobody vouches for the brokers' certificate: name the file with its authority by --tls-ca"
	case errors.As(err, &host):
		hint = "the brokers' certificate is for another name: say which by --tls-server-name"
	case errors.As(err, &record):
		hint = "there is no TLS at this address: leave --tls away, or use the port of the listener with TLS"
	case s.TLS != nil && strings.Contains(err.Error(), "tls: "):
		hint = "the brokers want another kind of TLS: a client certificate, perhaps (--tls-cert, --tls-key)"
	case errors.As(err, &dns):
		hint = fmt.Sprintf("nobody knows the name %s: --brokers wants addresses that this machine can resolve", dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		hint = "nobody listens there: is the broker running, and is the port right?"
	case errors.Is(err, context.DeadlineExceeded) && s.TLS != nil:
		hint = fmt.Sprintf("no answer within %s: is there a broker at this address, with TLS (--tls)?", plan.FormatDuration(limit))
	case errors.Is(err, context.DeadlineExceeded):
		hint = fmt.Sprintf("no answer within %s: is there a broker of the Kafka protocol at this address, and no firewall in between?", plan.FormatDuration(limit))
	}
	at := strings.Join(opts.Brokers, ",")
	if hint == "" {
		return fmt.Errorf("%w at %s: %w", ErrUnreachable, at, err)
	}
	return fmt.Errorf("%w at %s: %s (%w)", ErrUnreachable, at, hint, err)
}
