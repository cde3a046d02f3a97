package txn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/streambus/streambus/engine/batch"
)

// load reads the last record of each id.
func (c *Coordinator) load(ctx context.Context) error {
	logs, err := c.opts.Logs(ctx, false)
	if err != nil {
		return fmt.Errorf("__transaction_state: %w", err)
	}
	now := time.Now()
	for i, l := range logs {
		last, err := Replay(l.Replay)
		if err != nil {
			return fmt.Errorf("__transaction_state, partition %d: %w", i, err)
		}
		for id, m := range last {
			// Partitions that were added to the topic have moved ids: what was written last counts.
			if old := c.txns[id]; old == nil || old.t.meta.UpdatedMs <= m.UpdatedMs {
				c.txns[id] = &entry{id: id, log: l, t: Load(c.opts.Limits, now, m), waiting: map[Ticket]func(any){}}
			}
		}
	}
	return nil
}

// Replay gives what the records of one partition amount to: the last of a key wins, a tombstone removes it.
// Errors: those of replay, and of records that are none.
func Replay(replay func(func(batch.Batch) error) error) (map[string]Meta, error) {
	last := map[string]Meta{}
	err := replay(func(b batch.Batch) error {
		if b.Control() {
			return nil
		}
		var bad error
		err := b.Each(func(r batch.Record) bool {
			if err := replayRecord(last, r); err != nil {
				bad = fmt.Errorf("offset %d: %w", r.Offset, err)
			}
			return bad == nil
		})
		return errors.Join(err, bad)
	})
	return last, err
}

func replayRecord(last map[string]Meta, r batch.Record) error {
	id, ok, err := decodeKey(r.Key)
	switch {
	case err != nil || !ok:
		return err
	case r.Value == nil:
		delete(last, id)
		return nil
	}
	m, err := decodeValue(r.Value)
	if err == nil {
		last[id] = m
	}
	return err
}
