// Package gen makes what records consist of: keys, values, and the stamp by which a record is known again when it comes back.
// It is not the schedule (pace) and keeps no account of what was sent (ledger). Everything is drawn from seeded generators:
// the same plan and seed give the same keys and values.
//
// Invariants:
//
//	G1  A value has exactly the size that the plan says, stamp included; only JSON and templates whose own text is longer are
//	    longer, for cutting them would break them.
//	G2  Decode(Encode(x)) = x; any change of a stamped record's key, value or stamp is seen (CRC-32C over all of them).
//	G3  Partition(key, n) is what Kafka's Java client chooses for the same key.
//	G4  Making a value or a key allocates nothing once the buffer has room for the longest.
//	G5  A stamp never changes a value that means something: it goes over the head of gen.bytes, and to a header of all others.
package gen
