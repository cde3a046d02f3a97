// Package admit holds a producer's batch to what its topic asks: keys where the topic is compacted, timestamps, the broker's own
// time, the topic's compression. It gives the batch that is to be appended.
//
// It knows no topic, log or request: the topics room makes Rules of a topic's settings, and the api asks them between the checks of
// the bytes (batch.CheckFresh) and partition.Append.
//
//	b, err := topic.Rules.Admit(b, now)
//
// # Order, which is Kafka's
//
//	timestamp type, timestamps, keys ──▶ compression ──▶ the broker's time
//
// # Invariants
//
//	A1  A batch that asks for nothing (no keys needed, times within limits by its header, its codec the topic's) is not
//	    decompressed, copied or allocated for.
//	A2  At most as many batches as there are processors are decompressed at once, each to PlainBytes at most; the others wait.
//	A3  An error changes nothing: the batch is as it was.
//
// The largest timestamp is taken from the header, as the producer claims it: consumers and the index see no other. Only a limit on the
// past, which the header says nothing of, makes it read each record's.
package admit
