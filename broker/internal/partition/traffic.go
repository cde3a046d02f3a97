package partition

import (
	"sync/atomic"

	"github.com/streambus/streambus/engine/batch"
)

// Traffic is what went in and out of a partition since it was opened.
type Traffic struct {
	Records, BytesIn uint64 // appended, duplicates aside
	BytesOut         uint64 // sent to consumers, as far as Sent was called
}

// traffic counts it.
type traffic struct {
	records, in, out atomic.Uint64
}

// appended counts a batch that was taken.
func (t *traffic) appended(records batch.Offset, bytes int) {
	t.records.Add(uint64(records))
	t.in.Add(uint64(bytes))
}

// Traffic may be called by any goroutine.
func (p *Partition) Traffic() Traffic {
	return Traffic{Records: p.traffic.records.Load(), BytesIn: p.traffic.in.Load(), BytesOut: p.traffic.out.Load()}
}

// Sent counts bytes of records that were read and are on their way to a consumer.
func (p *Partition) Sent(bytes int) { p.traffic.out.Add(uint64(bytes)) }
