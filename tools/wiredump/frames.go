package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/streambus/streambus/wire"
)

// The bounds of a connection, whatever it carries.
const (
	defaultFrame = 100 << 20 // bytes of a frame: Kafka's default of socket.request.max.bytes
	mostAsked    = 10_000    // requests without their answers
	keepBuffer   = 1 << 20   // a larger buffer is dropped when it is empty
	fewestBytes  = 4         // of a frame: an answer is at least its correlation ID
)

// event is a request, an answer, or what went wrong.
type event struct {
	At          time.Time // zero: unknown
	Conn        int
	From, To    string
	Kind        string // request, response, broken, lost, unanswered
	Key         wire.Key
	Version     int16
	Correlation int32
	ClientID    *string
	Bytes       int
	Took        time.Duration // response: since the request; 0 unknown
	Fields      wire.Message  // nil: could not be read
	Problem     string
	Note        string // what is worth knowing and no problem
}

// asked is a request whose answer is due.
type asked struct {
	key     wire.Key
	version int16
	at      time.Time
	known   bool // there is a codec
}

// conversation is one connection. It is used by one goroutine at a time.
type conversation struct {
	id             int
	client, server string
	limit          int
	emit           func(event) error
	due            map[int32]asked
	order          []int32 // of due, the oldest first; some may be gone
	sides          [2]framer
}

func newConversation(id int, client, server string, limit int, emit func(event) error) *conversation {
	return &conversation{id: id, client: client, server: server, limit: limit, emit: emit, due: map[int32]asked{}}
}

// framer cuts one direction into frames.
type framer struct {
	buf  []byte
	lost bool // the place in the stream is not known: wait for a chunk that looks like the beginning of a frame
	skip int64
}

// feed takes what came next; lost bytes are missing before it. Memory is what has come, at most the limit of a frame.
func (c *conversation) feed(at time.Time, fromClient bool, lost int64, data []byte) error {
	f := c.side(fromClient)
	if lost > 0 {
		if err := c.say(at, fromClient, "lost", fmt.Sprintf("%d bytes are missing from the capture", lost), len(f.buf)); err != nil {
			return err
		}
		f.buf, f.lost = nil, true
	}
	if f.lost && len(data) > 0 {
		if !c.plausible(fromClient, data) {
			f.skip += int64(len(data))
			return nil
		}
		f.lost, f.skip = false, 0
	}
	f.buf = append(f.buf, data...)
	rest := f.buf
	for {
		frame, behind, err := c.cut(rest)
		if err != nil {
			n := len(rest)
			f.buf, f.lost = nil, true
			return c.say(at, fromClient, "broken", err.Error(), n)
		}
		if frame == nil {
			break
		}
		if err := c.frame(at, fromClient, frame); err != nil {
			return err
		}
		rest = behind
	}
	if len(rest) == 0 && cap(f.buf) > keepBuffer {
		f.buf = nil
	} else if len(rest) < len(f.buf) { // something was used: the rest moves to the front
		f.buf = f.buf[:copy(f.buf, rest)]
	}
	return nil
}

// cut gives the first frame of b without its size; nil if it is not all there.
func (c *conversation) cut(b []byte) (frame, rest []byte, err error) {
	if len(b) < wire.SizePrefixBytes {
		return nil, b, nil
	}
	size := int(int32(binary.BigEndian.Uint32(b)))
	if size < fewestBytes || size > c.limit {
		return nil, nil, fmt.Errorf("a frame claims %d bytes (4 to %d are allowed, see --max-frame): this is no Kafka in the clear", size, c.limit)
	}
	if b = b[wire.SizePrefixBytes:]; len(b) < size {
		return nil, nil, nil
	}
	return b[:size:size], b[size:], nil
}

func (c *conversation) side(fromClient bool) *framer {
	if fromClient {
		return &c.sides[0]
	}
	return &c.sides[1]
}

// plausible says whether data may be the beginning of a frame.
func (c *conversation) plausible(fromClient bool, data []byte) bool {
	if len(data) < 12 {
		return false
	}
	if size := int(int32(binary.BigEndian.Uint32(data))); size < fewestBytes || size > c.limit {
		return false
	}
	if fromClient {
		return wire.Supported(wire.Key(binary.BigEndian.Uint16(data[4:])), int16(binary.BigEndian.Uint16(data[6:]))) == nil
	}
	_, known := c.due[int32(binary.BigEndian.Uint32(data[4:]))]
	return known
}

func (c *conversation) frame(at time.Time, fromClient bool, frame []byte) error {
	if fromClient {
		return c.request(at, frame)
	}
	return c.response(at, frame)
}

func (c *conversation) request(at time.Time, frame []byte) error {
	h, body, err := wire.DecodeRequestHeader(frame)
	e := event{At: at, Conn: c.id, From: c.client, To: c.server, Kind: "request", Key: h.Key, Version: h.Version, Correlation: h.CorrelationID, Bytes: len(frame)}
	if h.HasClientID {
		e.ClientID = &h.ClientID
	}
	answered := true
	if err == nil {
		m := wire.NewRequest(h.Key)
		if e.Problem, err = decode(m, h.Version, body); err == nil {
			e.Fields = m
			if p, ok := m.(*wire.ProduceRequest); ok && p.Acks == 0 {
				answered = false
			}
		}
	}
	if newer(h) {
		e.Note = "a newer version than is known here; a broker that does not know it answers in version 0"
	} else if err != nil {
		e.Problem = err.Error()
	}
	if answered {
		c.expect(h, at)
	}
	return c.emit(e)
}

// newer says whether a client asks for versions in one that is newer than ours: that is how clients and brokers of different age begin.
func newer(h wire.RequestHeader) bool {
	return h.Key == wire.KeyAPIVersions && h.Version > newestAPIVersions()
}

func newestAPIVersions() int16 {
	for _, r := range wire.Codecs() {
		if r.Key == wire.KeyAPIVersions {
			return r.Max
		}
	}
	return 0
}

// expect remembers a request until its answer. The oldest is forgotten when there are too many.
func (c *conversation) expect(h wire.RequestHeader, at time.Time) {
	for len(c.due) >= mostAsked || len(c.order) >= 2*mostAsked {
		delete(c.due, c.order[0])
		c.order = c.order[1:]
	}
	if _, again := c.due[h.CorrelationID]; !again {
		c.order = append(c.order, h.CorrelationID)
	}
	c.due[h.CorrelationID] = asked{h.Key, h.Version, at, wire.Supported(h.Key, h.Version) == nil}
}

func (c *conversation) response(at time.Time, frame []byte) error {
	id := int32(binary.BigEndian.Uint32(frame))
	e := event{At: at, Conn: c.id, From: c.server, To: c.client, Kind: "response", Key: -1, Correlation: id, Bytes: len(frame)}
	q, ok := c.due[id]
	delete(c.due, id)
	for len(c.order) > 0 { // the answered ones at the front
		if _, due := c.due[c.order[0]]; due {
			break
		}
		c.order = c.order[1:]
	}
	if !ok {
		e.Problem = "its request was not seen"
		return c.emit(e)
	}
	e.Key, e.Version = q.key, q.version
	if !at.IsZero() && !q.at.IsZero() {
		e.Took = at.Sub(q.at)
	}
	if q.key == wire.KeyAPIVersions {
		e.Version, e.Fields, e.Problem = versions(q.version, frame)
		return c.emit(e)
	}
	if !q.known {
		e.Problem = fmt.Sprintf("there is no codec for %s %d", q.key, q.version)
		return c.emit(e)
	}
	e.Fields, e.Problem = answer(e.Key, e.Version, frame)
	return c.emit(e)
}

// versions decodes an answer to ApiVersions: in the version asked for, or the newest that is known, or, from a broker that does not know
// that version, in version 0.
func versions(asked int16, frame []byte) (version int16, m wire.Message, problem string) {
	version = min(asked, newestAPIVersions())
	if m, problem = answer(wire.KeyAPIVersions, version, frame); m == nil {
		if old, oldProblem := answer(wire.KeyAPIVersions, 0, frame); old != nil {
			return 0, old, oldProblem
		}
	}
	return version, m, problem
}

// answer decodes an answer; nil if it cannot be read, and why.
func answer(k wire.Key, version int16, frame []byte) (m wire.Message, problem string) {
	_, body, err := wire.DecodeResponseHeader(frame, k, version)
	if err == nil {
		m = wire.NewResponse(k)
		problem, err = decode(m, version, body)
	}
	if err != nil {
		return nil, err.Error()
	}
	return m, problem
}

// decode reads a message and says if bytes were left over, which brokers pass over.
func decode(m wire.Message, version int16, body []byte) (problem string, err error) {
	left, err := wire.DecodePrefix(m, version, body)
	if err == nil && left > 0 {
		problem = fmt.Sprintf("%d bytes are left over", left)
	}
	return problem, err
}

// end says what is left of the conversation.
func (c *conversation) end(at time.Time) error {
	for _, fromClient := range []bool{true, false} {
		f := c.side(fromClient)
		if len(f.buf) > 0 {
			if err := c.say(at, fromClient, "broken", io.ErrUnexpectedEOF.Error()+": the connection, or the capture, ends inside a frame", len(f.buf)); err != nil {
				return err
			}
		}
		if f.skip > 0 {
			if err := c.say(at, fromClient, "lost", fmt.Sprintf("%d bytes were passed over: no frame began there", f.skip), 0); err != nil {
				return err
			}
		}
	}
	if len(c.due) > 0 {
		return c.say(at, false, "unanswered", fmt.Sprintf("%d requests have no answer", len(c.due)), 0)
	}
	return nil
}

func (c *conversation) say(at time.Time, fromClient bool, kind, problem string, n int) error {
	e := event{At: at, Conn: c.id, From: c.client, To: c.server, Kind: kind, Key: -1, Bytes: n, Problem: problem}
	if !fromClient {
		e.From, e.To = c.server, c.client
	}
	return c.emit(e)
}
