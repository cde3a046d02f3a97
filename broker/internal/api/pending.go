package api

import (
	"context"
	"time"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

// answered is a response that is there.
type answered struct {
	s       *Server
	corr    int32
	version int16
	m       wire.Message
	held    time.Duration
}

func (r *request) answer(m wire.Message) listen.Pending {
	return &answered{s: r.s, corr: r.corr, version: r.version, m: m}
}

func (a *answered) Ready() bool { return true }

func (a *answered) throttle(d time.Duration) { a.held = d }

func (a *answered) Finish(_ context.Context, o *listen.Out) error {
	if at := throttleOf(a.m); at != nil && a.held > 0 {
		*at = throttleMs(a.held)
	}
	o.SetBytes(wire.AppendResponseFrame(o.Bytes(), a.corr, a.m, a.version))
	a.s.Requests.Response(a.m.Key(), a.m)
	return nil
}

// waiting is a response that wait gives, some time.
type waiting struct {
	s       *Server
	corr    int32
	version int16
	ready   func() bool
	wait    func(ctx context.Context) (wire.Message, error)
	held    time.Duration
}

func (r *request) later(ready func() bool, wait func(context.Context) (wire.Message, error)) listen.Pending {
	return &waiting{s: r.s, corr: r.corr, version: r.version, ready: ready, wait: wait}
}

func (w *waiting) Ready() bool { return w.ready() }

func (w *waiting) throttle(d time.Duration) { w.held = d }

func (w *waiting) Finish(ctx context.Context, o *listen.Out) error {
	m, err := w.wait(ctx)
	if err != nil {
		return err
	}
	return (&answered{w.s, w.corr, w.version, m, w.held}).Finish(ctx, o)
}
