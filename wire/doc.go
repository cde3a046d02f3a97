// Package wire is the Kafka protocol as bytes and structs: frames, headers and
// the messages that clients of a broker exchange with it, encoded and decoded
// in both directions. The broker decodes requests with it and encodes
// responses; followers, inter-broker calls, tools and tests do the opposite.
//
// It is not a client, a server or a connection: it starts no goroutine, opens
// no socket, knows no topic, broker or file, and imports nothing of this module
// but its own leaf wire/prim. It does not look into records (engine/batch does)
// nor into what group members say to each other; both are opaque bytes. It does
// not negotiate versions and does not know what a broker advertises: it says
// which versions there are codecs for (Codecs) and refuses the others
// (Supported).
//
// # The life of a frame
//
//	bytes      | int32 size | header v1/v2            | body                 |
//	              ReadFrame   RequestHeader.Decode      Decode(NewRequest(k))
//	              grows with  key, version: Supported?  struct, views of the
//	              what comes  correlation ID, client    body where it says so
//	                                                          |
//	                                                       (the broker)
//	                                                          |
//	bytes      | int32 size | header v0/v1            | body  v              |
//	              AppendResponseFrame(dst, correlationID, response, version)
//	              AppendFetchFrame(..) leaves the records out and says where
//	              they go, so that they can come from a file (see FetchResponse)
//
// # Two kinds of message
//
// Most messages describe themselves once, in a visit method that a visitor
// walks in either direction (visitor.go); decoding allocates strings and
// slices. Produce, Fetch and the ApiVersions request are coded by hand, because
// they are the hot path or come before login: what they hold of the frame are
// views, and decoding again into the same struct allocates nothing. That holds
// for the two SASL requests, too, which hold nothing but a view and so need no
// code of their own. To the caller all are a Message.
//
// # Names
//
// Fields have the names of Kafka's schemas in Go casing (TopicID, ErrorCode,
// ThrottleTimeMs), with these exceptions, so that one word means one thing: a
// list of topics is always Topics, of partitions Partitions, a topic's name
// Name, a partition's number PartitionIndex. Initialisms are Go's (ACLs, SASL,
// SCRAM) in identifiers and Kafka's in Key.String. A comment "7+" or "2 to 4" gives
// the versions that carry a field; without one all versions that are coded do.
//
// # Invariants
//
// Cited by number in code and tests.
//
//	W1  No input makes Decode, ReadFrame or a header decoder panic, recurse, or
//	    take more loop steps than a small multiple of its bytes: every count is
//	    backed by bytes that are there, and a tag section has at most 64 fields.
//	W2  Decoding n bytes allocates at most 8n + 64 KiB, whatever they claim. A
//	    count is compared with the bytes left, then charged to the budget, then
//	    allocated. ReadFrame allocates with what has arrived, not with what is
//	    claimed.
//	W3  A decoded message uses its whole body (DecodePrefix says what is left),
//	    and every field is set: from the body, or to Kafka's default if the version does not carry it. Nothing
//	    of an earlier decode shows through.
//	W4  Encoding and decoding agree: what Append writes, Decode reads back
//	    equal, and Kafka's other implementations read it the same (the tests
//	    hold both against kmsg, for every key and version).
//	W5  Every version from a key's lowest to its highest has a codec, for the
//	    request and the response.
//	W6  A []byte in a decoded message is a view: it is valid while the frame's
//	    buffer is left alone, and its capacity ends with it.
//	W7  Response headers of ApiVersions have no tag section in any version.
package wire
