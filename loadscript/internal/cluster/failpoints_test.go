package cluster

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// startAiling starts the stand-in with failpoints.
func startAiling(t *testing.T, fault string, opts Options) (*Cluster, error) {
	opts.Failpoints = true
	return start(t, fault, opts)
}

// told is what the stand-in's failpoints were told, without the numbers, since it was started last.
func told(t *testing.T, c *Cluster) (words []string) {
	t.Helper()
	text, err := os.ReadFile(c.opts.Log)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "starting on ") {
			words = nil
		}
		if rest, ok := strings.CutPrefix(line, "points: "); ok {
			_, word, _ := strings.Cut(rest, " ")
			words = append(words, word)
		}
	}
	return words
}

func expectTold(t *testing.T, c *Cluster, want ...string) {
	t.Helper()
	if got := told(t, c); !slices.Equal(got, want) {
		t.Errorf("the broker was told\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// disk strikes and must succeed.
func disk(t *testing.T, c *Cluster, delay time.Duration, full bool) (heal func() int64) {
	t.Helper()
	f, err := c.Disk(t.Context(), c.Addrs()[0], delay, full)
	if err != nil {
		t.Fatal(err)
	}
	return func() int64 {
		t.Helper()
		n, err := f(t.Context())
		if err != nil {
			t.Error(err)
		}
		return n
	}
}

const well = "delay=0s full=false skew=0s"

// Faults of a disk add up, and each is healed alone (C4).
func TestDiskFaultsAddUp(t *testing.T) {
	c, err := startAiling(t, "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	slow := disk(t, c, 100*time.Millisecond, false)
	slower := disk(t, c, 50*time.Millisecond, false)
	full := disk(t, c, 0, true)
	if n := slow(); n != 30 {
		t.Errorf("%d operations were slowed, want 30", n)
	}
	if n := full(); n != 40 {
		t.Errorf("%d requests were refused, want 40", n)
	}
	forever := disk(t, c, time.Hour, false)
	slower()
	forever()
	expectTold(t, c, well, "delay=100ms full=false skew=0s", "delay=150ms full=false skew=0s", "delay=150ms full=true skew=0s", "delay=50ms full=true skew=0s", "delay=50ms full=false skew=0s",
		"delay=1h0m0s full=false skew=0s", "delay=1h0m0s full=false skew=0s", well)
	if _, err := c.Disk(t.Context(), "127.0.0.1:1", 0, true); err == nil || !strings.Contains(err.Error(), "not a broker of this run") {
		t.Errorf("a broker that is not ours: %v", err)
	}
}

// Skews of a clock add up, to ten years at most, beside what is wrong with the disk.
func TestClockFaultsAddUp(t *testing.T) {
	c, err := startAiling(t, "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	clock := func(skew time.Duration) func() {
		f, err := c.Clock(t.Context(), c.Addrs()[0], skew)
		if err != nil {
			t.Fatal(err)
		}
		return func() {
			if n, err := f(t.Context()); n <= 0 || err != nil {
				t.Errorf("it looked at the clock %d times, %v", n, err)
			}
		}
	}
	ahead := clock(mostSkew)
	further := clock(time.Hour)
	full := disk(t, c, 0, true)
	further()
	behind := clock(-5 * time.Second)
	full()
	ahead()
	behind()
	expectTold(t, c, well, "delay=0s full=false skew=87600h0m0s", "delay=0s full=false skew=87600h0m0s", "delay=0s full=true skew=87600h0m0s", "delay=0s full=true skew=87600h0m0s",
		"delay=0s full=true skew=87599h59m55s", "delay=0s full=false skew=87599h59m55s", "delay=0s full=false skew=-5s", well)
}

// A disk stays as it is made while the broker is killed and started again, and is healed while it is down (C5).
func TestDiskFaultOutlivesTheBroker(t *testing.T) {
	c, err := startAiling(t, "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	addr := c.Addrs()[0]
	full := disk(t, c, 0, true)
	if err := c.Kill(addr); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Disk(t.Context(), addr, time.Second, false); err == nil || !strings.Contains(err.Error(), "down already") {
		t.Errorf("the disk of a broker that is down was struck: %v", err)
	}
	if err := c.Launch(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	expectTold(t, c, "delay=0s full=true skew=0s")
	slow := disk(t, c, time.Second, false)
	if n := full(); n != -1 {
		t.Errorf("another process says that %d operations of the first one were refused", n)
	}
	expectTold(t, c, "delay=0s full=true skew=0s", "delay=1s full=true skew=0s", "delay=1s full=false skew=0s")
	if err := c.Shutdown(addr); err != nil {
		t.Fatal(err)
	}
	if n := slow(); n != -1 {
		t.Errorf("a broker that is down says that %d operations were slowed", n)
	}
	if err := c.Launch(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	expectTold(t, c, well)
}

// A paused broker does not answer; what it was told meanwhile is healed again, and it hears of that when it goes on.
func TestDiskOfAPausedBroker(t *testing.T) {
	c, err := startAiling(t, "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	addr := c.Addrs()[0]
	if err := c.Pause(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.Disk(ctx, addr, 0, true); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("error %v, want one that it does not answer", err)
	}
	if err := c.Resume(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	heal := disk(t, c, time.Second, false) // the answers to what it was told before are not taken for this one's
	heal()
	expectTold(t, c, well, "delay=0s full=true skew=0s", well, "delay=1s full=false skew=0s", well)
}

// A broker that cannot start on a full disk is started again until there is room, and nobody takes it for dead.
func TestLaunchOnAFullDisk(t *testing.T) {
	c, err := startAiling(t, "starving", Options{})
	if err != nil {
		t.Fatal(err)
	}
	addr := c.Addrs()[0]
	heal := disk(t, c, 0, true)
	if err := c.Kill(addr); err != nil {
		t.Fatal(err)
	}
	launched := make(chan error, 1)
	go func() { launched <- c.Launch(t.Context(), addr) }()
	for tries := 0; tries < 4; { // the first was before, on a disk in good health
		text, err := os.ReadFile(c.opts.Log)
		if err != nil {
			t.Fatal(err)
		}
		tries = strings.Count(string(text), "starting on")
		select {
		case err := <-launched:
			t.Fatalf("after %d starts: %v", tries, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	heal()
	if err := <-launched; err != nil {
		t.Fatal(err)
	}
	if err := ask(t, addr); err != nil {
		t.Error(err)
	}
	select {
	case <-c.Dead():
		t.Errorf("a broker that waits for room is taken for dead: %s", c.Exit())
	default:
	}
	heal = disk(t, c, 0, true)
	if err := c.Shutdown(addr); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := c.Launch(ctx, addr); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("error %v, want the broker's own", err)
	}
	heal()
}

func TestBrokersWithoutFailpoints(t *testing.T) {
	for fault, opts := range map[string]Options{"no points": {}, "garbled points": {}, "silent points": {Ready: 3 * time.Second}} {
		if _, err := startAiling(t, fault, opts); err == nil || !strings.Contains(err.Error(), "knows no failpoints") {
			t.Errorf("%s: error %v, want one that it knows no failpoints", fault, err)
		}
	}
	c, err := start(t, "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Disk(t.Context(), c.Addrs()[0], 0, true); err == nil || !strings.Contains(err.Error(), "without failpoints") {
		t.Errorf("error %v, want one that it was started without failpoints", err)
	}
}
