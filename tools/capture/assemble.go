package capture

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// pair names a connection whichever way a packet goes: the lesser address first.
type pair struct{ a, b netip.AddrPort }

func pairOf(x, y netip.AddrPort) pair {
	if x.Compare(y) > 0 {
		x, y = y, x
	}
	return pair{x, y}
}

// assembler puts segments in order.
type assembler struct {
	ports []uint16
	emit  func(Chunk) error
	flows map[pair]*flow
	count int
}

// flow is a connection; sides[0] is what the client sends.
type flow struct {
	Flow
	sides [2]side
}

// side is one direction.
type side struct {
	known   bool   // first and next hold
	first   uint32 // the sequence number of the first byte
	next    uint32 // the one that is due
	over    bool   // FIN has come
	held    []early
	pending int // bytes in held
}

// early is a segment that came before those in front of it.
type early struct {
	seq     uint32
	payload []byte
	size    int
}

// segment takes the next packet.
func (a *assembler) segment(at time.Time, s segment) error {
	key := pairOf(s.from, s.to)
	f := a.flows[key]
	if f != nil && s.syn && !s.ack && f.sides[0].known && f.sides[0].first != s.seq+1 { // not repeated: the ports are used again
		if err := a.end(at, key, f); err != nil {
			return err
		}
		f = nil
	}
	if f == nil {
		if s.rst || s.size == 0 && !s.syn {
			return nil // the rest of a connection that is over
		}
		if len(a.flows) >= MaxFlows {
			return fmt.Errorf("more than %d connections at once: capture fewer, as with tcpdump 'port 9092'", MaxFlows)
		}
		a.count++
		f = a.begin(s)
		a.flows[key] = f
	}
	which := 0
	if s.from != f.Client {
		which = 1
	}
	d := &f.sides[which]
	if s.syn {
		if !d.known {
			d.known, d.first, d.next = true, s.seq+1, s.seq+1
		}
		return nil
	}
	if err := a.take(at, f, which, early{s.seq, s.payload, s.size}); err != nil {
		return err
	}
	d.over = d.over || s.fin
	if s.rst || f.sides[0].over && f.sides[1].over {
		return a.end(at, key, f)
	}
	return nil
}

// begin decides who the client is: the one that says SYN, or else the one without a server's port, or else the one with the higher port.
func (a *assembler) begin(s segment) *flow {
	fromClient := s.from.Port() > s.to.Port()
	switch {
	case s.syn:
		fromClient = !s.ack
	case slices.Contains(a.ports, s.to.Port()):
		fromClient = true
	case slices.Contains(a.ports, s.from.Port()):
		fromClient = false
	}
	f := &flow{Flow: Flow{ID: a.count, Client: s.from, Server: s.to}}
	if !fromClient {
		f.Client, f.Server = s.to, s.from
	}
	return f
}

// take gives out what is due, and holds what came early.
func (a *assembler) take(at time.Time, f *flow, which int, e early) error {
	d := &f.sides[which]
	if e.size == 0 {
		return nil
	}
	if !d.known { // the capture began in the middle
		d.known, d.first, d.next = true, e.seq, e.seq
	}
	if int32(e.seq-d.next) > 0 {
		e.payload = bytes.Clone(e.payload)
		i := len(d.held) // nearly always the last
		for i > 0 && int32(d.held[i-1].seq-e.seq) > 0 {
			i--
		}
		d.held = slices.Insert(d.held, i, e)
		d.pending += len(e.payload)
	} else if err := a.give(at, f, which, e, 0); err != nil {
		return err
	}
	return a.drain(at, f, which, d.pending > MaxPending || len(d.held) > maxPackets)
}

// drain gives out what is no longer early; force gives up waiting for what is missing.
func (a *assembler) drain(at time.Time, f *flow, which int, force bool) error {
	d := &f.sides[which]
	for len(d.held) > 0 {
		e := d.held[0]
		lost := int64(0)
		if gap := int32(e.seq - d.next); gap > 0 {
			if !force {
				return nil
			}
			lost, d.next = int64(gap), e.seq
		}
		d.held, d.pending = d.held[1:], d.pending-len(e.payload)
		if err := a.give(at, f, which, e, lost); err != nil {
			return err
		}
	}
	d.held = nil
	return nil
}

// give passes on a segment that begins at or before what is due.
func (a *assembler) give(at time.Time, f *flow, which int, e early, lost int64) error {
	d := &f.sides[which]
	old := int(d.next - e.seq) // sent before
	if old >= e.size {
		return nil
	}
	d.next = e.seq + uint32(e.size)
	data := e.payload[min(old, len(e.payload)):]
	if len(data) > 0 || lost > 0 {
		if err := a.emit(Chunk{Flow: &f.Flow, At: at, FromClient: which == 0, Lost: lost, Data: data}); err != nil {
			return err
		}
	}
	if cut := e.size - max(old, len(e.payload)); cut > 0 { // the capture has not kept the whole packet
		return a.emit(Chunk{Flow: &f.Flow, At: at, FromClient: which == 0, Lost: int64(cut)})
	}
	return nil
}

func (a *assembler) end(at time.Time, key pair, f *flow) error {
	delete(a.flows, key)
	for which := range f.sides {
		if err := a.drain(at, f, which, true); err != nil {
			return err
		}
	}
	return a.emit(Chunk{Flow: &f.Flow, At: at, End: true})
}

// finish ends all connections, the oldest first.
func (a *assembler) finish() error {
	var left []*flow
	for _, f := range a.flows {
		left = append(left, f)
	}
	slices.SortFunc(left, func(x, y *flow) int { return x.ID - y.ID })
	for _, f := range left {
		if err := a.end(time.Time{}, pairOf(f.Client, f.Server), f); err != nil {
			return err
		}
	}
	return nil
}
