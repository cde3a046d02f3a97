package fault

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/streambus/streambus/loadscript/internal/pace"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// story writes down what an engine does, with the virtual time of each line.
type story struct {
	clock *pace.Wall
	mu    sync.Mutex
	lines []string
	fails map[string]error // by "kill 127.0.0.1:1"
}

func (h *story) tell(format string, a ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, strings.TrimSpace(fmt.Sprintf("%5s  ", h.clock.Now())+fmt.Sprintf(format, a...)))
}

func (h *story) do(what, addr string) error {
	h.tell("%s %s", what, addr)
	return h.fails[what+" "+addr]
}

func (h *story) Kill(addr string) error                      { return h.do("kill", addr) }
func (h *story) Shutdown(addr string) error                  { return h.do("shutdown", addr) }
func (h *story) Launch(_ context.Context, addr string) error { return h.do("launch", addr) }
func (h *story) Pause(_ context.Context, addr string) error  { return h.do("pause", addr) }
func (h *story) Resume(_ context.Context, addr string) error { return h.do("resume", addr) }

// Disk counts as felt what fails says of "felt ADDR", as a number; the error of "heal ADDR" is that of heal.
func (h *story) Disk(_ context.Context, addr string, delay time.Duration, full bool) (func(context.Context) (int64, error), error) {
	if err := h.do(fmt.Sprintf("disk (%s, full %t)", delay, full), addr); err != nil {
		return nil, err
	}
	felt := int64(7)
	if n := h.fails["felt "+addr]; n != nil {
		felt, _ = strconv.ParseInt(n.Error(), 10, 64) // the test's own
	}
	return func(context.Context) (int64, error) { return felt, h.do("heal", addr) }, nil
}

func (h *story) Clock(ctx context.Context, addr string, skew time.Duration) (func(context.Context) (int64, error), error) {
	heal, err := h.Disk(ctx, addr, 0, false)
	h.tell("clock (%s)", skew)
	return heal, err
}

func (h *story) members(_ context.Context, group string, join, leave int) error {
	h.tell("%s: %d join, %d leave", group, join, leave)
	return nil
}

func (h *story) event(e report.Event) func(string) {
	h.tell("%s of %q; %s", e.Name, e.Target, e.Error)
	return func(detail string) {
		if e.Error == "" {
			h.tell("%s is over: %s", e.Name, detail)
		}
	}
}

// two is a cluster of two brokers at addresses where nobody listens. The leader is 1, then 2 from the sixtieth second on, and
// nobody from 50 to 55 s.
func (h *story) look(context.Context, *plan.Fault) (*View, error) {
	leader := int32(1)
	switch now := h.clock.Now(); {
	case now >= 60*s:
		leader = 2
	case now >= 50*s && now < 55*s:
		leader = -1
	}
	return &View{
		Brokers: []Broker{{1, "127.0.0.1:1"}, {2, "127.0.0.1:2"}}, Controller: -1,
		Partitions: map[Partition]Replicas{{"orders", 0}: {leader, []int32{1, 2}}},
	}, nil
}

// play runs faults on a virtual clock until stop and gives the story. F4: it ends.
func play(t *testing.T, stop time.Duration, fails map[string]error, faults ...plan.Fault) (lines []string) {
	synctest.Test(t, func(t *testing.T) {
		h := &story{clock: pace.NewWall(), fails: fails}
		ctx, cancel := context.WithTimeout(t.Context(), stop)
		defer cancel()
		e := Engine{Clock: h.clock, Seed: 1, Look: h.look, Event: h.event, Control: h, Members: h.members}
		e.Run(ctx, faults, 100*s)
		h.tell("the end")
		lines = h.lines
	})
	return lines
}

func expectStory(t *testing.T, got []string, want string) {
	t.Helper()
	var lines []string
	for _, l := range strings.Split(strings.TrimSpace(want), "\n") {
		lines = append(lines, strings.TrimSpace(l))
	}
	if d := cmp.Diff(lines, got); d != "" {
		t.Error(d)
	}
}

var leader = []plan.Target{{Kind: "leader", Topic: "orders"}}

func TestKillIsHealedInTime(t *testing.T) { // F2: the leader of then
	expectStory(t, play(t, 100*s, nil,
		plan.Fault{Kind: "kill", Targets: leader, At: 30 * s, RestartAfter: 20 * s},
		plan.Fault{Kind: "pause", Targets: leader, At: 70 * s, Duration: 5 * s},
		plan.Fault{Kind: "restart", Targets: []plan.Target{{Kind: "rolling"}}, At: 80 * s, Every: 5 * s},
		plan.Fault{Kind: "rebalance", Group: "billing", Leave: 1, At: 10 * s, RejoinAfter: 3 * s},
	), `
		10s  rebalance billing of "group billing"; 
		10s  billing: 0 join, 1 leave
		13s  billing: 1 join, 0 leave
		13s  rebalance billing is over: 1 leave
		30s  kill leader(orders/0) of "broker 1 (127.0.0.1:1)"; 
		30s  kill 127.0.0.1:1
		50s  launch 127.0.0.1:1
		50s  kill leader(orders/0) is over: its process was seen gone
		1m10s  pause leader(orders/0) of "broker 2 (127.0.0.1:2)"; 
		1m10s  pause 127.0.0.1:2
		1m15s  resume 127.0.0.1:2
		1m15s  pause leader(orders/0) is over: its process was seen stopped
		1m20s  restart rolling() of "broker 1 (127.0.0.1:1)"; 
		1m20s  shutdown 127.0.0.1:1
		1m20s  launch 127.0.0.1:1
		1m20s  restart rolling() is over: its process was seen gone
		1m25s  restart rolling() of "broker 2 (127.0.0.1:2)"; 
		1m25s  shutdown 127.0.0.1:2
		1m25s  launch 127.0.0.1:2
		1m25s  restart rolling() is over: its process was seen gone
		1m30s  restart rolling() of "broker 1 (127.0.0.1:1)"; 
		1m30s  shutdown 127.0.0.1:1
		1m30s  launch 127.0.0.1:1
		1m30s  restart rolling() is over: its process was seen gone
		1m35s  restart rolling() of "broker 2 (127.0.0.1:2)"; 
		1m35s  shutdown 127.0.0.1:2
		1m35s  launch 127.0.0.1:2
		1m35s  restart rolling() is over: its process was seen gone
		1m35s  the end`)
}

// Disks and clocks are struck one by one, and healed when the time is over, or the run is.
func TestDisksAndClocks(t *testing.T) {
	brokers := []plan.Target{{Kind: "brokers"}}
	expectStory(t, play(t, 75*s, nil,
		plan.Fault{Kind: "slow_disk", Targets: leader, At: 10 * s, Delay: 200 * time.Millisecond, Duration: 5 * s},
		plan.Fault{Kind: "disk_full", Targets: leader, At: 70 * s, Duration: 30 * s},
		plan.Fault{Kind: "clock_skew", Targets: leader, At: 20 * s, Skew: 90 * time.Minute, Duration: 5 * s},
		plan.Fault{Kind: "clock_skew", Targets: leader, At: 30 * s, Skew: -5 * s, Duration: 5 * s},
	), `
		10s  slow_disk leader(orders/0) of "broker 1 (127.0.0.1:1)"; 
		10s  disk (200ms, full false) 127.0.0.1:1
		15s  heal 127.0.0.1:1
		15s  slow_disk leader(orders/0) is over: each write and flush takes 200ms longer; 7 writes and flushes were slow
		20s  clock_skew leader(orders/0) of "broker 1 (127.0.0.1:1)"; 
		20s  disk (0s, full false) 127.0.0.1:1
		20s  clock (1h30m0s)
		25s  heal 127.0.0.1:1
		25s  clock_skew leader(orders/0) is over: its clock is 1h30m ahead; it looked at the clock 7 times
		30s  clock_skew leader(orders/0) of "broker 1 (127.0.0.1:1)"; 
		30s  disk (0s, full false) 127.0.0.1:1
		30s  clock (-5s)
		35s  heal 127.0.0.1:1
		35s  clock_skew leader(orders/0) is over: its clock is 5s behind; it looked at the clock 7 times
		1m10s  disk_full leader(orders/0) of "broker 2 (127.0.0.1:2)"; 
		1m10s  disk (0s, full true) 127.0.0.1:2
		1m15s  heal 127.0.0.1:2
		1m15s  disk_full leader(orders/0) is over: no room for anything new; 7 requests for room were refused
		1m15s  the end`)
	for name, c := range map[string]struct {
		kind  string
		fails map[string]error
		want  []string
		not   string
	}{
		"all felt it":             {"disk_full", nil, []string{"; 14 requests for room were refused"}, "it "},
		"one felt it":             {"slow_disk", map[string]error{"felt 127.0.0.1:1": errors.New("0")}, []string{"; 7 writes and flushes were slow"}, "it "},
		"nobody asked for room":   {"disk_full", map[string]error{"felt 127.0.0.1:1": errors.New("0"), "felt 127.0.0.1:2": errors.New("0")}, []string{"it had no effect", "nothing asked for room"}, "healed"},
		"nobody wrote":            {"slow_disk", map[string]error{"felt 127.0.0.1:1": errors.New("0"), "felt 127.0.0.1:2": errors.New("0")}, []string{"it had no effect", "nothing was written"}, "healed"},
		"nobody looked":           {"clock_skew", map[string]error{"felt 127.0.0.1:1": errors.New("0"), "felt 127.0.0.1:2": errors.New("0")}, []string{"it had no effect", "nothing looked at the clock"}, "healed"},
		"one ended, so who knows": {"slow_disk", map[string]error{"felt 127.0.0.1:1": errors.New("-1"), "felt 127.0.0.1:2": errors.New("0")}, []string{"a broker that has ended cannot say"}, "it had"},
		"one cannot be struck":    {"disk_full", map[string]error{"disk (1s, full true) 127.0.0.1:2": errors.New("no")}, []string{"it could not be applied: no", "heal 127.0.0.1:1"}, "heal 127.0.0.1:2"},
		"one cannot be healed":    {"slow_disk", map[string]error{"heal 127.0.0.1:2": errors.New("no")}, []string{"it could not be healed: no", "heal 127.0.0.1:1"}, "effect"},
	} {
		got := strings.Join(play(t, 100*s, c.fails, plan.Fault{Kind: c.kind, Targets: brokers, At: 10 * s, Delay: s, Skew: s, Duration: s}), "\n")
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", name, want, got)
			}
		}
		if strings.Contains(got, c.not) {
			t.Errorf("%s: %q in\n%s", name, c.not, got)
		}
	}
}

// The end of the run heals what is in force, whether it comes as planned or early, and begins nothing more (F4).
func TestTheEndHeals(t *testing.T) {
	expectStory(t, play(t, 40*s, nil,
		plan.Fault{Kind: "kill", Targets: leader, At: 30 * s},
		plan.Fault{Kind: "pause", Targets: leader, At: 45 * s, Duration: s},
	), `
		30s  kill leader(orders/0) of "broker 1 (127.0.0.1:1)"; 
		30s  kill 127.0.0.1:1
		40s  launch 127.0.0.1:1
		40s  kill leader(orders/0) is over: its process was seen gone
		40s  the end`)
}

// A leader that is away for a moment is waited for; one that does not come is an error (F3).
func TestWaitsForALeader(t *testing.T) {
	expectStory(t, play(t, 100*s, nil,
		plan.Fault{Kind: "pause", Targets: leader, At: 52 * s, Duration: s},
		plan.Fault{Kind: "pause", Targets: []plan.Target{{Kind: "controller"}}, At: 10 * s, Duration: s},
	), `
		30s  pause controller() of ""; its target could not be found: after 20s: nobody to strike: there is no controller() now
		55s  pause leader(orders/0) of "broker 1 (127.0.0.1:1)"; 
		55s  pause 127.0.0.1:1
		55s  resume 127.0.0.1:1
		55s  pause leader(orders/0) is over: its process was seen stopped
		55s  the end`)
}

// A fault that waits for its target when the load ends was not applied; one that an interrupt ends is nobody's mistake (F3).
func TestTheEndIsTooEarly(t *testing.T) {
	for _, c := range []struct {
		cause error
		want  string
	}{
		{ErrEnd, `
		15s  pause controller() of ""; its target could not be found: until the load ended: nobody to strike: there is no controller() now
		15s  the end`},
		{context.Canceled, "15s  the end"},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := &story{clock: pace.NewWall()}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer time.AfterFunc(15*s, func() { cancel(c.cause) }).Stop()
			e := Engine{Clock: h.clock, Seed: 1, Look: h.look, Event: h.event, Control: h, Members: h.members}
			e.Run(ctx, []plan.Fault{{Kind: "pause", Targets: []plan.Target{{Kind: "controller"}}, At: 10 * s, Duration: s}}, 100*s)
			h.tell("the end")
			expectStory(t, h.lines, c.want)
		})
	}
}

// What cannot be applied is an event with an error, and what was half done is healed (F3, F4).
func TestFailures(t *testing.T) {
	no := errors.New("permission denied")
	brokers := []plan.Target{{Kind: "brokers"}}
	got := strings.Join(play(t, 100*s, map[string]error{"kill 127.0.0.1:2": no, "resume 127.0.0.1:1": no},
		plan.Fault{Kind: "kill", Targets: brokers, At: 10 * s, RestartAfter: s},
		plan.Fault{Kind: "pause", Targets: leader, At: 20 * s, Duration: s},
		plan.Fault{Kind: "latency", Targets: leader, At: 30 * s, Duration: s, Delay: s},
		plan.Fault{Kind: "flood", Targets: leader, At: 40 * s, Duration: s},
	), "\n")
	for _, want := range []string{
		"10s  launch 127.0.0.1:1", "it could not be applied: permission denied", "it could not be healed: permission denied",
		"it could not be applied: no link that goes through a proxy of ours", "there is no way to apply flood",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "launch 127.0.0.1:2") {
		t.Errorf("a broker that was never killed is launched:\n%s", got)
	}
}
