package stat

import (
	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/topics"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/wire"
)

// own fills /metrics.
func (g *Gatherer) own(e *emitter) {
	e.num("streambus_build_info", 1, g.version, g.goVersion)
	at := g.state()
	for _, s := range states {
		e.flag("streambus_up_state", s == at, string(s))
	}
	e.flag("streambus_ready", at == Ready)
	r := g.rooms.Load()
	if r == nil {
		return
	}
	e.requests(r.Requests)
	e.listener(r)
	e.topics(r.Topics)
	e.engine(r.Engine.Stats())
	e.groups(r)
}

func (e *emitter) requests(r *Requests) {
	for k, c := range r.all {
		name := k.String()
		e.num("streambus_requests_total", float64(r.Of(k).Total), name)
		e.num("streambus_requests_in_flight", float64(c.inFlight.Load()), name)
		e.seconds("streambus_request_seconds", c.time.Snapshot(), name)
		for i := range c.codes {
			if n := c.codes[i].Load(); n > 0 && i+minCode != int(wire.CodeNone) {
				e.num("streambus_request_errors_total", float64(n), name, wire.ErrorCode(i+minCode).String())
			}
		}
	}
	e.num("streambus_requests_malformed_total", float64(r.Malformed.Load()))
	e.num("streambus_requests_unanswered_total", float64(r.Unanswered.Load()))
}

func (e *emitter) listener(r *Rooms) {
	s := r.Listen.Stats()
	e.num("streambus_connections", float64(s.Conns))
	e.num("streambus_connections_limit", float64(s.MaxConns))
	e.num("streambus_connections_accepted_total", float64(s.Accepted))
	e.num("streambus_connections_refused_total", float64(s.Refused))
	e.num("streambus_connection_panics_total", float64(s.Panics))
	e.num("streambus_received_bytes_total", float64(s.ReceivedBytes))
	e.num("streambus_sent_bytes_total", float64(s.CopiedBytes), "memory")
	e.num("streambus_sent_bytes_total", float64(s.SendfileBytes), "file")
	e.num("streambus_request_memory_bytes", float64(s.BudgetUsed))
	e.num("streambus_request_memory_limit_bytes", float64(s.BudgetBytes))
	e.num("streambus_request_memory_waiting", float64(s.BudgetWaiting))
}

func (e *emitter) topics(c *topics.Catalog) {
	all := c.All()
	served, offline := 0, 0
	for _, t := range all {
		traffic := trafficOf(t)
		e.num("streambus_produced_records_total", float64(traffic.Records), t.Name)
		e.num("streambus_produced_bytes_total", float64(traffic.BytesIn), t.Name)
		e.num("streambus_fetched_bytes_total", float64(traffic.BytesOut), t.Name)
		for i := range t.Partitions {
			p, err := t.Partition(int32(i))
			if err != nil {
				offline++
				continue
			}
			served++
			at := itoa(i)
			e.num("streambus_partition_start_offset", float64(p.Start()), t.Name, at)
			e.num("streambus_partition_end_offset", float64(p.HighWatermark()), t.Name, at)
			e.num("streambus_partition_size_bytes", float64(p.Log().SizeBytes()), t.Name, at)
		}
	}
	e.num("streambus_topics", float64(len(all)))
	e.num("streambus_partitions", float64(served))
	e.num("streambus_partitions_offline", float64(offline))
}

func (e *emitter) engine(s engine.Stats) {
	e.committed("fsync", s.Logged)
	e.committed("page_cache", s.Unlogged)
	e.num("streambus_commit_queue_limit_bytes", float64(s.QueueLimitBytes))
	e.num("streambus_write_behind_bytes", float64(s.BehindBytes))
	e.num("streambus_write_behind_limit_bytes", float64(s.BehindLimitBytes))
	e.num("streambus_replay_bytes", float64(s.ReplayBytes))
	e.num("streambus_checkpoints_total", float64(s.Checkpoints))
	last := 0.0
	if !s.LastCheckpoint.IsZero() {
		last = float64(s.LastCheckpoint.UnixMilli()) / 1e3
	}
	e.num("streambus_last_checkpoint_timestamp_seconds", last)
	e.num("streambus_logs", float64(s.Logs))
	e.num("streambus_segments", float64(s.Sealed), "sealed")
	e.num("streambus_segments", float64(s.Segments-s.Sealed), "open")
	e.num("streambus_segment_bytes", float64(s.SegmentBytes))
	e.num("streambus_compactions_total", float64(s.Compactions))
	e.num("streambus_compaction_read_bytes_total", float64(s.CompactedIn))
	e.num("streambus_compaction_kept_bytes_total", float64(s.CompactedOut))
	e.num("streambus_compaction_removed_records_total", float64(s.CompactedRecords))
	e.num("streambus_scrubs_total", float64(s.Scrubs))
	e.num("streambus_scrubbed_bytes_total", float64(s.ScrubbedBytes))
	e.num("streambus_damaged_stretches", float64(s.Damaged))
	e.num("streambus_disk_full_refusals_total", float64(s.FullRefusals))
	e.num("streambus_disk_free_bytes", float64(s.FreeBytes))
	e.num("streambus_disk_reserve_bytes", float64(s.ReserveBytes))
	e.flag("streambus_disk_failed", s.Failed)
}

func (e *emitter) committed(how string, c engine.Committed) {
	e.num("streambus_commit_groups_total", float64(c.Groups), how)
	e.num("streambus_commit_batches_total", float64(c.Batches), how)
	e.num("streambus_commit_bytes_total", float64(c.Bytes), how)
	e.seconds("streambus_commit_seconds", c.Flush, how)
	e.num("streambus_commit_queue_bytes", float64(c.QueuedBytes), how)
}

func (e *emitter) groups(r *Rooms) {
	members, by := 0, map[string]int{}
	for _, g := range census(r.Groups) {
		members += g.Members
		by[g.State]++
	}
	for _, s := range group.States() {
		e.num("streambus_groups", float64(by[s]), s)
	}
	e.num("streambus_group_members", float64(members))
	_, left := lags(r)
	e.num("streambus_group_series_left_out", float64(left))
}
