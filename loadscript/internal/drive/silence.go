package drive

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/streambus/streambus/loadscript/internal/report"
)

const (
	// silenceFloor is the shortest stretch that is listed; shorter ones are everyday waits, which the latencies show.
	silenceFloor = 100 * time.Millisecond
	// maxSilences bounds the stretches that are kept of a partition: the longest ones.
	maxSilences = 64
)

// silence follows one partition: stretches in which records waited and none was acknowledged.
//
//	handed   a  b              c
//	acked       .  a   b       .        c
//	silence     |--|           |--------|      from the later of the last answer and the first record that waits
type silence struct {
	mu      sync.Mutex
	last    time.Duration // time of the last answer; guarded by mu, as below
	waiting time.Duration // oldest hand-over of a record that ended without an answer since then; 0 = none
	longest time.Duration
	list    []report.Silence
}

// answered notes an acknowledgement of a record handed over at handed. Times count from the first record due.
func (q *silence) answered(handed, now time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting > 0 && q.waiting < handed {
		handed = q.waiting
	}
	q.note(max(q.last, handed), now)
	q.last, q.waiting = max(q.last, now), 0
}

// unanswered notes that a record handed over at handed was given up.
func (q *silence) unanswered(handed time.Duration) {
	q.mu.Lock()
	if q.waiting == 0 || handed < q.waiting {
		q.waiting = max(handed, 1)
	}
	q.mu.Unlock()
}

// close ends what was still silent.
func (q *silence) close(now time.Duration) {
	q.mu.Lock()
	if q.waiting > 0 {
		q.note(max(q.last, q.waiting), now)
		q.last, q.waiting = now, 0
	}
	q.mu.Unlock()
}

// note keeps a stretch. Caller holds mu.
func (q *silence) note(since, now time.Duration) {
	gap := now - since
	q.longest = max(q.longest, gap)
	if gap < silenceFloor {
		return
	}
	if len(q.list) == 2*maxSilences {
		slices.SortFunc(q.list, func(a, b report.Silence) int { return cmp.Compare(b.EndNs-b.BeginNs, a.EndNs-a.BeginNs) })
		q.list = q.list[:maxSilences]
	}
	q.list = append(q.list, report.Silence{BeginNs: int64(since), EndNs: int64(now)})
}

// stretches lists the silences in order of time.
func (q *silence) stretches() []report.Silence {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := slices.Clone(q.list)
	slices.SortFunc(list, func(a, b report.Silence) int { return cmp.Compare(a.BeginNs, b.BeginNs) })
	return list
}

// max is the longest one, listed or not.
func (q *silence) max() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.longest
}

// silences lists those of all partitions, by topic in script order.
func (s *scenario) silences() (list []report.Silence) {
	for _, t := range topics(s.plan) {
		f := s.fields[t.Name]
		if f == nil {
			continue
		}
		for p := range f.silence {
			for _, q := range f.silence[p].stretches() {
				q.Topic, q.Partition = t.Name, int32(p)
				list = append(list, q)
			}
		}
	}
	return list
}
