//go:build clients

package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// runKcat runs what kcat can: it has no administration.
func runKcat(r *run) error {
	if _, err := exec.LookPath("kcat"); err != nil {
		return fmt.Errorf("kcat is %w: %w", errNotInstalled, err)
	}
	banner, _ := exec.Command("kcat", "-V").CombinedOutput()
	if m := regexp.MustCompile(`Version (\S+) .*librdkafka (\S+)`).FindSubmatch(banner); m != nil {
		r.version = fmt.Sprintf("%s (librdkafka %s)", m[1], m[2])
	}
	k := kcat{r}
	all := strings.Join(numbered(0, 1000), "\n") + "\n"
	r.try("produce", func() error { _, err := k.kcat(all, "-P", "-t", r.prefix+"data"); return err })
	r.try("consume", func() error { return k.expect(all, "-C", "-t", r.prefix+"data", "-e", "-q") })
	r.try("headers", func() error {
		if _, err := k.kcat("v", "-P", "-t", r.prefix+"headers", "-H", "h=", "-H", "h=a b"); err != nil {
			return err
		}
		return k.expect("h=,h=a b v\n", "-C", "-t", r.prefix+"headers", "-e", "-q", "-f", "%h %s\n")
	})
	for _, name := range slices.Sorted(maps.Keys(codecs)) {
		r.try(name, func() error {
			values := strings.Join(large(), "\n") + "\n"
			if _, err := k.kcat(values, "-P", "-t", r.prefix+name, "-z", name); err != nil {
				return err
			}
			return k.expect(values, "-C", "-t", r.prefix+name, "-e", "-q")
		})
	}
	r.try("idempotent", func() error {
		values := strings.Join(numbered(0, 500), "\n") + "\n"
		if _, err := k.kcat(values, "-P", "-t", r.prefix+"idempotent", "-X", "enable.idempotence=true"); err != nil {
			return err
		}
		return k.expect(values, "-C", "-t", r.prefix+"idempotent", "-e", "-q")
	})
	r.try("group", k.group)
	r.try("txn-commit", k.txnCommit)
	r.report("txn-abort", "n.a.", "kcat aborts only when it is interrupted, at a moment that cannot be chosen")
	r.try("describe-topic", func() error {
		out, err := k.kcat("", "-L", "-t", r.prefix+"data")
		if err == nil && !strings.Contains(out, "partition 0, leader") {
			err = fmt.Errorf("-L: %s", out)
		}
		return err
	})
	for _, c := range features {
		if _, ok := r.outcomes[c.name]; !ok {
			r.report(c.name, "n.a.", "kcat cannot")
		}
	}
	return nil
}

type kcat struct{ *run }

func (k kcat) kcat(stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(k.ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kcat", append([]string{"-b", k.peer.addr}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("kcat %v: %w: %.300s", args, err, errs.String())
	}
	return string(out), err
}

func (k kcat) expect(want string, args ...string) error {
	got, err := k.kcat("", args...)
	if err == nil && got != want {
		err = fmt.Errorf("kcat %v: %d bytes that are not the %d expected: %.100q", args, len(got), len(want), got)
	}
	return err
}

// consumer is a kcat that stays.
type consumer struct {
	cmd *exec.Cmd
	out tail
}

func (k kcat) start(args ...string) (*consumer, error) {
	c := &consumer{cmd: exec.CommandContext(k.ctx, "kcat", append([]string{"-b", k.peer.addr}, args...)...)}
	c.cmd.Stdout = &c.out
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c, c.cmd.Start()
}

func (c *consumer) leave() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	_ = c.cmd.Wait()
}

// group has kcat's members store the offset of what they printed and commit it when they lose partitions and when they leave.
func (k kcat) group() error {
	topic := k.prefix + "group"
	if err := (&franz{run: k.run}).createWith(topic, 4); err != nil {
		return err
	}
	args := []string{"-G", topic, "-q", "-u", "-X", "auto.offset.reset=earliest", "-X", "heartbeat.interval.ms=200", "-X", "session.timeout.ms=6000", topic}
	produce := func(from, to int) error {
		for p := range 4 {
			var values []string
			for i, v := range numbered(from, to) {
				if i%4 == p {
					values = append(values, v)
				}
			}
			if _, err := k.kcat(strings.Join(values, "\n")+"\n", "-P", "-t", topic, "-p", fmt.Sprint(p)); err != nil {
				return err
			}
		}
		return nil
	}
	a, err := k.start(args...)
	if err != nil {
		return err
	}
	defer a.leave()
	if err := produce(0, 200); err != nil {
		return err
	}
	if err := k.wait(200, a); err != nil {
		return err
	}
	b, err := k.start(args...)
	if err != nil {
		return err
	}
	defer b.leave()
	n := 200
	for ; b.out.String() == ""; n += 40 {
		if err := errors.Join(produce(n, n+40), k.wait(n+40, a, b), k.ctx.Err()); err != nil {
			return err
		}
	}
	a.leave()
	if err := errors.Join(produce(n, n+200), k.wait(n+200, a, b)); err != nil {
		return err
	}
	got := strings.Fields(a.out.String() + b.out.String())
	slices.Sort(got)
	want := numbered(0, n+200)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return fmt.Errorf("%d values consumed, %d of them different; want %d", len(got), len(slices.Compact(got)), len(want))
	}
	return nil
}

func (k kcat) wait(n int, members ...*consumer) error {
	got := map[string]bool{}
	for until := time.Now().Add(15 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		for _, m := range members {
			for _, v := range strings.Fields(m.out.String()) {
				got[v] = true
			}
		}
		if len(got) >= n {
			return nil
		}
	}
	return fmt.Errorf("%d of %d values consumed", len(got), n)
}

func (k kcat) txnCommit() error {
	values := strings.Join(numbered(0, 10), "\n") + "\n"
	if _, err := k.kcat(values, "-P", "-t", k.prefix+"txn", "-X", "transactional.id="+k.prefix+"txn", "-m", "10"); err != nil {
		return err
	}
	return k.expect(values, "-C", "-t", k.prefix+"txn", "-e", "-q", "-X", "isolation.level=read_committed")
}
