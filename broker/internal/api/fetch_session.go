package api

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/streambus/streambus/wire"
)

// Fetch sessions (KIP-227): the broker remembers what a consumer asks for, which then sends what changes only, and is sent only what has
// something new. A session is begun by a full fetch with epoch 0, and each fetch of it has the next epoch, so that neither side can miss a
// change without knowing it. Who is given no session (id 0) asks for everything each time, which is always right.
//
//	epoch  -1        a full fetch without a session; one that is named ends
//	epoch   0        a full fetch, and a session if there is room; one that is named ends
//	epoch   1 …      the session's next fetch: partitions to add or change, and those to forget
//
// A session is not tied to a connection, as in Kafka.

// fetchSessions are the sessions of all connections.
type fetchSessions struct {
	mu    sync.Mutex
	slots int // so many sessions; 0: none
	parts int // so many partitions in all of them
	held  int // partitions
	byID  map[int32]*fetchSession
}

// maxSessionParts bounds what all sessions hold to about 100 MB.
const maxSessionParts = 500_000

// sessionIdle is how long a session must have been idle to make room for another one (Kafka: min.incremental.fetch.session.eviction.ms).
const sessionIdle = 2 * time.Minute

// fetchSession is one session. fetchSessions.mu guards it.
type fetchSession struct {
	id, epoch int32 // epoch: of the next fetch
	used      time.Time
	byTopicID bool // of versions 13 and later
	parts     []*sessionPart
	index     map[partKey]*sessionPart
}

type partKey struct {
	name  string
	id    wire.UUID
	index int32
}

type sessionPart struct {
	partKey
	ask         wire.FetchRequestPartition
	high, start int64 // as last told; -1: not yet
}

func newFetchSessions(slots int) *fetchSessions {
	return &fetchSessions{slots: slots, parts: maxSessionParts, byID: map[int32]*fetchSession{}}
}

// begin looks at what a request says of a session. whole is nil for a full fetch of what the request names, else what the session asks for, in
// memory of its own.
func (s *fetchSessions) begin(r *wire.FetchRequest, byTopicID bool, now time.Time) (session *fetchSession, whole []wire.FetchRequestTopic, code wire.ErrorCode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.SessionEpoch <= 0 {
		if r.SessionID != 0 {
			s.end(s.byID[r.SessionID])
		}
		return nil, nil, wire.CodeNone
	}
	f := s.byID[r.SessionID]
	switch {
	case f == nil:
		return nil, nil, wire.CodeFetchSessionIDNotFound
	case f.byTopicID != byTopicID:
		s.end(f)
		return nil, nil, wire.CodeFetchSessionTopicIDError
	case r.SessionEpoch != f.epoch:
		return nil, nil, wire.CodeInvalidFetchSessionEpoch
	}
	s.held -= len(f.parts)
	f.change(r)
	s.held += len(f.parts)
	if s.held > s.parts { // it may ask for everything itself
		s.end(f)
		return nil, nil, wire.CodeFetchSessionIDNotFound
	}
	f.epoch, f.used = nextEpoch(f.epoch), now
	return f, f.topics(), wire.CodeNone
}

// nextEpoch goes round to 1.
func nextEpoch(e int32) int32 { return max(e+1, 1) }

func (s *fetchSessions) end(f *fetchSession) {
	if f != nil && s.byID[f.id] == f {
		delete(s.byID, f.id)
		s.held -= len(f.parts)
	}
}

// create makes a session of a full fetch that was answered; nil where there is no room.
func (s *fetchSessions) create(r *wire.FetchRequest, resp *wire.FetchResponse, byTopicID bool, now time.Time) *fetchSession {
	f := &fetchSession{epoch: 1, used: now, byTopicID: byTopicID, index: map[partKey]*sessionPart{}}
	f.change(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(f.parts) == 0 || !s.room(now) || s.held+len(f.parts) > s.parts {
		return nil
	}
	for f.id == 0 || s.byID[f.id] != nil {
		f.id = 1 + rand.Int32N(1<<31-1) // so that nobody meets another's by counting
	}
	s.byID[f.id] = f
	s.held += len(f.parts)
	f.told(resp, nil)
	return f
}

// room makes room for one more session, if there is one that was idle for long enough.
func (s *fetchSessions) room(now time.Time) bool {
	if len(s.byID) < s.slots {
		return true
	}
	var oldest *fetchSession
	for _, f := range s.byID {
		if oldest == nil || f.used.Before(oldest.used) {
			oldest = f
		}
	}
	if oldest == nil || now.Sub(oldest.used) < sessionIdle {
		return false
	}
	s.end(oldest)
	return true
}

// change takes in what a request adds, changes and forgets.
func (f *fetchSession) change(r *wire.FetchRequest) {
	for _, t := range r.ForgottenTopics {
		for _, i := range t.Partitions {
			delete(f.index, f.key(t.Name, t.TopicID, i))
		}
	}
	if len(r.ForgottenTopics) > 0 {
		f.parts = slices.DeleteFunc(f.parts, func(p *sessionPart) bool { return f.index[p.partKey] != p })
	}
	for _, t := range r.Topics {
		for _, ask := range t.Partitions {
			k := f.key(t.Name, t.TopicID, ask.PartitionIndex)
			p := f.index[k]
			if p == nil {
				p = &sessionPart{partKey: k, high: -1, start: -1}
				f.parts, f.index[k] = append(f.parts, p), p
			}
			p.ask = ask
		}
	}
}

func (f *fetchSession) key(name []byte, id wire.UUID, index int32) partKey {
	if f.byTopicID {
		return partKey{id: id, index: index}
	}
	return partKey{name: string(name), index: index}
}

// topics is everything that the session asks for. A topic may be there twice: partitions are asked for in the order of the session.
func (f *fetchSession) topics() (out []wire.FetchRequestTopic) {
	for i, p := range f.parts {
		if i == 0 || f.parts[i-1].name != p.name || f.parts[i-1].id != p.id {
			out = append(out, wire.FetchRequestTopic{Name: []byte(p.name), TopicID: p.id})
		}
		last := &out[len(out)-1]
		last.Partitions = append(last.Partitions, p.ask)
	}
	return out
}

// told notes what a response says, and tells keep of each partition whether it has anything new. Partitions with records go to the end, so
// that those behind them have their turn.
func (f *fetchSession) told(resp *wire.FetchResponse, keep func(topic, part int, news bool)) {
	served := map[*sessionPart]bool{}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			out := &t.Partitions[j]
			p := f.index[f.key(t.Name, t.TopicID, out.PartitionIndex)]
			news := p == nil || out.ErrorCode != wire.CodeNone || out.RecordsSize > 0 || out.HighWatermark != p.high || out.LogStartOffset != p.start
			if p != nil {
				p.high, p.start = out.HighWatermark, out.LogStartOffset
				if out.ErrorCode != wire.CodeNone {
					p.high = -1 // the next response without an error is news
				}
				if out.RecordsSize > 0 {
					served[p] = true
				}
			}
			if keep != nil {
				keep(i, j, news)
			}
		}
	}
	if len(served) > 0 && len(served) < len(f.parts) {
		slices.SortStableFunc(f.parts, func(a, b *sessionPart) int {
			switch {
			case served[a] == served[b]:
				return 0
			case served[b]:
				return -1
			}
			return 1
		})
	}
}

// finish notes a session's response and takes out of it what is not new.
func (s *fetchSessions) finish(f *fetchSession, resp *wire.FetchResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := make([][]bool, len(resp.Topics))
	f.told(resp, func(topic, _ int, news bool) { fresh[topic] = append(fresh[topic], news) })
	topics := resp.Topics[:0]
	for i := range resp.Topics {
		t := resp.Topics[i]
		parts := t.Partitions[:0]
		for j := range t.Partitions {
			if fresh[i][j] {
				parts = append(parts, t.Partitions[j])
			}
		}
		clear(t.Partitions[len(parts):]) // the memory is used again
		if t.Partitions = parts; len(parts) > 0 {
			topics = append(topics, t)
		}
	}
	clear(resp.Topics[len(topics):])
	resp.Topics = topics
}
