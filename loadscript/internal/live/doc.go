// Package live shows a run to Prometheus while it goes: a collector that is a report.Sink, a server for scrapes and a client of
// the remote-write protocol. It keeps nothing for the report and nothing for later: the results folder does.
//
//	drive --> Sink --> Metrics --> Serve      GET /metrics
//	                           --> NewPusher  POST, snappy-compressed protobuf, every 5 s and at the end
//
// Series, all of them streambus_benchmark_*, with the label scenario:
//
//	latency_seconds{metric}       histogram: produce.latency, produce.service_time, produce.delay, e2e.latency
//	records_total{outcome}        offered, handed, acked, failed, dropped, delivered
//	rate_records{kind}            per second: offered, acked, delivered
//	errors_total                  records that failed or whose fate is unknown
//	in_flight_records             given to the client and without an answer
//	lag_records{group}            that a group, or the slowest reader (group ""), is behind
//	elapsed_seconds               of the scenario
//	cpu_cores{process}            generator, brokers
//	stage{stage}                  1 while it lasts
//	fault{fault,target}           1 while it is in force
//	info{script,version}          1, without scenario
package live
