//go:build clients

package clients

import (
	"os/exec"
	"strings"
	"testing"
)

// TestRegularExpressions has Kafka's Java consumer subscribe by expressions that the broker evaluates, and by some that it evaluates itself. It is
// told ids of topics, and asks for their names itself.
func TestRegularExpressions(t *testing.T) {
	jars := requireJars(t, "kafka-4")
	classes, err := compileJava(t.Context(), jars, "Pattern.java")
	if err != nil {
		t.Fatal(err)
	}
	args := jvm(jars, "Pattern", startPeer(t, *peerKind).addr, "rx-a,rx-ab,rx.c,yrx-a,RX-a")
	args[1] += ":" + classes
	var want []string
	for _, c := range []struct{ expression, want string }{
		{"rx-.", "[rx-a]"}, // the whole name must match
		{"^rx.*", "[rx-a, rx-ab, rx.c]"},
		{"(?i)rx-a", "[RX-a, rx-a]"},
		{"rx-a|yrx-a", "[rx-a, yrx-a]"},
		{`\Qrx.c\E`, "[rx.c]"},
		{"[", "InvalidRegularExpression"},
		{"rx-(?=a)", "InvalidRegularExpression"},
		{"client:rx-(?=a).*", "[rx-a, rx-ab]"},
		{"later:rx-later", "[rx-later]"}, // the group has a member that reads nothing
	} {
		args, want = append(args, c.expression), append(want, c.want)
	}
	out, err := exec.CommandContext(t.Context(), "java", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(strings.TrimSpace(string(out)), "\n"); strings.Join(got, "; ") != strings.Join(want, "; ") {
		t.Errorf("assigned %q,\n    want %q", got, want)
	}
}
