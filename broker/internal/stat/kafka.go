package stat

import (
	"unicode/utf8"

	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/broker/internal/topics"
	"github.com/streambus/streambus/wire"
)

// maxSeries bounds the offsets of groups that are shown (ST2): whoever may commit makes as many as they like.
const maxSeries = 50_000

// kafka fills /metrics/kafka.
func (g *Gatherer) kafka(e *emitter) {
	e.num("kafka_server_kafkaserver_brokerstate", map[State]float64{Starting: 1, Recovering: 2, Ready: 3, Draining: 6, Failed: 6}[g.state()])
	r := g.rooms.Load()
	if r == nil {
		return
	}
	e.kafkaRequests(r.Requests)
	e.num("kafka_server_socketservermetrics_connection_count", float64(r.Listen.Conns()), "PLAINTEXT")
	e.millis("kafka_log_logflushstats_logflushrateandtimems", r.Engine.Stats().Logged.Flush)
	e.kafkaTopics(r)
	e.kafkaGroups(r)
}

func (e *emitter) kafkaRequests(r *Requests) {
	for k, c := range r.all {
		name := k.String()
		for v := range c.versions {
			if n := c.versions[v].Load(); n > 0 {
				e.num("kafka_network_requestmetrics_requests_total", float64(n), name, itoa(v))
			}
		}
		for i := range c.codes {
			if n := c.codes[i].Load(); n > 0 {
				e.num("kafka_network_requestmetrics_errors_total", float64(n), name, wire.ErrorCode(i+minCode).String())
			}
		}
		if s := c.time.Snapshot(); s.Count > 0 {
			e.millis("kafka_network_requestmetrics_totaltimems", s, name)
		}
	}
	for prefix, k := range map[string]wire.Key{"produce": wire.KeyProduce, "fetch": wire.KeyFetch} {
		c := r.Of(k)
		e.num("kafka_server_brokertopicmetrics_total"+prefix+"requests_total", float64(c.Total))
		e.num("kafka_server_brokertopicmetrics_failed"+prefix+"requests_total", float64(c.Errors))
	}
}

func (e *emitter) kafkaTopics(r *Rooms) {
	all := r.Topics.All()
	count, offline := 0, 0
	for _, t := range all {
		traffic := trafficOf(t)
		e.num("kafka_server_brokertopicmetrics_messagesin_total", float64(traffic.Records), t.Name)
		e.num("kafka_server_brokertopicmetrics_bytesin_total", float64(traffic.BytesIn), t.Name)
		e.num("kafka_server_brokertopicmetrics_bytesout_total", float64(traffic.BytesOut), t.Name)
		e.num("kafka_topic_partitions", float64(t.Partitions), t.Name)
		for i := range t.Partitions {
			count++
			p, err := t.Partition(int32(i))
			if err != nil {
				offline++
				continue
			}
			e.kafkaPartition(p, r.NodeID, t.Name, itoa(i))
		}
	}
	e.num("kafka_server_replicamanager_partitioncount", float64(count))
	e.num("kafka_server_replicamanager_leadercount", float64(count-offline))
	e.num("kafka_server_replicamanager_underreplicatedpartitions", 0)
	e.num("kafka_server_replicamanager_offlinereplicacount", float64(offline))
	e.num("kafka_controller_kafkacontroller_activecontrollercount", 1)
	e.num("kafka_controller_kafkacontroller_offlinepartitionscount", float64(offline))
	e.num("kafka_controller_kafkacontroller_globalpartitioncount", float64(count))
	e.num("kafka_controller_kafkacontroller_globaltopiccount", float64(len(all)))
	e.num("kafka_brokers", 1)
	e.num("kafka_broker_info", 1, itoa(r.NodeID), r.Address)
}

func (e *emitter) kafkaPartition(p *partition.Partition, node int32, topic, at string) {
	start, high := float64(p.Start()), float64(p.HighWatermark())
	e.num("kafka_log_log_size", float64(p.Log().SizeBytes()), topic, at)
	e.num("kafka_log_log_logstartoffset", start, topic, at)
	e.num("kafka_log_log_logendoffset", float64(p.Log().EndOffset()), topic, at)
	e.num("kafka_topic_partition_current_offset", high, topic, at)
	e.num("kafka_topic_partition_oldest_offset", start, topic, at)
	e.num("kafka_topic_partition_leader", float64(node), topic, at)
	e.num("kafka_topic_partition_leader_is_preferred", 1, topic, at)
	e.num("kafka_topic_partition_replicas", 1, topic, at)
	e.num("kafka_topic_partition_in_sync_replica", 1, topic, at)
	e.num("kafka_topic_partition_under_replicated_partition", 0, topic, at)
}

// lag is what a group has committed for a partition, and what it has still to read.
type lag struct {
	group, topic      string
	partition         int32
	committed, behind float64
}

// lags lists them, in the order of groups and topics, and counts those that are left out.
func lags(r *Rooms) (all []lag, left int) {
	for _, g := range r.Groups.Offsets.Names() {
		committed := r.Groups.Offsets.All(g)
		if !utf8.ValidString(g) || len(all)+len(committed) > maxSeries {
			left += len(committed)
			continue
		}
		for _, c := range committed {
			if l, ok := lagOf(r.Topics, g, c); ok {
				all = append(all, l)
			}
		}
	}
	return all, left
}

// lagOf is not ok for a partition that there is not, or not any more: a topic deleted since is nothing to catch up with.
func lagOf(c *topics.Catalog, g string, o group.Committed) (l lag, ok bool) {
	t := c.Topic(o.Topic)
	if t == nil {
		return l, false
	}
	p, err := t.Partition(o.Partition)
	if err != nil {
		return l, false
	}
	return lag{g, o.Topic, o.Partition, float64(o.Offset), max(float64(int64(p.HighWatermark())-int64(o.Offset)), 0)}, true
}

// census is that of the coordinator, with the groups that are known for their offsets only.
func census(c *group.Coordinator) []group.Census {
	all := c.Census()
	seen := make(map[string]bool, len(all))
	for _, g := range all {
		seen[g.ID] = true
	}
	for _, id := range c.Offsets.Names() {
		if !seen[id] {
			all = append(all, group.Census{ID: id, State: group.Empty.String()})
		}
	}
	return all[:min(len(all), maxSeries)]
}

func (e *emitter) kafkaGroups(r *Rooms) {
	for _, g := range census(r.Groups) {
		if utf8.ValidString(g.ID) {
			e.num("kafka_consumergroup_members", float64(g.Members), g.ID)
		}
	}
	all, _ := lags(r)
	for i := 0; i < len(all); {
		first := all[i]
		var committed, behind float64
		for ; i < len(all) && all[i].group == first.group && all[i].topic == first.topic; i++ {
			l := all[i]
			e.num("kafka_consumergroup_current_offset", l.committed, l.group, l.topic, itoa(l.partition))
			e.num("kafka_consumergroup_lag", l.behind, l.group, l.topic, itoa(l.partition))
			committed, behind = committed+l.committed, behind+l.behind
		}
		e.num("kafka_consumergroup_current_offset_sum", committed, first.group, first.topic)
		e.num("kafka_consumergroup_lag_sum", behind, first.group, first.topic)
	}
}

// trafficOf adds up a topic's partitions.
func trafficOf(t *topics.Topic) (sum partition.Traffic) {
	for i := range t.Partitions {
		if p, err := t.Partition(int32(i)); err == nil {
			one := p.Traffic()
			sum.Records += one.Records
			sum.BytesIn += one.BytesIn
			sum.BytesOut += one.BytesOut
		}
	}
	return sum
}
