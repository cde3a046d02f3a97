package fault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/streambus/streambus/loadscript/internal/pace"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/proxy"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// Control steers the processes of brokers on this machine, named by their host:port for clients. What is asked for is done when
// a call returns.
type Control interface {
	Kill(addr string) error                        // as kill -9 does
	Shutdown(addr string) error                    // asks it to end, and waits
	Launch(ctx context.Context, addr string) error // again, with the same data; returns when it answers
	Pause(ctx context.Context, addr string) error
	Resume(ctx context.Context, addr string) error
	// Disk delays each write and flush of a broker, or fills its disk, until heal is called; felt is how many operations were struck, -1
	// where that is not known, for the broker has ended meanwhile. Clock moves a broker's clock likewise, and felt is how often it looked.
	Disk(ctx context.Context, addr string, delay time.Duration, full bool) (heal func(context.Context) (felt int64, err error), err error)
	Clock(ctx context.Context, addr string, skew time.Duration) (heal func(context.Context) (felt int64, err error), err error)
}

// Engine applies faults. All fields but Control, Nets and Members are required.
type Engine struct {
	Clock   pace.Clock
	Seed    uint64                                                         // of the scenario
	Look    func(ctx context.Context, f *plan.Fault) (*View, error)        // asks the cluster about a fault's targets
	Event   func(e report.Event) (over func(detail string))                // something begins now, and is over
	Control Control                                                        // nil: the processes are not ours
	Nets    []*proxy.Net                                                   // of clients, of brokers; empty: links cannot be struck
	Members func(ctx context.Context, group string, join, leave int) error // changes a group of the load; nil: cannot be done
	Seeds   []string                                                       // host:port by which clients may know brokers too
}

// ErrEnd is the cause with which Run's ctx ends when the load has ended, and not for an interrupt: a fault whose moment had come and
// that could not begin until then was not applied.
var ErrEnd = errors.New("the load has ended")

// Limits of what a beat may take. A cluster may have no leader for a while, more so when faults follow close upon each other.
const (
	resolveLimit = 20 * time.Second
	lookLimit    = 3 * time.Second
	healLimit    = 3 * time.Minute
	retryEvery   = 100 * time.Millisecond
)

// Run applies the faults of a run that is end long and returns when ctx ends, or all are over; everything is healed then (F4).
func (e *Engine) Run(ctx context.Context, faults []plan.Fault, end time.Duration) {
	var wg sync.WaitGroup
	for _, row := range Rows(faults, e.Seed, end) {
		wg.Go(func() {
			for _, b := range row {
				if e.Clock.Sleep(ctx, b.At-e.Clock.Now()) != nil {
					return
				}
				e.beat(ctx, b)
			}
		})
	}
	wg.Wait()
}

// beat is one disturbance from its begin to its end.
func (e *Engine) beat(ctx context.Context, b Beat) {
	event := report.Event{Kind: "fault", Name: Name(b.Fault), Detail: strength(b.Fault)}
	fail := func(did string, err error) {
		failed := event
		failed.Error = did + ": " + err.Error()
		e.Event(failed)("")
	}
	victims, err := e.resolve(ctx, b)
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), ErrEnd) {
		return // the run was interrupted while it waited for a leader: the fault never began
	}
	if ctx.Err() != nil && err == nil {
		err = ErrEnd
	}
	if err != nil {
		fail("its target could not be found", err)
		return
	}
	event.Target = victims.String()
	if b.Fault.Kind == "rebalance" {
		event.Target = "group " + b.Fault.Group
	}
	s := &strike{engine: e, fault: b.Fault, victims: victims}
	over := e.Event(event)
	err = s.begin(ctx)
	if err == nil {
		_ = e.Clock.Sleep(ctx, b.Until-e.Clock.Now()) // it ends early with the run
	}
	// What was begun is ended, also when the run was interrupted or only half of it could be begun.
	heal, cancel := context.WithTimeout(context.WithoutCancel(ctx), healLimit)
	defer cancel()
	did, healErr := s.end(heal)
	detail := event.Detail
	if did != "" {
		if detail != "" {
			detail += "; "
		}
		detail += did
	}
	over(detail)
	switch {
	case err != nil && ctx.Err() == nil:
		fail("it could not be applied", errors.Join(err, healErr))
	case errors.Is(healErr, errNoEffect):
		fail("it had no effect", healErr)
	case healErr != nil:
		fail("it could not be healed", healErr)
	}
}

// resolve asks until there is somebody to strike.
func (e *Engine) resolve(ctx context.Context, b Beat) (Victims, error) {
	if !slices.ContainsFunc(b.Fault.Targets, func(t plan.Target) bool { return t.Kind != "client" }) {
		return (&View{}).Resolve(b) // nobody needs to be asked who a client is
	}
	limit, cancel := context.WithTimeout(ctx, resolveLimit)
	defer cancel()
	for {
		look, stop := context.WithTimeout(limit, lookLimit)
		v, err := e.Look(look, b.Fault)
		stop()
		if err == nil {
			var victims Victims
			if victims, err = v.Resolve(b); err == nil {
				return victims, nil
			}
		}
		if e.Clock.Sleep(limit, retryEvery) != nil {
			if ctx.Err() != nil {
				return Victims{}, fmt.Errorf("until the load ended: %w", err)
			}
			return Victims{}, fmt.Errorf("after %s: %w", resolveLimit, err)
		}
	}
}
