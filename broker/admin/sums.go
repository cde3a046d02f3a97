package admin

import (
	"maps"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// sums adds up what was acknowledged. done is called by the client's goroutines.
type sums struct {
	read int64 // by who produces only

	mu  sync.Mutex
	by  map[int32]*Produced
	err error // the first one
}

func (s *sums) done(r *kgo.Record, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if s.err == nil {
			s.err = err
		}
		return
	}
	p := s.by[r.Partition]
	if p == nil {
		p = &Produced{Topic: r.Topic, Partition: r.Partition, First: r.Offset}
		s.by[r.Partition] = p
	}
	p.Records++
	p.First, p.Last = min(p.First, r.Offset), max(p.Last, r.Offset)
}

func (s *sums) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *sums) rows() []Produced {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := make([]Produced, 0, len(s.by))
	for _, p := range slices.Sorted(maps.Keys(s.by)) {
		rows = append(rows, *s.by[p])
	}
	return rows
}
