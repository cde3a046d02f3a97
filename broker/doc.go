// Package broker puts the rooms of a StreamBus broker together, runs them and takes them down in order. It decides nothing.
//
//	                 listen  ── Session ──▶  api  ──▶ topics ──▶ partition ──▶ engine
//	                                          │  └──▶ group ───────▲
//	                                          └─────▶ meta ────────▲
//
//	cmd/streambus      the program: flags, signals, exit codes
//	admin              the other side: the Kafka protocol as a client, for the program's commands
//	internal/config    settings: names, sources, checks
//	internal/listen    connections: frames in, responses out in order, limits
//	internal/api       requests: one file per API key
//	internal/topics    which topics there are, and their open partitions; what may be configured, brought into effect
//	internal/topics/admit  what a topic asks of a producer's batch
//	internal/partition what is committed, and who waits for it
//	internal/group     consumer groups and their offsets
//	internal/txn       transactions: who owns an id, what it is part of, how it ends
//	internal/meta      the metadata, as a log of records
//	internal/quota     how long a client is held up that uses more than it was granted
//	internal/stat      the numbers of all rooms, as Prometheus metrics
//	internal/console   HTTP: health, readiness, metrics; open before recovery begins
//	internal/failpoint a slow or full disk, or a wrong clock, at the word of whoever started the broker to break it; off otherwise
//
// # Order of going down
//
//	1 no new connections, no new requests      listen stops reading
//	2 long polls and parked joins are answered api.Draining, group.Close, txn.Close
//	3 responses under way go out               listen.Shutdown, bounded by DrainTimeout
//	4 who still waits on a partition is told   topics.Close
//	5 flush, checkpoint, close                 engine.Close
//	6 failpoints, where there are any          failpoint.Close
//	7 health and metrics                       console.Close
package broker
