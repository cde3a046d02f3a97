package api

import (
	"context"
	"sync"
	"time"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

// measured is a Pending whose end is counted. Handlers need not know: Serve wraps what they give. The error codes in a response are
// counted where it is encoded (answered, producing, fetching), by Requests.Response.
type measured struct {
	listen.Pending
	s     *Server
	key   wire.Key
	begin time.Time
}

var measureds = sync.Pool{New: func() any { return new(measured) }}

// measure counts the end of a request, now or when its Pending is finished. A request that could not be read has the key -1.
func (s *Server) measure(k wire.Key, begin time.Time, p listen.Pending, err error) (listen.Pending, error) {
	switch {
	case err != nil:
		s.Requests.Malformed.Add(1)
		s.Requests.End(k, time.Since(begin))
		return nil, err
	case p == nil:
		s.Requests.End(k, time.Since(begin))
		return nil, nil
	}
	m := measureds.Get().(*measured)
	m.Pending, m.s, m.key, m.begin = p, s, k, begin
	return m, nil
}

// Finish implements listen.Pending.
func (m *measured) Finish(ctx context.Context, o *listen.Out) error {
	defer m.end()
	err := m.Pending.Finish(ctx, o)
	if err != nil {
		m.s.Requests.Unanswered.Add(1)
	}
	return err
}

func (m *measured) end() {
	m.s.Requests.End(m.key, time.Since(m.begin))
	*m = measured{}
	measureds.Put(m)
}
