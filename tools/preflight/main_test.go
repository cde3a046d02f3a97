package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/streambus/streambus/tools/checks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func preflight(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(context.Background(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestChecklist(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	plan := filepath.Join(t.TempDir(), "plan.md")
	if err := os.WriteFile(plan, []byte("stop the load\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// The folder of the test need not be on a disk, so only the exit code of what follows from the flags is judged here.
	_, out, errs := preflight("--json", "--window", "10ms", "--dir", ".", "--brokers", cluster.ListenAddrs()[0], "--rollback-plan", plan, "--baseline", "../../bench/results")
	var all []checks.Result
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatalf("%v: %s", err, errs)
	}
	passed := map[string]bool{}
	for _, r := range all {
		passed[r.Condition] = r.Passed
	}
	for _, c := range []string{"rollback plan", "baseline on record", "free disk space"} {
		if !passed[c] {
			t.Errorf("%s does not hold: %s", c, out)
		}
	}
	if held, ok := passed["metrics at http://127.0.0.1:9644/metrics"]; !ok {
		t.Errorf("monitoring was not asked for (it holds: %t): %s", held, out)
	}
}

// TestTLS: a broker that speaks TLS answers who trusts its certificate, and nobody else.
func TestTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate, which is good for 127.0.0.1
	defer web.Close()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(&tls.Config{Certificates: web.TLS.Certificates}))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	trip := func(args ...string) checks.Result {
		t.Helper()
		_, out, errs := preflight(append(args, "--json", "--window", "10ms", "--brokers", cluster.ListenAddrs()[0])...)
		var all []checks.Result
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			t.Fatalf("%v: %s", err, errs)
		}
		for _, r := range all {
			if strings.HasPrefix(r.Condition, "round trip") {
				return r
			}
		}
		t.Fatalf("no round trip in %s", out)
		return checks.Result{}
	}
	if r := trip("--tls-ca", ca); !strings.Contains(r.Current, "median") {
		t.Errorf("with its certificate: %+v", r)
	}
	if r := trip("--tls"); r.Passed || r.Severity != checks.Stop || !strings.Contains(r.Current, "certificate") {
		t.Errorf("with the system's certificates: %+v", r)
	}
	if r := trip(); r.Passed || !strings.Contains(r.Do, "--tls") {
		t.Errorf("in the clear: %+v", r)
	}
}

func TestFatal(t *testing.T) {
	code, out, _ := preflight("--window", "10ms", "--dir", t.TempDir(), "--need-space", "1000000TiB")
	if code != exitStop || !strings.Contains(out, "free some") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	code, out, _ = preflight("--window", "10ms", "--dir", t.TempDir(), "--brokers", "127.0.0.1:1")
	if code != exitStop || !strings.Contains(out, "start the broker") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--need-space lots", "is no size"},
		{"here", "flags only"},
		{"--bandwidth", "needs --brokers"},
		{"--window 1ns", "10ms to 1h"},
		{"--brokers a:9092,,b:9092", "is empty"},
		{"--metrics=", "is empty"},
		{"--tls-ca main.go", "no certificate"},
		{"--warp", "--help"},
	} {
		if code, _, errs := preflight(strings.Fields(c.args)...); code != exitUsage || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit code %d: %s", c.args, code, errs)
		}
	}
	if code, out, _ := preflight("--help"); code != exitGo || !strings.Contains(out, "--need-write") {
		t.Errorf("--help: exit code %d\n%s", code, out)
	}
}
