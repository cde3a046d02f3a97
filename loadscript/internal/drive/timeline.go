package drive

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// maxEvents bounds the events that are kept for the results; the sink gets all of them.
const maxEvents = 10_000

// timeline keeps what happened while a scenario ran and tells the sink, one call at a time.
type timeline struct {
	sink report.Sink // nil: nobody writes along

	mu     sync.Mutex
	events []report.Event // guarded by mu, in the order in which they were told
}

// begin tells the sink that a scenario starts.
func (t *timeline) begin(name string, started time.Time) {
	if t.sink != nil {
		t.mu.Lock()
		t.sink.Begin(name, started)
		t.mu.Unlock()
	}
}

// second hands a row to the sink.
func (t *timeline) second(row report.Second, latencies map[string]*hist.Histogram) {
	if t.sink != nil {
		t.mu.Lock()
		t.sink.Second(row, latencies)
		t.mu.Unlock()
	}
}

// add keeps an event and tells the sink. The index is for end; -1 when the list is full.
func (t *timeline) add(e report.Event) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sink != nil {
		t.sink.Event(e)
	}
	if len(t.events) == maxEvents {
		return -1
	}
	t.events = append(t.events, e)
	return len(t.events) - 1
}

// end says when an event was over, and tells the sink again.
func (t *timeline) end(i int, e report.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sink != nil {
		t.sink.Event(e)
	}
	if i >= 0 && i < len(t.events) {
		t.events[i] = e
	}
}

// count is how many events there are.
func (t *timeline) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.events)
}

// keep forgets all events but [lo, hi): those that came in that order. Nothing that has begun may end later.
func (t *timeline) keep(lo, hi int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = slices.Clone(t.events[lo:hi])
}

// list is what happened so far, in order of time.
func (t *timeline) list() []report.Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	events := slices.Clone(t.events)
	slices.SortStableFunc(events, func(a, b report.Event) int { return cmp.Compare(a.TNs, b.TNs) })
	return events
}

// faults is what is known of the faults, by index of the event.
func (t *timeline) faults() map[int]report.Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	var faults map[int]report.Event
	for i, e := range t.events {
		if e.Kind == "fault" {
			if faults == nil {
				faults = map[int]report.Event{}
			}
			faults[i] = e
		}
	}
	return faults
}

// inForce names the faults that are not over.
func (t *timeline) inForce() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var names []string
	for _, e := range t.events {
		if e.Kind == "fault" && e.EndNs == 0 && e.Error == "" {
			names = append(names, e.Name)
		}
	}
	return strings.Join(names, ", ")
}

// since is the time since the first record was due; ok is false as long as that is not settled.
func (s *scenario) since() (t time.Duration, ok bool) {
	zero := s.zeroNs.Load()
	if zero == 0 {
		return 0, false
	}
	return time.Duration(s.nowNs() - zero), true
}

// event notes that something begins to happen now; over notes its end, with what is to be added to it. A moment's caller leaves
// over alone. Before the first record is due nothing is noted. Events of kind "fault" that have an end and no error are judged:
// thresholds that count outside of faults leave them out, and the recovery from each is measured. It may be called from any
// goroutine.
func (s *scenario) event(e report.Event) (over func(detail string)) {
	now, ok := s.since()
	if !ok {
		return func(string) {}
	}
	e.TNs = max(int64(now), 1)
	i := s.timeline.add(e)
	var once sync.Once
	return func(detail string) {
		once.Do(func() {
			end, _ := s.since()
			e.EndNs = max(int64(end), e.TNs)
			if detail != "" {
				e.Detail = detail
			}
			s.timeline.end(i, e)
		})
	}
}
