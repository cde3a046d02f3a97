package listen

// Stats are counters since Serve, and sizes at this moment.
type Stats struct {
	Conns, MaxConns            int
	Accepted, Refused, Panics  int64
	ReceivedBytes              int64 // of whole frames, with their size prefixes
	CopiedBytes, SendfileBytes int64 // sent
	BudgetUsed, BudgetBytes    int64 // of memory for requests in work
	BudgetWaiting              int   // connections that wait for some
}

// Stats may be called by any goroutine.
func (s *Server) Stats() Stats {
	out := Stats{
		Conns: s.Conns(), MaxConns: s.o.MaxConns,
		Accepted: s.Accepted.Load(), Refused: s.Refused.Load(), Panics: s.Panics.Load(),
		ReceivedBytes: s.Received.Load(), CopiedBytes: s.Sent.CopiedBytes.Load(), SendfileBytes: s.Sent.SendfileBytes.Load(),
	}
	b := s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	out.BudgetUsed, out.BudgetBytes, out.BudgetWaiting = b.size-b.free, b.size, len(b.waiting)
	return out
}
