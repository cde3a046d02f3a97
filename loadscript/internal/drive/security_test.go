package drive

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// certified returns a certificate for 127.0.0.1, and who vouches for it.
func certified(t *testing.T) (server *tls.Config, roots *x509.CertPool) {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates}, roots
}

// secured runs a small load with the given Security, on a topic of its own: others use the same broker.
func secured(t *testing.T, addrs []string, s Security) *report.Results {
	topic := "orders" + strings.Map(func(r rune) rune {
		if (r < '0' || r > '9') && (r < 'A' || r > 'z') { // SCRAM-SHA-256 and -512 run side by side
			return '-'
		}
		return r
	}, t.Name())
	p := load(func(sc *plan.Scenario) { sc.Produce[0].Topic.Name = topic }, withGroup(1), func(sc *plan.Scenario) {
		sc.Consume[0].Group = topic
		sc.Stages = []plan.Stage{{Kind: "hold", Name: "steady", Duration: 200 * time.Millisecond, From: 1000, To: 1000}}
	})
	return Run(t.Context(), p, Options{Brokers: addrs, Security: s, Prepare: 3 * time.Second, LagFloor: time.Hour, CPUShare: 100, Note: t.Logf})
}

func TestLogin(t *testing.T) {
	t.Parallel()
	conf, roots := certified(t)
	var opts []kfake.Opt
	for _, m := range Mechanisms {
		opts = append(opts, kfake.Superuser(m, "alice", "secret"))
	}
	open, closed := fake(t), fake(t, append(opts, kfake.EnableSASL(), kfake.TLS(conf))...)
	encrypted := &tls.Config{RootCAs: roots}
	for name, c := range map[string]struct {
		broker   *kfake.Cluster
		security Security
		refused  string // what the reason says; empty: the run passes
	}{
		"PLAIN":             {closed, Security{encrypted, "PLAIN", "alice", "secret"}, ""},
		"SCRAM-SHA-256":     {closed, Security{encrypted, "SCRAM-SHA-256", "alice", "secret"}, ""},
		"SCRAM-SHA-512":     {closed, Security{encrypted, "SCRAM-SHA-512", "alice", "secret"}, ""},
		"wrong password":    {closed, Security{encrypted, "PLAIN", "alice", "guess"}, `the login of "alice"`},
		"wrong SCRAM":       {closed, Security{encrypted, "SCRAM-SHA-256", "alice", "guess"}, `the login of "alice"`},
		"nobody":            {closed, Security{encrypted, "SCRAM-SHA-512", "bob", "secret"}, `the login of "bob"`},
		"no login":          {closed, Security{TLS: encrypted}, "--sasl-mechanism"},
		"no TLS":            {closed, Security{nil, "PLAIN", "alice", "secret"}, "--tls"},
		"unknown authority": {closed, Security{&tls.Config{RootCAs: x509.NewCertPool()}, "PLAIN", "alice", "secret"}, "--tls-ca"},
		"another name":      {closed, Security{&tls.Config{RootCAs: roots, ServerName: "kafka.invalid"}, "PLAIN", "alice", "secret"}, "--tls-server-name"},
		"TLS for nothing":   {open, Security{TLS: encrypted}, "--tls"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := secured(t, c.broker.ListenAddrs(), c.security)
			if c.refused == "" {
				expect(t, res, plan.ExitPass)
				return
			}
			expect(t, res, plan.ExitUnreachable)
			if got := strings.Join(res.Verdict.Reasons, "\n"); !strings.Contains(got, c.refused) {
				t.Errorf("the reason does not say %q:\n%s", c.refused, got)
			}
		})
	}
}

// What keeps a run from its cluster is said with what to do about it.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	l.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, by its backlog, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, c := range map[string]struct{ addr, want string }{
		"nobody listens": {gone, "is the broker running"},
		"nobody answers": {silent.Addr().String(), "no answer within 1s"},
		"no such host":   {"no-such-host.invalid:9092", "nobody knows the name no-such-host.invalid"},
	} {
		res := Run(t.Context(), load(), Options{Brokers: []string{c.addr}, Prepare: time.Second})
		expect(t, res, plan.ExitUnreachable)
		if got := strings.Join(res.Verdict.Reasons, "\n"); !strings.Contains(got, c.want) || !strings.Contains(got, c.addr) {
			t.Errorf("%s: the reason does not say %q:\n%s", name, c.want, got)
		}
	}
}
