// Package compact is the pure core of the log cleaner: given the batches of a log, it leaves of each key the last record.
//
// It has no files, no clock and no goroutines: it is given batches and a time, and gives batches. Reading segments, writing
// their replacements, swapping them durably, pacing and retrying are the caller's. It does not merge small batches, and it
// keeps no state from one round to the next: what a round needs of the last one is in the batches (delete horizons) and in one
// offset (where it ended).
//
// # A round
//
//	plan, due := compact.Choose(segments, policy, now)      // which segments, by lag and dirty ratio
//	c.Begin(compact.Round{Start: plan.Start, End: plan.End, NowMs: now, …})
//	for each batch in [Start, End): more, err := c.Map(b)    // until !more: key -> last offset
//	for each batch in [log start, c.Mapped()): out, st, err = c.Clean(out, b)
//	// the next round starts at c.Mapped()
//
//	         already cleaned            dirty, in the map        not this time
//	 log ├────────────────────────┼────────────────────────┼───────────────────┤ end
//	     0                      Start                    Mapped               End, active segment
//	     └──── cleaned: may hold a key once, or superseded by the map ─┘
//
// # What stays (as in Kafka's cleaner)
//
//	record at or above Mapped                              always
//	record of an aborted transaction                       never
//	record without a key                                   never: Kafka refuses them on compacted topics, and its cleaner, too,
//	                                                       drops those that got in while the topic was not compacted
//	record that is the last of its key                     yes, unless it is a tombstone whose delete horizon has passed
//	any other record                                       no
//	batch with nothing left                                the header alone, if it is the last of the range mapped, or KeepEmpty
//	                                                       says that it holds its producer's last sequence; else not
//	marker of a transaction (a control batch)              while records of its transaction stay, and then until its delete horizon
//	                                                       has passed; then as a batch with nothing left
//	any other control batch                                always
//
// A batch keeps its base offset, last offset delta, producer id, epoch and sequence, leader epoch and codec; its records keep
// their offsets and timestamps, so gaps appear. The largest timestamp is computed anew from what stays.
//
// Tombstones follow KIP-534: the round that first keeps one with everything below it cleaned writes now + DeleteRetentionMs
// into the batch as its delete horizon (attribute bit 6, in the place of the base timestamp); a round after that time drops it.
// A consumer that reads the log from its start in less than DeleteRetentionMs sees every tombstone that it must see.
//
// A marker whose transaction has no records left is given a delete horizon in the same way. When it goes (Stats.Markers), the caller must
// take its transaction out of the index of aborted ones in the same step: while that names a transaction, readers leave out its
// producer's records until they see the marker.
//
// # Collisions
//
// The map knows a key by the first 16 bytes of SHA-256 over a random salt, drawn anew each round, and the key. Two keys that
// met there would lose a record: for the 5 million keys of a map of 128 MiB the chance is 4e-26 a round, and nobody can search
// for such a pair without breaking SHA-256 and knowing the salt. (Kafka takes MD5, for which pairs can be made.)
//
// # Invariants
//
//	K1  Of every key, the last record below Mapped that is not aborted stays, or was a tombstone past its horizon.
//	K2  Nothing at or above Mapped changes.
//	K3  What Clean writes is a batch that batch.Check accepts if it accepts the input.
//	K4  Cleaning what Clean wrote, in the same round, changes nothing (unless DeleteRetentionMs is 0).
//	K5  A batch is rewritten only when its CRC was right: damage is reported, never sealed with a new CRC.
//	K6  Memory: the map, and for the records of one batch at most MemoryFactor times RecordsLimit; and a few bytes for each producer
//	    whose transaction is open at once.
//	K7  A round with one free slot in the map gets on: Mapped may lie inside a batch.
//	K8  No marker goes while a record of its transaction stays.
//
// Sources: KIP-58 (compaction lag), KIP-354 (largest lag), KIP-534 (delete horizon), KIP-98 (markers, producer state).
package compact
