// Package meta is the cluster's metadata: which topics exist, with what ids, partitions and settings, the cluster's id, the
// producer ids given out, how often the broker has started, and what was set over the wire: settings of brokers and groups, quotas,
// levels of features, SCRAM credentials.
//
// It is not the partitions (topics opens them), nor what a setting means (config, topics, group) or a quota does (quota), and not
// consensus: one broker keeps the log of records alone. A quorum will agree on the same records later.
//
//	record.go  the records, as they are stored
//	image.go   Image: the state that the records amount to; pure: apply(record)
//	snapshot.go  the Image as records, and the log put together from its snapshots and changes
//	features.go, scram.go, quotas.go  what may be asked of these, and what is kept of it
//	store.go   Store: appends a record, waits until it is durable, applies it, publishes the new Image
//
// # Invariants
//
//	M1  A record counts only when it is durable: no caller sees an Image of a record that a crash could take back.
//	M2  Replaying the log gives the Image that was published last, or a later one.
//	M3  A producer id is given out once, over all restarts.
//	M4  A topic id is never used again, and a name has one topic at a time.
//	M5  An Image never changes; a new one takes its place. (While the log is replayed nobody else has it, so it is filled in place.)
//	M6  The log holds at most a thousand records, or twice what there is to say, before a snapshot begins it anew. What a snapshot
//	    replaces is cut off only when all of it is durable.
package meta
