// Package topics is the topics of this broker, made so: what the metadata says exists, and the open partitions behind it; and what may
// be configured, brought into effect.
//
// It decides which names, partition counts and settings are taken, in what order a topic comes, changes and goes, and what its
// settings mean to its logs (settings.go) and to producers (admit). It is not the metadata (meta), not the partitions (partition) and
// not the definitions of settings (config); it knows no wire message.
//
// # Changes, and a crash in between
//
//	create: record topicCreated, durable ──▶ create the logs ──▶ publish        crash: the next Open creates the logs
//	delete: record topicDeleted, durable ──▶ drop the logs ──▶ record dropped   crash: the next Open drops the logs
//	grow:   record partitionsSet, durable ──▶ create the logs ──▶ publish       crash: the next Open creates the logs
//	alter:  record of all settings, durable ──▶ publish ──▶ the open logs follow ──▶ tell who watches
//
// # Invariants
//
//	T1  A topic, or a partition of it, is visible only when its record is durable and its logs exist.
//	T2  A log is dropped only when a durable record says that its topic was deleted, or when it was made a moment ago for a partition
//	    that could not be. A log that no record mentions is left alone, and named in the log: metadata that is lost must not take the
//	    data with it.
//	T3  A new topic, or partition, never begins with the data of an old one.
//	T4  A damaged partition is offline; the others, and the broker, go on.
//	T5  A Topic does not change: whoever holds one while its settings do sees the old ones, and the same partitions.
//	T6  What an alteration said has taken effect, in the rules for producers and in the logs, when it returns.
//
// Catalog.turn (a token) is held over create, delete, grow and alter, I/O included; lookups take no lock. Under it, in this order:
// Catalog.watching and config.Live's own lock, each while those who watch are called.
package topics
