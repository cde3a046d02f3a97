package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/streambus/streambus/loadscript/internal/drive"
	"github.com/streambus/streambus/loadscript/internal/script"
)

// securityFlags are how run comes in at a cluster that wants TLS or a login. They have the names that streambus gives them.
type securityFlags struct {
	tls                           bool
	ca, cert, key, serverName     string
	mechanism, user, passwordFile string
}

func (f *securityFlags) add(flags *pflag.FlagSet) {
	flags.BoolVar(&f.tls, "tls", false, "connect with TLS")
	flags.StringVar(&f.ca, "tls-ca", "", "`file` with the certificates to trust, in PEM (implies --tls; default: the system's)")
	flags.StringVar(&f.cert, "tls-cert", "", "`file` with a client certificate, in PEM (implies --tls)")
	flags.StringVar(&f.key, "tls-key", "", "`file` with its key, in PEM")
	flags.StringVar(&f.serverName, "tls-server-name", "", "`name` that the brokers' certificates must have, where it is not their address")
	flags.StringVar(&f.mechanism, "sasl-mechanism", "", "log in by `PLAIN`, SCRAM-SHA-256 or SCRAM-SHA-512")
	flags.StringVar(&f.user, "sasl-user", "", "`name` to log in as")
	flags.StringVar(&f.passwordFile, "sasl-password-file", "", "`file` whose first line is the password")
}

// security reads the files that the flags name. brokers is what --brokers said: a broker of our own wants no login.
func (f *securityFlags) security(brokers []string) (s drive.Security, err error) {
	if *f == (securityFlags{}) {
		return s, nil
	}
	if len(brokers) == 0 {
		return s, usagef("--tls and --sasl flags are for a cluster that --brokers names: the broker of its own that a run starts has neither")
	}
	if f.tls || f.ca != "" || f.cert != "" || f.key != "" || f.serverName != "" {
		if s.TLS, err = f.config(); err != nil {
			return s, err
		}
	}
	if f.mechanism == "" {
		if f.user != "" || f.passwordFile != "" {
			return s, usagef("--sasl-user and --sasl-password-file need --sasl-mechanism: one of %s", strings.Join(drive.Mechanisms, ", "))
		}
		return s, nil
	}
	s.Mechanism, s.User = strings.ToUpper(f.mechanism), f.user
	if !slices.Contains(drive.Mechanisms, s.Mechanism) {
		msg := fmt.Sprintf("--sasl-mechanism %s: must be one of %s", f.mechanism, strings.Join(drive.Mechanisms, ", "))
		if n := script.Nearest(s.Mechanism, drive.Mechanisms); n != "" {
			msg += fmt.Sprintf("; did you mean %s?", n)
		}
		return s, usagef("%s", msg)
	}
	if f.user == "" || f.passwordFile == "" {
		return s, usagef("--sasl-mechanism %s needs --sasl-user and --sasl-password-file", s.Mechanism)
	}
	text, err := os.ReadFile(f.passwordFile)
	if err != nil {
		return s, usagef("--sasl-password-file: %v", err)
	}
	s.Password, _, _ = strings.Cut(string(text), "\n")
	if s.Password = strings.TrimSuffix(s.Password, "\r"); s.Password == "" {
		return s, usagef("--sasl-password-file %s: the first line is empty; it must be the password", f.passwordFile)
	}
	return s, nil
}

func (f *securityFlags) config() (*tls.Config, error) {
	c := &tls.Config{ServerName: f.serverName}
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, usagef("--tls-ca: %v", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, usagef("--tls-ca %s: there is no certificate in it; it must be PEM", f.ca)
		}
	}
	if (f.cert == "") != (f.key == "") {
		return nil, usagef("--tls-cert and --tls-key belong together: give both")
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, usagef("--tls-cert %s, --tls-key %s: %v", f.cert, f.key, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
