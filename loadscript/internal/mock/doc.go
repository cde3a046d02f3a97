// Package mock is a Kafka-protocol broker that misbehaves on purpose, to try out those who claim to notice. It is kfake, a
// broker in this process, with hooks at the requests in which a broker can do harm. It is not a broker to measure, and it
// injects no faults into real ones.
//
//	b, err := mock.Start(mock.Options{Misdeed: mock.Lose})
//	defer b.Close()
//	… a run against b.ListenAddrs() …
//	b.Done() // how often it did it: a run in which nothing happened proves nothing
//
// Besides a misdeed it can hold back answers so that the latency of every record follows a distribution with exactly known
// quantiles (Delays), and it writes down what it did: the truth that a measurement is compared with.
//
// Invariants:
//
//	K1  A misdeed breaks one promise and no other, but for Rollback, which cannot help breaking two.
//	K2  Without a misdeed nothing is broken: what fires on an honest broker is a false alarm.
//	K3  Delays hand out the quantiles of their distribution, each once: the sample has no sampling error.
package mock
