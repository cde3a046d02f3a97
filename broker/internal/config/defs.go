package config

import "math"

// Kind is the type of a value.
type Kind uint8

// The kinds of values.
const (
	String Kind = iota
	Int         // 32 bits
	Long        // 64 bits
	Bool
	List // comma-separated
)

func (k Kind) String() string {
	return [...]string{"string", "int", "long", "boolean", "list"}[k]
}

// Def describes one key.
type Def struct {
	Name      string
	Kind      Kind
	Default   string
	Lo, Hi    int64              // limits of numbers, both inclusive; both 0: none
	Check     func(Value) string // "" or what is right; runs after kind and limits
	Doc       string
	Why       string // why the default is not Kafka's; empty where it is
	Dynamic   bool   // may change without a restart (none yet can be changed over the wire)
	Sensitive bool   // masked when printed
	Own       bool   // StreamBus's own key, unknown to Kafka
}

const (
	kib = int64(1) << 10
	mib = kib << 10
	gib = mib << 10

	maxInt32 = int64(math.MaxInt32)
	maxInt64 = int64(math.MaxInt64)
)

// Defs is the table, sorted by name. Callers must not change it.
var Defs = []Def{
	{Name: "advertised.listeners", Kind: List, Check: checkAdvertised,
		Doc: "The address that clients are told to connect to, where it differs from listeners (containers, NAT): PLAINTEXT://host:port."},
	{Name: "auto.create.topics.enable", Kind: Bool, Default: "true",
		Doc: "Create a topic with default settings when a client asks for the metadata of one that does not exist."},
	{Name: "commit.log.file.bytes", Kind: Long, Default: "268435456", Lo: 1 * mib, Hi: 16 * gib, Own: true,
		Doc: "Size of one commit-log file. The commit log is what makes an acknowledged record durable: one write and one flush for all partitions. Its files are written with zeros once, at first start, and recycled."},
	{Name: "commit.log.files", Kind: Int, Default: "4", Lo: 2, Hi: 1024, Own: true,
		Doc: "How many commit-log files circulate at least."},
	{Name: "connections.max.idle.ms", Kind: Long, Default: "600000", Lo: 1, Hi: maxInt32,
		Doc: "Close a connection on which nothing was asked, and nothing is being waited for, for so long."},
	{Name: "disk.io", Kind: String, Default: "auto", Check: checkIO, Own: true,
		Doc: "How disk I/O is done (the same as --io). auto: io_uring for cold reads and checkpoints where the kernel grants it, else system calls; uring: that or refuse to start; sync: system calls."},
	{Name: "fetch.max.bytes", Kind: Int, Default: "57671680", Lo: 1024, Hi: maxInt32,
		Doc: "The most record bytes that one fetch is answered with, whatever the client asks for."},
	{Name: "group.initial.rebalance.delay.ms", Kind: Int, Default: "500", Lo: 0, Hi: maxInt32,
		Doc: "How long the first rebalance of an empty group waits for more members.",
		Why: "Kafka's 3000 makes the first message of every test, script and kcat run wait for three seconds. A group whose members start further apart than half a second pays with one more rebalance."},
	{Name: "group.max.session.timeout.ms", Kind: Int, Default: "1800000", Lo: 1, Hi: maxInt32,
		Doc: "The longest session timeout that a group member may ask for."},
	{Name: "group.max.size", Kind: Int, Default: "2147483647", Lo: 1, Hi: maxInt32,
		Doc: "The most members that a group may have."},
	{Name: "group.min.session.timeout.ms", Kind: Int, Default: "6000", Lo: 1, Hi: maxInt32,
		Doc: "The shortest session timeout that a group member may ask for."},
	{Name: "listeners", Kind: List, Default: "PLAINTEXT://127.0.0.1:9092", Check: checkListeners,
		Doc: "Where to listen: PLAINTEXT://host:port. An empty host is all addresses. Other addresses than loopback need --insecure until TLS and SASL are here.",
		Why: "Kafka listens on all addresses, without authentication, unless told otherwise."},
	{Name: "log.dirs", Kind: List, Check: checkLogDirs,
		Doc: "The data directory (the same as --data-dir). One directory only."},
	{Name: "log.flush.interval.messages", Kind: Long, Default: "1", Lo: 1, Hi: maxInt64,
		Doc: "1: a record is on the disk before it is acknowledged. More: it is acknowledged from the page cache, and log.flush.interval.ms says when it is flushed. Default for flush.messages of topics.",
		Why: "Kafka never flushes and relies on replicas; a single broker would lose acknowledged records in a power cut. The commit log makes it cheap."},
	{Name: "log.flush.interval.ms", Kind: Long, Default: "9223372036854775807", Lo: 1, Hi: maxInt64,
		Doc: "How long records that are acknowledged from the page cache (log.flush.interval.messages above 1) may wait for a flush; the largest number leaves it to the kernel. Default for flush.ms of topics."},
	{Name: "log.index.interval.bytes", Kind: Int, Default: "4096", Lo: 64, Hi: maxInt32,
		Doc: "Bytes of log per entry of the sparse offset index."},
	{Name: "log.reserve.bytes", Kind: Long, Default: "67108864", Lo: 0, Hi: maxInt64, Own: true,
		Doc: "Free disk space that producing leaves alone, so that committed offsets and topic deletion still work on a full disk."},
	{Name: "log.retention.bytes", Kind: Long, Default: "-1", Lo: -1, Hi: maxInt64,
		Doc: "The oldest segments of a partition are deleted while the others hold as much as this; -1: no limit. Default for retention.bytes of topics."},
	{Name: "log.retention.check.interval.ms", Kind: Long, Default: "30000", Lo: 10, Hi: maxInt32,
		Doc: "How often to look for segments that retention allows to delete.",
		Why: "Kafka's 300000 lets a full disk wait for five minutes; a look costs microseconds."},
	{Name: "log.retention.ms", Kind: Long, Default: "604800000", Lo: -1, Hi: maxInt64,
		Doc: "Segments are deleted when their newest record is older; -1: no limit. Default for retention.ms of topics."},
	{Name: "log.segment.bytes", Kind: Int, Default: "1073741824", Lo: 64 * kib, Hi: maxInt32,
		Doc: "A segment file is closed, and the next begun, before it would grow past this. Default for segment.bytes of topics."},
	{Name: "max.connections", Kind: Int, Default: "10000", Lo: 1, Hi: maxInt32,
		Doc: "The most connections open at once; more are closed as they come.",
		Why: "Kafka has no limit, so a flood takes all of the process's file descriptors and with them its log files."},
	{Name: "max.connections.per.ip", Kind: Int, Default: "2147483647", Lo: 1, Hi: maxInt32,
		Doc: "The most connections open at once from one address."},
	{Name: "message.max.bytes", Kind: Int, Default: "1048588", Lo: 61, Hi: maxInt32,
		Doc: "The largest record batch taken, compressed. Default for max.message.bytes of topics."},
	{Name: "node.id", Kind: Int, Default: "1", Lo: 0, Hi: maxInt32,
		Doc: "This broker's id in the cluster."},
	{Name: "num.partitions", Kind: Int, Default: "1", Lo: 1, Hi: 10000,
		Doc: "Partitions of a topic that is created without saying how many."},
	{Name: "default.replication.factor", Kind: Int, Default: "1", Lo: 1, Hi: 1,
		Doc: "Replicas of a topic that is created without saying how many. One broker can only hold one."},
	{Name: "offsets.topic.num.partitions", Kind: Int, Default: "8", Lo: 1, Hi: 1000,
		Doc: "Partitions of __consumer_offsets, counted when that topic is first needed and never after.",
		Why: "Kafka's 50 are there to spread groups over many brokers. All partitions of this broker share one flush, so more of them win nothing and cost open files and start-up time."},
	{Name: "queued.max.requests.per.connection", Kind: Int, Default: "64", Lo: 1, Hi: 10000, Own: true,
		Doc: "Requests of one connection that may be in work at once; beyond it the connection is not read. (Kafka's queued.max.requests counts for the whole broker.)"},
	{Name: "queued.max.request.bytes", Kind: Long, Default: "536870912", Lo: 1 * mib, Hi: maxInt64,
		Doc: "Bytes of requests that all connections together may have in work; beyond it they are not read.",
		Why: "Kafka has no limit unless told so, and dies of memory instead."},
	{Name: "socket.request.max.bytes", Kind: Int, Default: "104857600", Lo: 4 * kib, Hi: maxInt32,
		Doc: "The largest request taken. A connection that announces a larger one is closed."},
}

// foreign are keys that a Kafka server.properties holds and that mean nothing here, with the reason.
var foreign = map[string]string{
	"broker.id":                                        "use node.id",
	"controller.listener.names":                        "there is no separate controller listener",
	"controller.quorum.bootstrap.servers":              "this broker is its own controller",
	"controller.quorum.voters":                         "this broker is its own controller",
	"inter.broker.listener.name":                       "there is one broker",
	"listener.security.protocol.map":                   "only PLAINTEXT is served",
	"log.cleaner.enable":                               "compaction is always on, for topics with cleanup.policy=compact",
	"log.retention.hours":                              "use log.retention.ms",
	"log.retention.minutes":                            "use log.retention.ms",
	"min.insync.replicas":                              "there is one replica",
	"num.io.threads":                                   "there are no thread pools",
	"num.network.threads":                              "there are no thread pools",
	"num.recovery.threads.per.data.dir":                "recovery replays one commit log",
	"offsets.topic.replication.factor":                 "there is one replica",
	"process.roles":                                    "this broker is its own controller",
	"queued.max.requests":                              "use queued.max.requests.per.connection and queued.max.request.bytes",
	"share.coordinator.state.topic.min.isr":            "share groups are not served",
	"share.coordinator.state.topic.replication.factor": "share groups are not served",
	"socket.receive.buffer.bytes":                      "the kernel sizes socket buffers",
	"socket.send.buffer.bytes":                         "the kernel sizes socket buffers",
	"transaction.state.log.min.isr":                    "transactions are not served yet",
	"transaction.state.log.replication.factor":         "transactions are not served yet",
}
