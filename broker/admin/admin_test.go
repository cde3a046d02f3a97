package admin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseTarget(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]Target{
		"start": {Kind: AtStart}, "earliest": {Kind: AtStart}, "end": {Kind: AtEnd}, "latest": {Kind: AtEnd},
		"0": {}, "4711": {Offset: 4711}, "+5": {Offset: 5, Shift: true}, "-5": {Offset: -5, Shift: true},
		"@1700000000000":        {Kind: AtTime, Time: time.UnixMilli(1700000000000)},
		"@2026-11-24T10:00:00Z": {Kind: AtTime, Time: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)},
		"@-2h":                  {Kind: AtTime, Time: now.Add(-2 * time.Hour)},
	} {
		if got, err := ParseTarget(s, now); err != nil || !got.Time.Equal(want.Time) || got.Kind != want.Kind || got.Offset != want.Offset || got.Shift != want.Shift {
			t.Errorf("%q: %+v, %v; want %+v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "x", "@", "@x", "@-", "@-x", "@--2h", "1.5", "99999999999999999999", " 1", "+-1"} {
		if got, err := ParseTarget(s, now); err == nil || !strings.Contains(err.Error(), "give start, end, an offset") {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
}

func TestParseQuota(t *testing.T) {
	for _, c := range []struct {
		key, text string
		want      float64
	}{
		{"producer_byte_rate", "1", 1}, {"producer_byte_rate", "0", 0}, {"consumer_byte_rate", "10MB", 10_000_000}, {"producer_byte_rate", "10MiB", 10_485_760},
		{"producer_byte_rate", "1.1MB", 1_100_000}, {"producer_byte_rate", "2.3GB", 2_300_000_000}, {"producer_byte_rate", "500kB", 500_000},
		{"producer_byte_rate", "500KB", 500_000}, {"producer_byte_rate", "1KiB", 1024}, {"producer_byte_rate", "1GiB", 1 << 30}, {"producer_byte_rate", "7B", 7},
		{"request_percentage", "50", 50}, {"request_percentage", "12.5%", 12.5}, {"controller_mutation_rate", "0.5", 0.5}, {"connection_creation_rate", "20", 20},
	} {
		if got, err := ParseQuota(c.key, c.text); err != nil || got != c.want {
			t.Errorf("%s=%s: %v, %v; want %v", c.key, c.text, got, err, c.want)
		}
	}
	for _, c := range []struct{ key, text, says string }{
		{"producer_byte_rate", "", "10MB"}, {"producer_byte_rate", "10mb", "10MB"}, {"producer_byte_rate", "10M", "MiB"}, {"producer_byte_rate", "10 MB", "10MB"},
		{"producer_byte_rate", "-1", "bytes a second"}, {"producer_byte_rate", "1e6", "bytes a second"}, {"producer_byte_rate", "NaN", "bytes a second"},
		{"producer_byte_rate", "MB", "bytes a second"}, {"producer_byte_rate", "5%", "bytes a second"}, {"producer_byte_rate", strings.Repeat("9", 400), "too large"},
		{"request_percentage", "5MB", "percent"}, {"controller_mutation_rate", "5%", "a number a second"}, {"connection_creation_rate", "1kB", "a number a second"},
	} {
		if got, err := ParseQuota(c.key, c.text); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s=%s: %v, %v; it should say %q", c.key, c.text, got, err, c.says)
		}
	}
}

func TestParseTopicPartitions(t *testing.T) {
	for s, want := range map[string][]int32{"a": nil, "a:0": {0}, "a:0,5,2": {0, 5, 2}} {
		topic, got, err := ParseTopicPartitions(s)
		if diff := cmp.Diff(want, got); err != nil || topic != "a" || diff != "" {
			t.Errorf("%q: %q, %v\n%s", s, topic, err, diff)
		}
	}
	for _, s := range []string{"", ":", "a:", ":1", "a:x", "a:-1", "a:1,", "a:2147483648"} {
		if _, _, err := ParseTopicPartitions(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

// TestErrorsSayWhatToDo: the codes that people meet come with advice, and stay what they are.
func TestErrorsSayWhatToDo(t *testing.T) {
	c := connect(t, Options{Brokers: []string{"h:1"}, Timeout: time.Second})
	for err, says := range map[error]string{
		kerr.UnknownTopicOrPartition:                          "topic list",
		fmt.Errorf("x: %w", kerr.NonEmptyGroup):               "stop the group's members",
		context.DeadlineExceeded:                              "--timeout",
		errors.New("request key is unknown"):                  "cluster api-versions",
		errors.New("something else"):                          "something else",
		kerr.TopicAuthorizationFailed:                         "--sasl-user",
		errors.New("broker is too old; the broker has alre…"): "does not serve this",
	} {
		got := c.explain("do it", err)
		if !strings.HasPrefix(got.Error(), "do it: ") || !strings.Contains(got.Error(), says) {
			t.Errorf("%v: %v, without %q", err, got, says)
		}
		var code *kerr.Error
		if errors.As(err, &code) && !errors.Is(got, code) {
			t.Errorf("%v is no %v any more", got, code)
		}
	}
	if c.explain("x", nil) != nil || c.refusal("x", 0, nil) != nil {
		t.Error("no error has become one")
	}
	words := "because"
	if err := c.refusal("x", kerr.PolicyViolation.Code, &words); !strings.Contains(err.Error(), words) || !errors.Is(err, kerr.PolicyViolation) {
		t.Errorf("%v", err)
	}
	if err := c.refusal("x", kerr.InvalidRequest.Code, &words); err.Error() != "x: INVALID_REQUEST: because" || !errors.Is(err, kerr.InvalidRequest) {
		t.Errorf("an invalid request blames more than the broker does: %v", err)
	}
}

func connect(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := Connect(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestBadOptions(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"certificate without key": {CertFile: junk},
		"key without certificate": {KeyFile: junk},
		"junk for a certificate":  {CertFile: junk, KeyFile: junk},
		"junk for CAs":            {CAFile: junk},
		"no such file":            {CAFile: filepath.Join(dir, "none")},
		"a user without more":     {User: "u"},
		"no password file":        {SASL: "PLAIN", User: "u"},
		"password file missing":   {SASL: "PLAIN", User: "u", PasswordFile: filepath.Join(dir, "none")},
		"mechanism":               {SASL: "GSSAPI", User: "u", PasswordFile: junk},
		"address":                 {Brokers: []string{"h:99999"}},
	} {
		if c, err := Connect(o); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
			if c != nil {
				c.Close()
			}
		}
	}
	if _, err := (ACL{Principal: "alice"}).numbers(true); !errors.Is(err, ErrOptions) {
		t.Errorf("a principal without a type: %v", err)
	}
	if err := (Resource{Broker: "one"}).check(); !errors.Is(err, ErrOptions) {
		t.Errorf("a broker that is no number: %v", err)
	}
}

// TestSomeOfMany: what can be done is done and told, and each that cannot has its error.
func TestSomeOfMany(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "there"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	c := connect(t, Options{Brokers: cluster.ListenAddrs()})
	made, err := c.CreateTopics(t.Context(), NewTopic{Partitions: 1, Replication: 1}, "new", "there")
	if len(made) != 1 || made[0].Topic != "new" || !errors.Is(err, kerr.TopicAlreadyExists) || !strings.Contains(err.Error(), "create topic there") {
		t.Errorf("%+v, %v", made, err)
	}
	gone, err := c.DeleteTopics(t.Context(), false, "new", "none")
	if len(gone) != 1 || gone[0].Name != "new" || !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("%+v, %v", gone, err)
	}
	described, err := c.Partitions(t.Context(), "there", "none")
	if len(described) != 1 || described[0].End != 0 || !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("%+v, %v", described, err)
	}
	if n, err := c.Consume(t.Context(), Consuming{Topic: "there", ToEnd: true}, nil); n != 0 || err != nil {
		t.Errorf("an empty topic to its end: %d, %v", n, err)
	}
	in := strings.NewReader("one\ntwo\nthree")
	sent, err := c.Produce(t.Context(), Producing{Topic: "there", Partition: -1, Layout: "%v\n"}, in)
	if err != nil || len(sent) != 1 || sent[0].Records != 3 {
		t.Errorf("a last line without its end is a line: %+v, %v", sent, err)
	}
	enough := errors.New("enough")
	if n, err := c.Consume(t.Context(), Consuming{Topic: "there", From: Target{Kind: AtStart}}, func(*Record) error { return enough }); n != 0 || !errors.Is(err, enough) {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := c.Trim(t.Context(), "there", nil, Target{Kind: AtStart}); err == nil {
		t.Error("to trim to the start is no work")
	}
}
