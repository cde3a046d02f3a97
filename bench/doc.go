// Package bench measures the `streambus` program from outside, over its socket, beside bare programs that do only what cannot be left out, in the
// same run. It has no code outside its tests: `make benchmark-client` runs them.
//
// It is not the engine's benchmarks (./engine, make benchmark-storage), which stand beside what they measure.
//
//	BenchmarkProducer_Throughput   one connection, many requests in flight: the broker's CPU per GB, over that of a sink that reads frames from
//	                               TCP, writes and fdatasyncs them in groups, and answers (sink_test.go)
//
// An iteration is one round: the broker, then the sink, each for -round. Figures are medians of the rounds; ratios are taken within a round.
package bench
