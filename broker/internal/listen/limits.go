package listen

import (
	"fmt"
	"time"
)

// Limits bound the connections. They may change while the server runs; connections that are open stay.
type Limits struct {
	Conns      int                               // over all addresses
	ConnsPerIP int                               // from one address
	PerIP      map[string]int                    // the same for single addresses, as net.IP.String gives them
	Delay      func(ip string) (d time.Duration) // how long a new connection waits before it is read; nil: none does. Called for each one
}

// SetLimits replaces Options.MaxConns and MaxConnsPerIP. l.PerIP must not be changed any more.
func (s *Server) SetLimits(l Limits) { s.limits.Store(&l) }

// within says whether there is room for one more connection from an address. Callers hold mu.
func (s *Server) within(ip string) error {
	l := s.limits.Load()
	per, own := l.PerIP[ip]
	if !own {
		per = l.ConnsPerIP
	}
	switch {
	case len(s.conns) >= l.Conns:
		return fmt.Errorf("max.connections = %d are open", l.Conns)
	case s.perIP[ip] >= per:
		return fmt.Errorf("max.connections.per.ip = %d are open", per)
	}
	return nil
}

// delay holds a new connection up. The end of the server ends the wait.
func (s *Server) delay(ip string) {
	if f := s.limits.Load().Delay; f != nil {
		if d := f(ip); d > 0 {
			sleep(s.accepting, d)
		}
	}
}
