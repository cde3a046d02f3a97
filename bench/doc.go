// Package bench measures the `streambus` program from outside, over its socket, beside a bare program that does only what cannot be left out, in
// the same run. It has no code outside its tests: `make benchmark-client` runs them.
//
// It is not the engine's benchmarks (./engine, make benchmark-storage), which stand beside what they measure, and not a comparison with other
// brokers (bench/peers).
//
//	BenchmarkProducer_Throughput    one connection, many requests in flight; and a whole client, by record size and codec
//	BenchmarkProducer_Send          a record, its answer, the next record
//	BenchmarkProducer_SendBatch     100 records, their answers, the next ones
//	BenchmarkConsumer_Throughput    a topic read from the page cache, by bare requests and by a whole client
//	BenchmarkConsumer_Receive       a record for each request
//	BenchmarkE2E_Latency            records at a rate, from the time they are due until a consumer has them
//	BenchmarkConcurrent_Producers   many connections
//	BenchmarkConcurrent_Consumers
//	BenchmarkBroker_Idle            topics, and nobody who asks for anything
//	BenchmarkBroker_Start           from the start of the process until it is ready, after it was stopped in order; -gib=10 for more data
//
// An iteration is one round: the broker for -round, then the bare program for as long. Figures are medians of the rounds; ratios x-… are taken
// within a round. The bare program (sink_test.go) reads frames from TCP, writes and fdatasyncs them in groups, and answers; or sends bytes of a
// cached file by sendfile. Clients run in the benchmark's own process and share the machine's cores with what they measure, so CPU is that of
// the measured process alone, by its own clock.
//
//	MB/s, records/s           of values (client=franz-go, E2E, Send) or of frames and batches (bare requests), 10^6 bytes
//	CPU-s/GB, CPU-s/Mrecord   CPU time of the broker; cores is CPU time over time
//	peak-RSS-MiB              the most memory the broker has had in the benchmark, warm-up included
//	sink-…, sendfile-…        the bare program's own figures
//	x-sink, x-sink-CPU        the broker's MB/s over the bare program's, and its CPU time for a GB over the other's
//	x-sink-p50, x-sink-p99    the same of latencies: below 1 is better than the bare program
package bench
