package docs

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// block is a shell block of a guide.
type block struct {
	line       int
	text       string
	skip       string // why it is not run
	until      string // it runs in the background until it has printed this
	exit       string // the codes that it may end with, as in 0,95; empty is 0
	env        []string
	slow, repo bool
	stop       bool // the last background block is stopped before
}

var directive = regexp.MustCompile(`^<!-- test: (.*) -->$`)

// parse finds the shell blocks of a guide.
func parse(markdown string) (all []block, err error) {
	lines := strings.Split(markdown, "\n")
	for i := 0; i < len(lines); i++ {
		if lines[i] != "```sh" {
			if strings.HasPrefix(lines[i], "```bash") || strings.HasPrefix(lines[i], "```shell") || strings.HasPrefix(lines[i], "```console") {
				return nil, fmt.Errorf("line %d: write ```sh, so that the block is run", i+1)
			}
			if directive.MatchString(lines[i]) && (i+1 == len(lines) || lines[i+1] != "```sh") {
				return nil, fmt.Errorf("line %d: no shell block follows", i+1)
			}
			continue
		}
		b := block{line: i + 1}
		if i > 0 {
			if m := directive.FindStringSubmatch(lines[i-1]); m != nil {
				if err := b.direct(m[1]); err != nil {
					return nil, fmt.Errorf("line %d: %w", i, err)
				}
			}
		}
		for i++; i < len(lines) && lines[i] != "```"; i++ {
			b.text += lines[i] + "\n"
		}
		if i == len(lines) {
			return nil, fmt.Errorf("line %d: the block does not end", b.line)
		}
		all = append(all, b)
	}
	return all, nil
}

// direct reads the words of a directive.
func (b *block) direct(text string) error {
	if why, ok := strings.CutPrefix(text, "skip "); ok {
		b.skip = why
		return nil
	}
	if until, ok := strings.CutPrefix(text, "background until "); ok {
		b.until = until
		return nil
	}
	words := strings.Fields(text)
	for i := 0; i < len(words); i++ {
		switch words[i] {
		case "slow":
			b.slow = true
		case "repo":
			b.repo = true
		case "stop":
			b.stop = true
		case "exit":
			if i++; i == len(words) {
				return errors.New("exit wants a code")
			}
			for code := range strings.SplitSeq(words[i], ",") {
				if _, err := strconv.ParseUint(code, 10, 8); err != nil {
					return err
				}
			}
			b.exit = words[i]
		case "env":
			b.env = words[i+1:]
			return nil
		default:
			return fmt.Errorf("unknown word %q", words[i])
		}
	}
	return nil
}

// script makes one shell script of the blocks.
func script(name, repo string, all []block, slow bool) string {
	var s strings.Builder
	s.WriteString("set -eu -o pipefail\nbackground=\ntrap 'for p in $background; do kill -TERM $p 2>/dev/null; wait $p || true; done' EXIT\n")
	for _, b := range all {
		if b.skip != "" || b.slow && !slow {
			continue
		}
		fmt.Fprintf(&s, "echo '== %s:%d'\n", name, b.line)
		if b.until != "" {
			// The loop ends because the text comes, or because the program is gone; the test as a whole has its limit.
			fmt.Fprintf(&s, "exec %s >block-%d.log 2>&1 &\np=$!\nbackground=\"$p $background\"\n", strings.TrimPrefix(strings.TrimSpace(b.text), "exec "), b.line)
			fmt.Fprintf(&s, "until grep -qF -- %s block-%d.log; do kill -0 $p || { cat block-%d.log; exit 1; }; sleep 0.1; done\n", quote(b.until), b.line, b.line)
			continue
		}
		if b.stop {
			s.WriteString("p=${background%% *} background=${background#* }\nkill -TERM $p\nwait $p\n")
		}
		text := b.text
		if b.repo {
			text = "cd " + quote(repo) + "\n" + text
		}
		if b.repo || b.exit != "" || len(b.env) > 0 { // in a shell of its own
			for _, e := range b.env {
				name, value, _ := strings.Cut(e, "=")
				text = "export " + name + "=" + quote(value) + "\n" + text
			}
			codes := cmp.Or(b.exit, "0")
			// set +e, because errexit does not hold inside a command whose code is asked for by ||.
			text = fmt.Sprintf("set +e\n( set -e\n%s)\ncode=$?\nset -e\ncase ,%s, in *,$code,*) ;; *) echo \"exit code $code, want %s\"; exit 1 ;; esac\n", text, codes, codes)
		}
		s.WriteString(text)
	}
	return s.String()
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func TestParse(t *testing.T) {
	all, err := parse("text\n```sh\none\n```\n<!-- test: slow repo exit 3 env A=1 B=2 -->\n```sh\ntwo\n```\n<!-- test: skip it needs root -->\n```sh\nthree\n```\n" +
		"<!-- test: background until is ready -->\n```sh\nfour\n```\n```\nno shell\n```\n")
	if err != nil || len(all) != 4 {
		t.Fatalf("%+v, %v", all, err)
	}
	want := []block{{line: 2, text: "one\n"}, {line: 6, text: "two\n", slow: true, repo: true, exit: "3", env: []string{"A=1", "B=2"}},
		{line: 10, text: "three\n", skip: "it needs root"}, {line: 14, text: "four\n", until: "is ready"}}
	if fmt.Sprint(all) != fmt.Sprint(want) {
		t.Errorf("%+v\nwant %+v", all, want)
	}
	for _, bad := range []string{"```bash\n```", "```sh\n", "<!-- test: warp -->\n```sh\n```", "<!-- test: slow -->\ntext"} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// TestScript: the shell ends at the first command that fails, and codes are compared.
func TestScript(t *testing.T) {
	for _, c := range []struct {
		markdown string
		good     bool
	}{
		{"```sh\nx=1\n```\n```sh\ntest $x = 1\n```", true},
		{"```sh\nfalse\ntrue\n```", false},
		{"```sh\nfalse | true\n```", false},
		{"<!-- test: exit 3 -->\n```sh\n(exit 3)\n```", true},
		{"<!-- test: exit 3 -->\n```sh\ntrue\n```", false},
		{"<!-- test: exit 0,3 -->\n```sh\n(exit 3)\ntrue\n```", true},
		{"<!-- test: exit 0,3 -->\n```sh\n(exit 4)\ntrue\n```", false},
		{"<!-- test: exit 3,x -->\n```sh\ntrue\n```", false},
		{"<!-- test: env X=^a$/$HOME -->\n```sh\ntest \"$X\" = '^a$/$HOME'\n```", true},
		{"<!-- test: env X=5 -->\n```sh\ntest $X = 5\n```", true},
		{"<!-- test: background until up -->\n```sh\nsh -c 'echo up; sleep 100'\n```\n```sh\ncat block-2.log\n```", true},
		{"<!-- test: background until up -->\n```sh\nsh -c 'echo down'\n```", false},
		{"<!-- test: background until up -->\n```sh\nsh -c 'trap \"echo bye; exit 0\" TERM; echo up; while true; do sleep 0.1; done'\n```\n<!-- test: stop -->\n```sh\ngrep bye block-2.log\n```", true},
	} {
		all, err := parse(c.markdown)
		if err != nil && !c.good {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		out, err := run(t, t.TempDir(), script("x.md", "/", all, true), false, 30*time.Second)
		if (err == nil) != c.good {
			t.Errorf("%s\n%v: %s", c.markdown, err, out)
		}
	}
}

// run runs a script to its end, in a network of its own if it may.
func run(t *testing.T, dir, script string, apart bool, limit time.Duration) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if apart {
		script = "ip link set lo up || exit\n" + script
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if apart {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
		if id := os.Getuid(); id != 0 {
			cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: id, Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		}
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) } // the whole group, which is ours
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("it takes more than %v: %w", limit, err)
	}
	return out.Bytes(), err
}

// ports of the guides.
var ports = []string{"9092", "9192", "9644", "9645"}

// network says whether guides get one of their own. Where that is not allowed, or there is no ip command, their ports must be free.
func network(t *testing.T) (apart bool) {
	t.Helper()
	if _, err := run(t, t.TempDir(), "true", true, 10*time.Second); err == nil {
		return true
	}
	for _, p := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:"+p)
		if err != nil {
			t.Skipf("this user may have no network namespace, and port %s is in use: the guides are not run", p)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return false
}

// scratch is a folder that looks like the repository to who only uses what is built.
func scratch(t *testing.T, repo string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"bin", "scripts", "deploy", "docs"} {
		if err := os.Symlink(filepath.Join(repo, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestGuides runs the guides: those of the name in GUIDE, or all; GUIDES=all runs what is slow, too.
func TestGuides(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: guides start brokers")
	}
	repo, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	apart, slow := network(t), os.Getenv("GUIDES") == "all"
	build := exec.Command("make", "build")
	build.Dir = repo
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make build: %v\n%s", err, out)
	}
	limit := 3 * time.Minute
	if slow {
		limit = 40 * time.Minute
	}
	guides, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, g := range guides {
		text, err := os.ReadFile(g)
		if err != nil {
			t.Fatal(err)
		}
		all, err := parse(string(text))
		if err != nil {
			t.Fatalf("%s: %v", g, err)
		}
		if only := os.Getenv("GUIDE"); len(all) == 0 || only != "" && only != g {
			continue
		}
		ran++
		t.Run(g, func(t *testing.T) {
			if apart && !slow {
				t.Parallel() // each has its own ports
			}
			out, err := run(t, scratch(t, repo), script(g, repo, all, slow), apart, limit)
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	if ran == 0 {
		t.Error("no guide was run")
	}
}
