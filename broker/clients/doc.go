// Package clients runs the clients that people have against a real broker and says, cell by cell, what works: which client,
// which version, which feature, and which API versions the client used for it. `make test-clients` runs it; docs/CLIENTS.md is
// what it wrote (make test-clients RECORD=1).
//
// It has no code outside its tests, which are behind the build tag `clients`, since they need a JDK, Maven, Node.js, Python and
// what install.sh fetches with them into bin/clients. It is no benchmark and no protocol test: what a single request must be
// answered with is tested in the rooms of the broker. Here only a client's own judgement counts. TestRegularExpressions stands beside the
// matrix, as only one client can do that; and one test asks no client and no broker: TestRangeIsKafkas, which holds the range assignor for consumer groups against the one in Kafka's jars.
//
//	TestClients ──▶ row: one client ──▶ program (java, node, python, sarama: sources in the subfolders; kcat, franz-go: Go)
//	     │                                 │  "cell <tab> pass|fail|na <tab> why", one line for each cell
//	     │                                 ▼
//	     │                               proxy: counts (API key, version) of all requests; the address that brokers advertise
//	     │                                 │
//	     └── looks at the topics ────────▶ peer: `streambus broker` as a program, or Apache Kafka from its jars (-peer=kafka)
//
// # What must hold
//
//	C1  A cell is judged twice where a client could fool itself: the program compares what it read with what it wrote, and the
//	    runner then looks at the batches (codec, producer ID) with another client.
//	C2  What is expected to fail stands in expect_test.go with its reason, and failing is then required: a cell that begins to
//	    work fails the test until the entry is taken out, as does a key that is served and still listed as not served.
//	C3  A client that cannot be had fails the test, unless its row is optional and says why.
//	C4  All cells pass against Apache Kafka, but for those that expect_test.go excuses for the client's own sake: a cell that fails
//	    against StreamBus only is StreamBus's fault.
//	C5  A record counts as consumed when the commit that covers it has succeeded. In the group cells every record is then consumed
//	    exactly once, whatever the rebalances were.
package clients
