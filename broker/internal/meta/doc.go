// Package meta is the cluster's metadata: which topics exist, with what ids, partitions and settings, the cluster's id, the
// producer ids given out, and how often the broker has started.
//
// It is not the partitions (topics opens them) and not consensus: one broker keeps the log of records alone. A quorum will
// agree on the same records later.
//
//	record.go  the records, as they are stored
//	image.go   Image: the state that the records amount to; pure: apply(record)
//	store.go   Store: appends a record, waits until it is durable, applies it, publishes the new Image
//
// # Invariants
//
//	M1  A record counts only when it is durable: no caller sees an Image of a record that a crash could take back.
//	M2  Replaying the log gives the Image that was published last, or a later one.
//	M3  A producer id is given out once, over all restarts.
//	M4  A topic id is never used again, and a name has one topic at a time.
//	M5  An Image never changes; a new one takes its place.
//
// The log is not compacted and has no snapshot: it holds a record per start, per thousand producer ids and per change of a topic.
package meta
