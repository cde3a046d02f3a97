// Package topics is the topics of this broker, made so: what the metadata says exists, and the open partitions behind it.
//
// It decides which names, partition counts and settings are taken, and in what order a topic comes and goes. It is not the
// metadata (meta) and not the partitions (partition); it knows no wire message.
//
// # Create and delete, and a crash in between
//
//	create: record topicCreated, durable ──▶ create the logs ──▶ publish        crash: the next Open creates the logs
//	delete: record topicDeleted, durable ──▶ drop the logs ──▶ record dropped   crash: the next Open drops the logs
//
// # Invariants
//
//	T1  A topic is visible only when its record is durable and its logs exist.
//	T2  A log is dropped only when a durable record says that its topic was deleted. A log that no record mentions is left
//	    alone, and named in the log: metadata that is lost must not take the data with it.
//	T3  A new topic never begins with the data of an old one.
//	T4  A damaged partition is offline; the others, and the broker, go on.
//
// Catalog.turn (a token) is held over create and delete, I/O included; lookups take no lock.
package topics
