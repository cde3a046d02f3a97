package quota

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// maxBuckets bounds the memory of one kind of quota: client ids are the clients' to choose.
const maxBuckets = 10_000

// key is who shares a bucket. Shared ones have the rate in place of names.
type key struct {
	user, client string
	hasUser      bool
	hasClient    bool
	sharedRate   float64
}

// bucket is what one of them has left.
type bucket struct {
	rate   float64 // tokens a second
	tokens float64 // below 0: a debt
	at     time.Time
}

// refill brings a bucket to a time and a rate. A clock that goes back adds nothing.
func (b *bucket) refill(now time.Time, rate, windowSeconds float64) {
	if d := now.Sub(b.at); d > 0 {
		b.tokens += b.rate * d.Seconds()
		b.at = now
	}
	b.rate = rate
	b.tokens = min(b.tokens, rate*windowSeconds)
}

func (b *bucket) full(now time.Time, windowSeconds float64) bool {
	return b.tokens+b.rate*max(now.Sub(b.at), 0).Seconds() >= b.rate*windowSeconds
}

// debt is how long it takes to be paid.
func (b *bucket) debt() time.Duration {
	switch {
	case b.tokens >= 0:
		return 0
	case b.rate <= 0:
		return maxThrottle
	}
	d := -b.tokens / b.rate * float64(time.Second)
	return time.Duration(math.Ceil(min(d, float64(maxThrottle))))
}

// maxThrottle is what the protocol can say: an int32 of milliseconds.
const maxThrottle = math.MaxInt32 * time.Millisecond

// limiter is all buckets of one kind of quota.
type limiter struct {
	rules atomic.Pointer[rules] // nil: there is no quota of the kind

	mu      sync.Mutex
	buckets map[key]*bucket
	sweepAt int // number of buckets at which to look for those that are full
	swept   time.Time
}

// use takes n tokens, unless strict says that who has a debt may not, and gives how long to wait, and whether they were taken.
func (l *limiter) use(now time.Time, user, client string, n, windowSeconds float64, strict bool) (wait time.Duration, ok bool) {
	r := l.rules.Load()
	if r == nil {
		return 0, true
	}
	rate, k, found := r.find(user, client)
	if !found {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rules.Load() == nil { // taken away meanwhile
		return 0, true
	}
	b := l.bucket(now, k, rate, windowSeconds)
	b.refill(now, rate, windowSeconds)
	if strict && b.tokens < 0 {
		return b.debt(), false
	}
	b.tokens -= n
	return b.debt(), true
}

// bucket finds or makes a bucket (Q2). Callers hold mu.
func (l *limiter) bucket(now time.Time, k key, rate, windowSeconds float64) *bucket {
	if b := l.buckets[k]; b != nil {
		return b
	}
	if len(l.buckets) >= l.sweepAt && (len(l.buckets) < maxBuckets || now.Sub(l.swept) >= time.Second) { // so that a crowd costs little
		l.swept = now
		for k, b := range l.buckets {
			if b.full(now, windowSeconds) {
				delete(l.buckets, k)
			}
		}
		l.sweepAt = min(max(2*len(l.buckets), 64), maxBuckets)
	}
	if len(l.buckets) >= maxBuckets {
		k = key{sharedRate: rate}
		if b := l.buckets[k]; b != nil {
			return b
		}
	}
	b := &bucket{rate: rate, tokens: rate * windowSeconds, at: now}
	l.buckets[k] = b
	return b
}

// set replaces the quotas of the kind.
func (l *limiter) set(r *rules) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r == nil || l.buckets == nil {
		l.buckets, l.sweepAt = map[key]*bucket{}, 64
	}
	l.rules.Store(r)
}

// level is one of the combinations of parts that a quota may be for, the strongest first.
type level uint8

const (
	userClient level = iota
	userAnyClient
	userOnly
	anyUserClient
	anyUserAnyClient
	anyUserOnly
	clientOnly
	anyClientOnly
	levels
)

// rules are the quotas of one kind. They do not change.
type rules struct {
	rates map[Entity]float64
	has   [levels]bool
}

// entity is whose quota is asked for at a level.
func (v level) entity(user, client string) Entity {
	switch v {
	case userClient:
		return Entity{User: Named(user), ClientID: Named(client)}
	case userAnyClient:
		return Entity{User: Named(user), ClientID: TheDefault}
	case userOnly:
		return Entity{User: Named(user)}
	case anyUserClient:
		return Entity{User: TheDefault, ClientID: Named(client)}
	case anyUserAnyClient:
		return Entity{User: TheDefault, ClientID: TheDefault}
	case anyUserOnly:
		return Entity{User: TheDefault}
	case clientOnly:
		return Entity{ClientID: Named(client)}
	}
	return Entity{ClientID: TheDefault}
}

// levelOf is the level that an entity is of.
func levelOf(e Entity) level {
	for v := range levels {
		like := v.entity(e.User.Name, e.ClientID.Name)
		if like == e {
			return v
		}
	}
	return levels // of an address
}

// find gives the quota that counts, and who shares it.
func (r *rules) find(user, client string) (rate float64, k key, ok bool) {
	for v := range levels {
		if !r.has[v] {
			continue
		}
		if rate, ok = r.rates[v.entity(user, client)]; !ok {
			continue
		}
		if v <= anyUserOnly {
			k.user, k.hasUser = user, true
		}
		if v != userOnly && v != anyUserOnly {
			k.client, k.hasClient = client, true
		}
		return rate, k, true
	}
	return 0, k, false
}
