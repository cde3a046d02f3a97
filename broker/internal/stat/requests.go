package stat

import (
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/engine/timing"
	"github.com/streambus/streambus/wire"
)

// Requests counts the requests of the Kafka protocol, by key. The zero value is ready; it must not be copied. Its methods may be called by
// any goroutine and allocate nothing once a key and its type of response were seen.
type Requests struct {
	keys  [maxKey]atomic.Pointer[request] // made when a key is first asked for
	plans sync.Map                        // reflect.Type to *plan: where a response has its error codes

	// Malformed counts requests that closed their connection; Unanswered those whose client was gone
	// before the answer was there.
	Malformed, Unanswered atomic.Uint64
}

const (
	maxKey      = 128 // Kafka's are below 100
	maxVersions = 32
	minCode     = -1
	maxCode     = 160 // Kafka's are below 140; what lies outside is counted as -1
)

// request counts one key.
type request struct {
	versions [maxVersions]atomic.Uint64
	codes    [maxCode - minCode + 1]atomic.Uint64
	inFlight atomic.Int64
	time     timing.Histogram
}

// of gives the counters of a key that was asked for; nil when it was not.
func (r *Requests) of(k wire.Key) *request {
	if k < 0 || k >= maxKey {
		return nil
	}
	return r.keys[k].Load()
}

// all lists the keys that were asked for.
func (r *Requests) all(yield func(wire.Key, *request) bool) {
	for k := range wire.Key(maxKey) {
		if c := r.of(k); c != nil && !yield(k, c) {
			return
		}
	}
}

// Begin counts a request that was taken in: of a key that is served, so that nobody can fill memory with made-up ones. End must follow.
func (r *Requests) Begin(k wire.Key, version int16) {
	c := r.of(k)
	if c == nil && k >= 0 && k < maxKey {
		r.keys[k].CompareAndSwap(nil, &request{})
		c = r.of(k)
	}
	if c != nil {
		c.inFlight.Add(1)
		c.versions[min(max(int(version), 0), maxVersions-1)].Add(1)
	}
}

// End counts that it is over: answered, or for good without an answer.
func (r *Requests) End(k wire.Key, took time.Duration) {
	if c := r.of(k); c != nil {
		c.inFlight.Add(-1)
		c.time.Observe(took)
	}
}

// Response counts the error codes in a response: every field of the type wire.ErrorCode, one for each topic, partition or group that it
// stands for, as Kafka does. m must be a pointer to a struct.
func (r *Requests) Response(k wire.Key, m wire.Message) {
	c := r.of(k)
	if c == nil {
		return
	}
	v := reflect.ValueOf(m).Elem()
	p, ok := r.plans.Load(v.Type())
	if !ok {
		p, _ = r.plans.LoadOrStore(v.Type(), planOf(v.Type()))
	}
	p.(*plan).walk(v, c)
}

func (c *request) code(code wire.ErrorCode) {
	if code < minCode || code > maxCode {
		code = wire.CodeUnknownServerError
	}
	c.codes[code-minCode].Add(1)
}

// plan says which fields of a struct are error codes, and which hold structs that have some.
type plan struct {
	codes []int
	sub   []subPlan
}

type subPlan struct {
	field int
	slice bool
	plan  *plan
}

var codeType = reflect.TypeFor[wire.ErrorCode]()

func planOf(t reflect.Type) *plan {
	p := &plan{}
	for i := range t.NumField() {
		f := t.Field(i).Type
		slice := f.Kind() == reflect.Slice
		if slice {
			f = f.Elem()
		}
		switch {
		case f == codeType && !slice:
			p.codes = append(p.codes, i)
		case f.Kind() == reflect.Struct && f != t:
			if sub := planOf(f); len(sub.codes)+len(sub.sub) > 0 {
				p.sub = append(p.sub, subPlan{i, slice, sub})
			}
		}
	}
	return p
}

func (p *plan) walk(v reflect.Value, c *request) {
	for _, i := range p.codes {
		c.code(wire.ErrorCode(v.Field(i).Int()))
	}
	for _, s := range p.sub {
		f := v.Field(s.field)
		if !s.slice {
			s.plan.walk(f, c)
			continue
		}
		for i := range f.Len() {
			s.plan.walk(f.Index(i), c)
		}
	}
}

// Counts are those of one key.
type Counts struct {
	Total    uint64 // taken in
	InFlight int64
	Ended    uint64
	Errors   uint64 // error codes sent
}

// Of gives the counts of a key.
func (r *Requests) Of(k wire.Key) (n Counts) {
	c := r.of(k)
	if c == nil {
		return n
	}
	for i := range c.versions {
		n.Total += c.versions[i].Load()
	}
	for i := range c.codes {
		if i+minCode != int(wire.CodeNone) {
			n.Errors += c.codes[i].Load()
		}
	}
	n.InFlight, n.Ended = c.inFlight.Load(), c.time.Snapshot().Count
	return n
}
