package config

import (
	"math"
	"slices"
)

// Kind is the type of a value.
type Kind uint8

// The kinds of values.
const (
	String Kind = iota
	Int         // 32 bits
	Long        // 64 bits
	Bool
	List   // comma-separated
	Double // 64 bits, finite
)

func (k Kind) String() string {
	return [...]string{"string", "int", "long", "boolean", "list", "double"}[k]
}

// Importance is Kafka's word for how likely one is to need a key.
type Importance uint8

// The importances.
const (
	Medium Importance = iota
	High
	Low
)

func (i Importance) String() string { return [...]string{"medium", "high", "low"}[i] }

// Def describes one key of the broker (Defs), of a topic (TopicDefs) or of a group (GroupDefs).
type Def struct {
	Name       string
	Kind       Kind
	Default    string             // of a topic's or group's key with a Broker key: unused, the broker's value is the default
	Lo, Hi     int64              // limits of numbers, both inclusive; both 0: none
	Check      func(Value) string // "" or what is right; runs after kind and limits
	Doc        string
	Why        string // why the default is not Kafka's; empty where it is
	Broker     string // the broker key that a topic or group follows which does not set this one (Kafka calls them synonyms)
	Importance Importance
	Dynamic    bool // may change without a restart; keys of topics and groups always may
	Sensitive  bool // masked when printed
	Own        bool // StreamBus's own key, unknown to Kafka
}

const (
	kib = int64(1) << 10
	mib = kib << 10
	gib = mib << 10

	maxInt32 = int64(math.MaxInt32)
	maxInt64 = int64(math.MaxInt64)
)

// Defs is the broker's table. Callers must not change it.
var Defs = slices.Concat(brokerDefs, logDefs, coordinatorDefs, quotaDefs)

// brokerDefs are the keys of the broker as a whole.
var brokerDefs = []Def{
	{Name: "advertised.listeners", Kind: List, Check: checkAdvertised, Importance: High,
		Doc: "The address that clients are told to connect to, where it differs from listeners (containers, NAT): PLAINTEXT://host:port."},
	{Name: "auto.create.topics.enable", Kind: Bool, Default: "true", Importance: High,
		Doc: "Create a topic with default settings when a client asks for the metadata of one that does not exist."},
	{Name: "commit.log.file.bytes", Kind: Long, Default: "268435456", Lo: 1 * mib, Hi: 16 * gib, Own: true,
		Doc: "Size of one commit-log file. The commit log is what makes an acknowledged record durable: one write and one flush for all partitions. Its files are written with zeros once, at first start, and recycled."},
	{Name: "commit.log.files", Kind: Int, Default: "4", Lo: 2, Hi: 1024, Own: true,
		Doc: "How many commit-log files circulate at least."},
	{Name: "connections.max.idle.ms", Kind: Long, Default: "600000", Lo: 1, Hi: maxInt32,
		Doc: "Close a connection on which nothing was asked, and nothing is being waited for, for so long."},
	{Name: "disk.io", Kind: String, Default: "auto", Check: checkIO, Own: true, Importance: Low,
		Doc: "How disk I/O is done (the same as --io). auto: io_uring for cold reads and checkpoints where the kernel grants it, else system calls; uring: that or refuse to start; sync: system calls."},
	{Name: "fetch.max.bytes", Kind: Int, Default: "57671680", Lo: 1024, Hi: maxInt32,
		Doc: "The most record bytes that one fetch is answered with, whatever the client asks for."},
	{Name: "http.listeners", Kind: List, Default: "http://127.0.0.1:9644", Check: checkHTTP, Own: true,
		Doc: "Where to serve health, readiness and metrics: http://host:port; empty: nowhere. Other addresses than loopback need --insecure. When nobody has set it and the port is taken, the broker starts without."},
	{Name: "http.pprof.enable", Kind: Bool, Default: "false", Own: true,
		Doc: "Serve Go's profiles at /debug/pprof/ of http.listeners, which must be loopback: profiles show what the program holds in memory."},
	{Name: "listeners", Kind: List, Default: "PLAINTEXT://127.0.0.1:9092", Check: checkListeners, Importance: High,
		Doc: "Where to listen: PLAINTEXT://host:port. An empty host is all addresses. Other addresses than loopback need --insecure until TLS and SASL are here.",
		Why: "Kafka listens on all addresses, without authentication, unless told otherwise."},
	{Name: "log.dirs", Kind: List, Check: checkLogDirs, Importance: High,
		Doc: "The data directory (the same as --data-dir). One directory only."},
	{Name: "log.reserve.bytes", Kind: Long, Default: "67108864", Lo: 0, Hi: maxInt64, Own: true,
		Doc: "Free disk space that producing leaves alone, so that committed offsets and topic deletion still work on a full disk."},
	{Name: "max.connections", Kind: Int, Default: "10000", Lo: 1, Hi: maxInt32, Dynamic: true,
		Doc: "The most connections open at once; more are closed as they come.",
		Why: "Kafka has no limit, so a flood takes all of the process's file descriptors and with them its log files."},
	{Name: "max.connection.creation.rate", Kind: Int, Default: "2147483647", Lo: 0, Hi: maxInt32, Dynamic: true,
		Doc: "The most connections that are accepted in a second, over all addresses; the others wait to be accepted."},
	{Name: "max.connections.per.ip.overrides", Kind: List, Check: checkPerIP, Dynamic: true,
		Doc: "max.connections.per.ip for single addresses: 10.0.0.1:200,10.0.0.2:50."},
	{Name: "max.connections.per.ip", Kind: Int, Default: "2147483647", Lo: 1, Hi: maxInt32, Dynamic: true,
		Doc: "The most connections open at once from one address."},
	{Name: "max.incremental.fetch.session.cache.slots", Kind: Int, Default: "1000", Lo: 0, Hi: 100000,
		Doc: "So many consumers have a fetch session at a time, by which they and the broker tell each other only what has changed; the others ask for everything each time. 0: nobody."},
	{Name: "max.request.partition.size.limit", Kind: Int, Default: "2000", Lo: 1, Hi: 100000, Importance: Low,
		Doc: "The most partitions that one DescribeTopicPartitions response describes, whatever the client asks for; it asks again for the rest."},
	{Name: "node.id", Kind: Int, Default: "1", Lo: 0, Hi: maxInt32, Importance: High,
		Doc: "This broker's id in the cluster."},
	{Name: "num.partitions", Kind: Int, Default: "1", Lo: 1, Hi: 10000,
		Doc: "Partitions of a topic that is created without saying how many."},
	{Name: "default.replication.factor", Kind: Int, Default: "1", Lo: 1, Hi: 1,
		Doc: "Replicas of a topic that is created without saying how many. One broker can only hold one."},
	{Name: "queued.max.requests.per.connection", Kind: Int, Default: "64", Lo: 1, Hi: 10000, Own: true, Importance: Low,
		Doc: "Requests of one connection that may be in work at once; beyond it the connection is not read. (Kafka's queued.max.requests counts for the whole broker.)"},
	{Name: "queued.max.request.bytes", Kind: Long, Default: "536870912", Lo: 1 * mib, Hi: maxInt64,
		Doc: "Bytes of requests that all connections together may have in work; beyond it they are not read.",
		Why: "Kafka has no limit unless told so, and dies of memory instead."},
	{Name: "socket.request.max.bytes", Kind: Int, Default: "104857600", Lo: 4 * kib, Hi: maxInt32,
		Doc: "The largest request taken. A connection that announces a larger one is closed."},
}
