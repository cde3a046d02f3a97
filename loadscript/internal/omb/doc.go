// Package omb reads workload files of the Open Messaging Benchmark and makes plans of them, so that a load that others describe
// in its YAML runs as it is. It knows the workload, not the driver file: what a driver says (acks, batches, replication) takes
// the defaults of the benchmark's Kafka driver. It drives nothing.
//
//	name: 1 topic 16 partitions 1kb
//	topics: 1
//	partitionsPerTopic: 16
//	messageSize: 1024
//	payloadFile: "payload/payload-1Kb.data"      or  useRandomizedPayloads: true, randomBytesRatio: 0.5
//	subscriptionsPerTopic: 1
//	consumerPerSubscription: 1
//	producersPerTopic: 1
//	producerRate: 50000                          records per second of all producers; 0: find the highest
//	consumerBacklogSizeGB: 0                     more: first without consumers, until so much has piled up
//	testDurationMinutes: 15
//	warmupDurationMinutes: 1
//	producerStartRate: 100, producerIncrementRate: 100, producerIncrementSeconds: 60      a rate that rises to producerRate
//
// A value such as ${ombTestDuration:-15} is what stands behind the :- in it.
//
// Mistakes are script.Errors, with the line of the file, as those of scripts are.
package omb
