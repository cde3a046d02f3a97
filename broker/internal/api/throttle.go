package api

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/quota"
)

// Quotas on the wire (KIP-13, KIP-124, KIP-219, KIP-599): what a client uses is counted when it is used, and when that is more than its
// quota allows, the response says for how long the client is held up (ThrottleTimeMs), is sent at once, and the connection is not read
// from for as long (listen.Muter). A client that keeps to it by itself notices nothing.
//
//	request time   every request: the time that the connection's reader was busy with it
//	bytes          produce and fetch, by payer.charge
//	mutations      partitions made and deleted, by request.mutate

// anonymous is who clients are without a login, as in Kafka.
const anonymous = "ANONYMOUS"

// errQuota: the client has made or deleted more partitions than its quota allows, and its request says that it knows the error.
var errQuota = errors.New("the client's quota of partitions made and deleted is used up")

// throttled is a Pending whose response can say for how long the client is held up.
type throttled interface{ throttle(time.Duration) }

// payer is whose quota a request counts for. Unlike the request it may be kept, and used by any goroutine.
type payer struct {
	session  *session
	clientID string
}

func (r *request) payer() payer { return payer{r.session, r.clientID()} }

// charge counts n bytes of a kind, and gives for how long the client is held up: it is muted, and the response is to say so, in
// throttleMs of it.
func (p payer) charge(k quota.Kind, n int) time.Duration {
	d := p.session.s.Quotas.Record(time.Now(), k, anonymous, p.clientID, float64(n))
	p.session.mute(d)
	return d
}

// debt is for how long a client is held up for what it has used before; a fetch is answered empty for so long.
func (p payer) debt(k quota.Kind) time.Duration {
	d := p.session.s.Quotas.Debt(time.Now(), k, anonymous, p.clientID)
	p.session.mute(d)
	return d
}

// hold counts the time that the request took, has the client held up if need be, and the response say so.
func (r *request) hold(p listen.Pending, begin time.Time) {
	now := time.Now()
	d := max(r.held, r.s.Quotas.RecordTime(now, anonymous, r.clientID(), now.Sub(begin)))
	if d <= 0 {
		return
	}
	r.session.mute(d)
	if t, ok := p.(throttled); ok {
		t.throttle(d)
	}
}

// mutate asks for leave to make or delete n partitions. Versions from strict on know the error that refuses it, older ones are held up
// afterwards. Errors: errQuota.
func (r *request) mutate(n int, strict int16) error {
	d, ok := r.s.Quotas.Mutate(time.Now(), anonymous, r.clientID(), n, r.version >= strict)
	r.held = max(r.held, d)
	if !ok {
		return fmt.Errorf("%w: try again in %d ms", errQuota, throttleMs(d))
	}
	return nil
}

// mute has nothing read from the connection for d. It is called by the reader and by the writer; the later end counts.
func (c *session) mute(d time.Duration) {
	if d <= 0 {
		return
	}
	until := int64(time.Since(c.s.began) + d)
	for old := c.muted.Load(); old < until; old = c.muted.Load() {
		if c.muted.CompareAndSwap(old, until) {
			return
		}
	}
}

// Muted implements listen.Muter.
func (c *session) Muted() time.Duration {
	until := c.muted.Load()
	if until == 0 {
		return 0 // as for nearly all connections, without a look at the clock
	}
	return time.Duration(until) - time.Since(c.s.began)
}

// throttleMs is a time as the protocol gives it: a client that waits for so long has waited long enough.
func throttleMs(d time.Duration) int32 {
	return int32(min((d+time.Millisecond-1)/time.Millisecond, math.MaxInt32))
}
