// Package config is the settings of the broker, its topics and groups: one table of definitions for each, with Kafka's own names, the
// loader that fills the broker's, what was set over the wire above it (Live), and what DescribeConfigs says of it all.
//
// It is not a place for derived state: it knows names, types, limits and where a value came from. What a setting does is
// said by the room that takes it (the composer copies values into each room's Options).
//
// # Sources, the strongest first
//
//	--set key=value, --data-dir      the command line
//	STREAMBUS_KEY=value              the environment, by Kafka's underscore rule: _ is '.', __ is '_', ___ is '-'
//	streambus.yaml, *.properties     the file given by --config; keys nested or dotted
//	the table's default
//
// A list in YAML is the same as the comma-separated string that Kafka writes.
//
// # Invariants
//
//	C1  A key that is not in the table is an error that names file and line and the nearest key that exists; only Kafka's own
//	    keys that have no meaning here (Foreign) are passed over, each with a warning, so that a server.properties is taken
//	    as it is.
//	C2  A Config that Load returned holds a value of the right type, within its limits, for every key of the table.
//	C3  All faults are reported at once, not the first one only.
//	C4  A sensitive value is never printed, nor described.
//	C5  A View does not change. What was set over the wire and is not known, or not taken, does not count.
//
// Live.mu is held while its watchers are called; it is the innermost lock.
package config
