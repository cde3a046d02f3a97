package stat

import (
	"fmt"
	"io"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Kind is the type of a metric.
type Kind string

// The kinds of metrics.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
	Summary   Kind = "summary"
)

// Def describes one metric.
type Def struct {
	Name   string
	Kind   Kind
	Labels []string
	Help   string

	desc *prometheus.Desc
}

func def(name string, kind Kind, help string, labels ...string) *Def {
	return &Def{name, kind, labels, help, prometheus.NewDesc(name, help, labels, nil)}
}

// Own are StreamBus's metrics, served at /metrics beside those of the Go runtime and the process. Callers must not change it.
var Own = []*Def{
	def("streambus_build_info", Gauge, "Always 1; the labels say what is running.", "version", "go"),
	def("streambus_up_state", Gauge, "1 for the state the broker is in, 0 for the others: starting, recovering, ready, draining, failed.", "state"),
	def("streambus_ready", Gauge, "1 when the broker serves: it has recovered and is not going down."),

	def("streambus_requests_total", Counter, "Requests taken in.", "api"),
	def("streambus_request_errors_total", Counter, "Error codes sent: one for each topic, partition or group that failed in a request.", "api", "code"),
	def("streambus_requests_in_flight", Gauge, "Requests taken in and not answered.", "api"),
	def("streambus_request_seconds", Histogram, "Time from a request's last byte to the moment its answer was built, with all waiting: for the flush (Produce), for data (Fetch), for members (JoinGroup).", "api"),
	def("streambus_requests_malformed_total", Counter, "Requests that closed their connection: they could not be read, or failed without a response to say so in (acks=0)."),
	def("streambus_requests_unanswered_total", Counter, "Requests whose connection ended before the answer."),

	def("streambus_connections", Gauge, "Connections that are open."),
	def("streambus_connections_limit", Gauge, "The setting max.connections."),
	def("streambus_connections_accepted_total", Counter, "Connections accepted."),
	def("streambus_connections_refused_total", Counter, "Connections closed at once, for a limit or while draining."),
	def("streambus_connection_panics_total", Counter, "Panics contained in a connection. Each is a bug, logged with its stack."),
	def("streambus_received_bytes_total", Counter, "Bytes of requests received."),
	def("streambus_sent_bytes_total", Counter, "Bytes of responses sent: from memory, or by sendfile from files.", "from"),
	def("streambus_request_memory_bytes", Gauge, "Memory of requests in work."),
	def("streambus_request_memory_limit_bytes", Gauge, "queued.max.request.bytes: beyond it connections are not read."),
	def("streambus_request_memory_waiting", Gauge, "Connections that wait for memory for a request."),

	def("streambus_produced_records_total", Counter, "Records appended by clients or the broker itself.", "topic"),
	def("streambus_produced_bytes_total", Counter, "Bytes of record batches appended.", "topic"),
	def("streambus_fetched_bytes_total", Counter, "Bytes of record batches sent.", "topic"),
	def("streambus_partition_start_offset", Gauge, "First offset kept.", "topic", "partition"),
	def("streambus_partition_end_offset", Gauge, "High watermark: the offset after the last committed record.", "topic", "partition"),
	def("streambus_partition_size_bytes", Gauge, "Bytes of the partition's segments.", "topic", "partition"),
	def("streambus_topics", Gauge, "Topics, the broker's own among them."),
	def("streambus_partitions", Gauge, "Partitions that are served."),
	def("streambus_partitions_offline", Gauge, "Partitions that are damaged and not served."),

	def("streambus_commit_groups_total", Counter, "Group commits: one write and, where it is logged, one flush.", "durability"),
	def("streambus_commit_batches_total", Counter, "Entries of group commits: record batches, trims and drops.", "durability"),
	def("streambus_commit_bytes_total", Counter, "Bytes of record batches in group commits.", "durability"),
	def("streambus_commit_seconds", Histogram, "Time of a group commit: write and flush (fsync), or the write to the page cache (page_cache).", "durability"),
	def("streambus_commit_queue_bytes", Gauge, "Bytes that wait for a group commit.", "durability"),
	def("streambus_commit_queue_limit_bytes", Gauge, "Beyond it produce requests wait."),
	def("streambus_write_behind_bytes", Gauge, "Acknowledged bytes that the commit log holds and the segments do not yet."),
	def("streambus_write_behind_limit_bytes", Gauge, "Beyond it group commits wait."),
	def("streambus_replay_bytes", Gauge, "Commit log since the last checkpoint: what a start after a crash would read."),
	def("streambus_checkpoints_total", Counter, "Checkpoints written."),
	def("streambus_last_checkpoint_timestamp_seconds", Gauge, "When the last checkpoint was written, since 1970; 0: none since the start."),
	def("streambus_logs", Gauge, "Logs that are open."),
	def("streambus_segments", Gauge, "Segments of all logs.", "state"),
	def("streambus_segment_bytes", Gauge, "Bytes in segments of all logs."),
	def("streambus_compactions_total", Counter, "Rounds of compaction."),
	def("streambus_compaction_read_bytes_total", Counter, "Bytes that compaction read."),
	def("streambus_compaction_kept_bytes_total", Counter, "Bytes that compaction kept."),
	def("streambus_compaction_removed_records_total", Counter, "Records that compaction removed."),
	def("streambus_scrubs_total", Counter, "Whole rounds of verifying all segments."),
	def("streambus_scrubbed_bytes_total", Counter, "Bytes verified in the background."),
	def("streambus_damaged_stretches", Gauge, "Stretches of logs known to be damaged, which are not served. Anything but 0 needs a copy of the data."),
	def("streambus_disk_full_refusals_total", Counter, "Appends refused for lack of disk space. Nothing was taken; clients retry."),
	def("streambus_disk_free_bytes", Gauge, "Free space of the file system that holds the data directory; -1: unknown."),
	def("streambus_disk_reserve_bytes", Gauge, "log.reserve.bytes: free space that producing leaves alone."),
	def("streambus_disk_failed", Gauge, "1 when a write or flush has failed: nothing is acknowledged until a restart."),

	def("streambus_groups", Gauge, "Consumer groups that have members or committed offsets, by state.", "state"),
	def("streambus_group_members", Gauge, "Members of all consumer groups."),
	def("streambus_group_series_left_out", Gauge, "Offsets of groups that /metrics/kafka did not show: too many, or a name that is not UTF-8."),
}

// Kafka are the metrics under the names of jmx_exporter's Kafka rules and of kafka_exporter, served at /metrics/kafka.
var Kafka = []*Def{
	def("kafka_server_brokertopicmetrics_messagesin_total", Counter, "Records appended.", "topic"),
	def("kafka_server_brokertopicmetrics_bytesin_total", Counter, "Bytes of record batches appended.", "topic"),
	def("kafka_server_brokertopicmetrics_bytesout_total", Counter, "Bytes of record batches sent.", "topic"),
	def("kafka_server_brokertopicmetrics_totalproducerequests_total", Counter, "Produce requests."),
	def("kafka_server_brokertopicmetrics_totalfetchrequests_total", Counter, "Fetch requests."),
	def("kafka_server_brokertopicmetrics_failedproducerequests_total", Counter, "Partitions that a produce request failed for."),
	def("kafka_server_brokertopicmetrics_failedfetchrequests_total", Counter, "Partitions that a fetch request failed for."),
	def("kafka_network_requestmetrics_requests_total", Counter, "Requests.", "request", "version"),
	def("kafka_network_requestmetrics_errors_total", Counter, "Error codes sent, NONE among them.", "request", "error"),
	def("kafka_network_requestmetrics_totaltimems", Summary, "Time of a request in milliseconds, since the start of the broker.", "request"),
	def("kafka_server_socketservermetrics_connection_count", Gauge, "Connections that are open.", "listener"),
	def("kafka_server_kafkaserver_brokerstate", Gauge, "1 starting, 2 recovering, 3 running, 6 draining."),
	def("kafka_server_replicamanager_partitioncount", Gauge, "Partitions on this broker."),
	def("kafka_server_replicamanager_leadercount", Gauge, "Partitions that this broker leads."),
	def("kafka_server_replicamanager_underreplicatedpartitions", Gauge, "Partitions with fewer replicas in sync than they have; with one broker none can be."),
	def("kafka_server_replicamanager_offlinereplicacount", Gauge, "Partitions that are damaged and not served."),
	def("kafka_controller_kafkacontroller_activecontrollercount", Gauge, "1: this broker is the controller."),
	def("kafka_controller_kafkacontroller_offlinepartitionscount", Gauge, "Partitions without a leader."),
	def("kafka_controller_kafkacontroller_globalpartitioncount", Gauge, "Partitions of the cluster."),
	def("kafka_controller_kafkacontroller_globaltopiccount", Gauge, "Topics of the cluster."),
	def("kafka_log_log_size", Gauge, "Bytes of a partition's log.", "topic", "partition"),
	def("kafka_log_log_logstartoffset", Gauge, "First offset kept.", "topic", "partition"),
	def("kafka_log_log_logendoffset", Gauge, "Next offset to be given.", "topic", "partition"),
	def("kafka_log_logflushstats_logflushrateandtimems", Summary, "Time of a flush of the commit log in milliseconds, since the start of the broker."),

	def("kafka_brokers", Gauge, "Brokers of the cluster."),
	def("kafka_broker_info", Gauge, "Always 1; the labels name the broker.", "id", "address"),
	def("kafka_topic_partitions", Gauge, "Partitions of a topic.", "topic"),
	def("kafka_topic_partition_current_offset", Gauge, "High watermark.", "topic", "partition"),
	def("kafka_topic_partition_oldest_offset", Gauge, "First offset kept.", "topic", "partition"),
	def("kafka_topic_partition_leader", Gauge, "Id of the leader.", "topic", "partition"),
	def("kafka_topic_partition_leader_is_preferred", Gauge, "1 when the leader is the preferred replica.", "topic", "partition"),
	def("kafka_topic_partition_replicas", Gauge, "Replicas.", "topic", "partition"),
	def("kafka_topic_partition_in_sync_replica", Gauge, "Replicas in sync.", "topic", "partition"),
	def("kafka_topic_partition_under_replicated_partition", Gauge, "1 when a replica is not in sync.", "topic", "partition"),
	def("kafka_consumergroup_current_offset", Gauge, "Committed offset.", "consumergroup", "topic", "partition"),
	def("kafka_consumergroup_current_offset_sum", Gauge, "Committed offsets of all partitions of a topic.", "consumergroup", "topic"),
	def("kafka_consumergroup_lag", Gauge, "Records between the committed offset and the high watermark.", "consumergroup", "topic", "partition"),
	def("kafka_consumergroup_lag_sum", Gauge, "Lag over all partitions of a topic.", "consumergroup", "topic"),
	def("kafka_consumergroup_members", Gauge, "Members of a group.", "consumergroup"),
}

var table = func() map[string]*Def {
	m := map[string]*Def{}
	for _, d := range append(append([]*Def{}, Own...), Kafka...) {
		if m[d.Name] != nil {
			panic("stat: twice in the table: " + d.Name)
		}
		m[d.Name] = d
	}
	return m
}()

const docsHead = `# Metrics of the StreamBus broker

Made from the table in the code by ` + "`go test ./broker/internal/stat -run TestDocs -rewrite`" + `; do not edit.

The HTTP listener (` + "`http.listeners`" + `, by default 127.0.0.1:9644) serves them in Prometheus' text format: StreamBus's own names at
` + "`/metrics`" + `, with those of the Go runtime (` + "`go_*`" + `) and the process (` + "`process_*`" + `), and the names of Kafka's usual exporters
at ` + "`/metrics/kafka`" + `. Counters begin at 0 with each start of the broker. Metrics of topics, partitions and groups are there
once recovery is done.

`

// Docs writes the table for people, in Markdown.
func Docs(w io.Writer) error {
	var b strings.Builder
	b.WriteString(docsHead)
	section(&b, "/metrics", Own)
	section(&b, "/metrics/kafka", Kafka)
	_, err := io.WriteString(w, b.String())
	return err
}

func section(b *strings.Builder, path string, defs []*Def) {
	fmt.Fprintf(b, "## `%s`\n\n| name | type | labels | meaning |\n|---|---|---|---|\n", path)
	for _, d := range defs {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", d.Name, d.Kind, strings.Join(d.Labels, ", "), d.Help)
	}
	b.WriteString("\n")
}
