package group

import (
	"container/heap"
	"sync"
	"time"
)

// clock ticks entries when they are due: one goroutine for all groups.
type clock struct {
	wake chan struct{} // something earlier was put in
	stop chan struct{}
	wg   sync.WaitGroup

	mu  sync.Mutex
	due alarms
}

// alarm is one entry to be ticked. An entry may be in more than once; a tick too many does nothing.
type alarm struct {
	at time.Time
	e  *entry
}

// alarms is a heap, the soonest first.
type alarms []alarm

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a alarms) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *alarms) Push(x any)        { *a = append(*a, x.(alarm)) }
func (a *alarms) Pop() any {
	old := *a
	last := old[len(old)-1]
	old[len(old)-1] = alarm{}
	*a = old[:len(old)-1]
	return last
}

func startClock(tick func(alarm)) *clock {
	c := &clock{wake: make(chan struct{}, 1), stop: make(chan struct{})}
	c.wg.Go(func() { c.run(tick) })
	return c
}

func (c *clock) set(at time.Time, e *entry) {
	c.mu.Lock()
	heap.Push(&c.due, alarm{at, e})
	first := c.due[0].e == e
	c.mu.Unlock()
	if first {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

// next takes the soonest alarm if it is due; else it says how long to wait.
func (c *clock) next(now time.Time) (a alarm, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case len(c.due) == 0:
		return a, time.Hour
	case c.due[0].at.After(now):
		return a, c.due[0].at.Sub(now)
	}
	return heap.Pop(&c.due).(alarm), 0
}

func (c *clock) run(tick func(alarm)) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		a, wait := c.next(time.Now())
		if a.e != nil {
			tick(a)
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-c.wake:
		case <-c.stop:
			return
		}
	}
}

func (c *clock) close() {
	close(c.stop)
	c.wg.Wait()
}
