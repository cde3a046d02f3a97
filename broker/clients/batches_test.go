//go:build clients

package clients

import "fmt"

// codecs are the attribute bits of a batch.
var codecs = map[string]uint8{"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}

// lookAtBatches looks behind what programs say: a codec that was not used, or a producer without an ID, is no pass (C1).
func lookAtBatches(r *run) {
	for name, codec := range codecs {
		if r.outcomes[name].is != "pass" {
			continue
		}
		recs, err := r.read(r.prefix+name, 100)
		if err != nil {
			r.report(name, "fail", fmt.Sprintf("another client: %v", err))
			continue
		}
		for _, rec := range recs {
			if rec.Attrs.CompressionType() != codec {
				r.report(name, "fail", fmt.Sprintf("offset %d has codec %d", rec.Offset, rec.Attrs.CompressionType()))
				break
			}
		}
	}
	if r.outcomes["idempotent"].is != "pass" {
		return
	}
	recs, err := r.read(r.prefix+"idempotent", 500)
	if err != nil || recs[0].ProducerID < 0 {
		r.report("idempotent", "fail", fmt.Sprintf("batches without a producer ID, or another client's error: %v", err))
	}
}

// lookAtCalls catches a client that fell back: KIP-848 without its heartbeat, or a transaction without EndTxn, is no pass.
func lookAtCalls(r *run, calls map[call]int) {
	for cell, key := range map[string]int16{"group-848": 68, "txn-commit": 26, "txn-abort": 26, "txn-offsets": 28} {
		if r.outcomes[cell].is != "pass" {
			continue
		}
		used := false
		for c := range calls {
			used = used || c.key == key
		}
		if !used {
			r.report(cell, "fail", fmt.Sprintf("the client fell back: it sent no %s", call{key: key}.name()))
		}
	}
}
