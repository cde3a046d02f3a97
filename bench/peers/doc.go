// Peers measures StreamBus beside other brokers: in one run, on one disk, with the same payloads and rounds in turn.
//
//	bin/peers [-round 2s] [-count 3] [kafka nats]         (make benchmark-peers installs it, and Kafka)
//
// It is a module of its own, so that nobody who builds StreamBus downloads another broker. It is not a test of correctness, and gives no figure
// that stands alone: each line is StreamBus, the peer, and their ratio within a round, as the median of the rounds with its extremes.
//
//	side (side.go)            a broker with one setting of durability: a process, started on an empty folder in each round, measured alone,
//	                          stopped and removed. Each round begins with another side.
//	driver (driver.go)        what loads it: kgo (franz-go) and nats.go in this process; Kafka's own perf tools; loadscript
//
// Before each side, free memory is made page cache (bare.FillCache says why): the sides find the same, not what the one before has removed. It
// stays available, and a JVM takes of it what it needs, as on a machine in use.
//
// In a round a side is started (until its first record is acknowledged), warmed up, filled at full speed, read, offered a rate, loaded by the
// programs, and left idle. Nothing is tuned: brokers have their defaults but for the setting that is compared, clients too but for what
// driver.go lists; all of it is printed above the results.
package main
