// Package record is the records of __consumer_offsets: their keys and values as bytes and as structs, in Kafka's own schemas, so that
// kafka-dump-log --offsets-decoder prints them and a real Kafka could read them.
//
// It knows bytes only: no group, no log, no time. What the records mean is decided by those who read them (group, group/consumer).
//
// # Format
//
// A key is a version, which says what the record is about, and fields. All integers are big-endian, s is an int16 length and as many
// bytes:
//
//	 0, 1  offset commit       group s | topic s | partition i32
//	 2     classic group       group s
//	 3     consumer group      group s                (KIP-848, this and the following)
//	 4     its partitions      group s                (Kafka 4.0; later ones keep a hash in 3, as here: only its tombstones are written)
//	 5     member              group s | member s
//	 6     target assignment   group s
//	 7     target of a member  group s | member s
//	 8     current assignment  group s | member s
//	16     regular expression  group s | expression s
//
// A value is a version and fields; a null value is a tombstone. Values of 3 and above, and version 4 of the others, are flexible: lengths
// are unsigned varints one too large (0 is null), and each struct ends in tagged fields. The fields stand in the visit methods, one
// description for both directions. Written are offset commits in version 3 (the newest that is not flexible, as Kafka does), or 1 with an
// expiry of their own, classic groups in version 3, all others in version 0.
//
// # Invariants
//
//	R1  What Append writes, Decode reads as the same struct. (A null string is "", a null list is empty.)
//	R2  Decode allocates no more than a small multiple of the bytes given: a count is held against the bytes that are left.
//	R3  An unknown kind of key is no error; an unknown version of a known value is.
package record
