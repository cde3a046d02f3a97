// Package stat gathers what the rooms count, and shows it as Prometheus metrics: under StreamBus's own names, in base units, and
// under the names that Kafka's usual exporters give, so that dashboards and alerts made for those go on working.
//
// It decides nothing and stores nothing but the counters of requests (Requests). The rooms expose plain numbers; nobody but this room
// knows the names, labels and formats of metrics, and prometheus/client_golang is imported here and in console only.
//
//	requests.go  requests by key: the hot path
//	defs.go      the table of all metrics, from which docs/METRICS.md is made
//	own.go       values for streambus_*
//	kafka.go     values for kafka_*
//
// # Invariants
//
//	ST1  What is shown stands in the table with its help, and nothing else can be: an unknown name panics, which tests would meet.
//	ST2  No record content, client id or address becomes a label. Topics and groups do; at most maxSeries series of groups are shown,
//	     and what is left out is counted.
//	ST3  A scrape takes short locks only, one log or group at a time, and waits for no request and no write: all it asks the system is how
//	     much of the disk is free.
package stat
