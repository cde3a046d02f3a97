package api

import (
	"context"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

// answered is a response that is there.
type answered struct {
	s       *Server
	corr    int32
	version int16
	m       wire.Message
}

func (r *request) answer(m wire.Message) listen.Pending { return answered{r.s, r.corr, r.version, m} }

func (a answered) Ready() bool { return true }

func (a answered) Finish(_ context.Context, o *listen.Out) error {
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
}

func (r *request) later(ready func() bool, wait func(context.Context) (wire.Message, error)) listen.Pending {
	return waiting{r.s, r.corr, r.version, ready, wait}
}

func (w waiting) Ready() bool { return w.ready() }

func (w waiting) Finish(ctx context.Context, o *listen.Out) error {
	m, err := w.wait(ctx)
	if err != nil {
		return err
	}
	return answered{w.s, w.corr, w.version, m}.Finish(ctx, o)
}
