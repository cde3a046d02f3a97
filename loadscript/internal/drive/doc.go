// Package drive runs a plan against a Kafka cluster and fills in a report.Results. It is the only room that talks to brokers
// under load (franz-go's kgo and kadm); it decides no schedule (pace), no verdict on records (ledger) and prints nothing
// (report).
//
//	          pace.Pacer (one per shard)                        collector (once a second)
//	             | intended                                          ^ fold
//	gen --> shard --> kgo client --> broker --> kgo client --> consumer --> ledger.Reader
//	             | handed   | acked                              | delivered
//	             v          v                                    v
//	   ledger.Lane.Sent / Acked / Aborted / Failed         e2e = delivered - intended
//
// Faults (the fault room's engine) strike while the stages run, and are healed before the drain. Where one strikes links, clients
// go through fronts of proxies from the start; what the run itself asks the cluster goes past them.
//
// A scenario goes through: prepare (topics, clients, groups assigned, a probe seen on every partition), run (the stages),
// drain (everything acknowledged is seen, nobody is behind), verify (where no reader saw all of a topic, read it back from the
// beginning), clean up (what the run created, and only that).
//
// Invariants:
//
//	D1  Four stamps of one clock per record: intended, handed, acked, delivered. Latency counts from intended.
//	D2  A record's sequence is taken before the client sees the record, and every record handed over has exactly one outcome.
//	D3  ok, failed or unknown: only an answer that proves the broker refused a record makes it failed.
//	D4  The end of the context stops the offering; what was offered is still drained, verified and reported.
//	D5  Only topics and groups that this run created are deleted.
//	D6  A second is used up when it ends: the sink gets it, thresholds on windows and outside of faults, trends, recoveries and
//	    the heat map take from it what they need, and at most maxRows rows are kept. Memory is flat however long the run.
//	D7  A member commits nothing that it has not taken, and gives no partition up with records of it half done.
//	D8  A reader with a rate is slow on purpose: nobody waits for it, and it does not count in e2e.latency.
package drive
