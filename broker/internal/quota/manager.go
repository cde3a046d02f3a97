package quota

import (
	"time"
)

// Kind is what is counted.
type Kind uint8

// The kinds.
const (
	Produce  Kind = iota // bytes of produce requests
	Fetch                // bytes of fetch responses
	Request              // processor time, in percent of one processor
	Mutation             // partitions made and deleted
	connection
	kinds
)

var quotaKeys = [kinds]string{ProducerByteRate, ConsumerByteRate, RequestPercentage, ControllerMutationRate, ConnectionRate}

// Windows says over how long quotas are measured: quota.window.num times quota.window.size.seconds, and the same of controller.quota.
// Zero values are Kafka's: 11 windows of a second.
type Windows struct {
	Num, ControllerNum   int
	Size, ControllerSize time.Duration
}

// Manager counts for all clients. Its methods may be called by any goroutine.
type Manager struct {
	seconds   [kinds]float64 // that a full bucket lasts
	window    time.Duration
	limiters  [kinds]limiter
	listening limiter // all connections together
}

// New makes a Manager without quotas.
func New(w Windows) *Manager {
	span := func(num int, size time.Duration) float64 {
		if num == 0 {
			num = 11
		}
		if size == 0 {
			size = time.Second
		}
		return (time.Duration(num) * size).Seconds()
	}
	m := &Manager{window: w.Size}
	if m.window == 0 {
		m.window = time.Second
	}
	for k := range kinds {
		m.seconds[k] = span(w.Num, w.Size)
	}
	m.seconds[Mutation] = span(w.ControllerNum, w.ControllerSize)
	return m
}

// Set replaces all quotas by those of the metadata. Buckets of clients that go on having a quota keep what is in them (Q3).
func (m *Manager) Set(all map[Entity]map[string]float64) {
	for k := range kinds {
		var r *rules
		for e, values := range all {
			rate, ok := values[quotaKeys[k]]
			if !ok {
				continue
			}
			if r == nil {
				r = &rules{rates: map[Entity]float64{}}
			}
			if k == connection { // an address is a client id without a user
				e = Entity{ClientID: e.IP}
			}
			r.rates[e] = rate
			if v := levelOf(e); v < levels {
				r.has[v] = true
			}
		}
		m.limiters[k].set(r)
	}
}

// SetConnections bounds all connections together (max.connection.creation.rate): so many a second; 2^31-1 or more is no limit.
func (m *Manager) SetConnections(rate float64) {
	if rate >= 1<<31-1 {
		m.listening.set(nil)
		return
	}
	e := Entity{ClientID: TheDefault}
	m.listening.set(&rules{rates: map[Entity]float64{e: rate}, has: [levels]bool{anyClientOnly: true}})
}

// Record counts n for a client, and gives how long it is to be held up; 0: not at all. For Request, n is percent of a second: use
// RecordTime.
func (m *Manager) Record(now time.Time, k Kind, user, clientID string, n float64) time.Duration {
	wait, _ := m.limiters[k].use(now, user, clientID, n, m.seconds[k], false)
	return wait
}

// RecordTime counts processor time for a client. It is never held up longer than a window: what it did is done, and its other requests
// count as well (KIP-124).
func (m *Manager) RecordTime(now time.Time, user, clientID string, d time.Duration) time.Duration {
	return min(m.Record(now, Request, user, clientID, 100*d.Seconds()), m.window)
}

// Debt is how long a client is to be held up for what it has used already: a fetch is answered empty for so long.
func (m *Manager) Debt(now time.Time, k Kind, user, clientID string) time.Duration {
	return m.Record(now, k, user, clientID, 0)
}

// Mutate asks for n partitions to be made or deleted (KIP-599). A client that has no debt may, whatever n is; one that has a debt may
// not (THROTTLING_QUOTA_EXCEEDED) until wait is over, if strict says so: requests that are too old to know that error are only held up.
func (m *Manager) Mutate(now time.Time, user, clientID string, n int, strict bool) (wait time.Duration, ok bool) {
	return m.limiters[Mutation].use(now, user, clientID, float64(n), m.seconds[Mutation], strict)
}

// Connect counts a connection from an address (in the form that net.IP.String gives), and gives how long to wait before it is served.
func (m *Manager) Connect(now time.Time, ip string) time.Duration {
	own, _ := m.limiters[connection].use(now, "", ip, 1, m.seconds[connection], false)
	all, _ := m.listening.use(now, "", "", 1, m.seconds[connection], false)
	return max(own, all)
}
