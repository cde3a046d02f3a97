// Package admin is the operator's hand on a cluster: topics, records, groups, settings, ACLs, quotas, and what a cluster says of itself,
// all over the Kafka protocol, so that it works on any Kafka-compatible cluster and not only on this broker. It is what the commands of
// cmd/streambus call; franz-go is imported here and not there.
//
// It reads no flags, prints nothing and asks nobody: each call gives rows, plain structs that can be shown as a table or as JSON, and
// an error. It knows nothing of the broker's inside.
//
// # Results
//
// A call about several things (topics, partitions) does what can be done: the rows are of those that went well, and the error joins
// one for each that did not, naming it and saying what to do. Rows are sorted. In a row -1 stands for a number that is not known.
//
// # Limits
//
// Every call but Consume ends after Options.Timeout, with an error that says what was waited for.
package admin
