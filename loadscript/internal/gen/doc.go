// Package gen makes what records consist of: keys, values, and the stamp by which a record is known again when it comes back.
// It is not the schedule (pace) and keeps no account of what was sent (ledger). Everything is drawn from seeded generators:
// the same plan and seed give the same keys and values.
//
// Invariants:
//
//	G1  A value has exactly the size that the plan says, stamp included.
//	G2  Decode(Encode(x)) = x; any change of a stamped record's key, value or stamp is seen (CRC-32C over all of them).
//	G3  Partition(key, n) is what Kafka's Java client chooses for the same key.
//	G4  Filling a value or a key allocates nothing.
package gen
