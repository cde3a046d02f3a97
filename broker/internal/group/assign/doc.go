// Package assign shares partitions out among the members of a consumer group (KIP-848's server-side assignors). It is pure functions: equal
// inputs give equal outputs, in whatever order they come.
//
// It knows no epochs and no owners: what it gives is a target, and group/consumer leads the members there.
//
//	uniform  as even as can be, and as much as can be stays where it is
//	range    each topic in contiguous ranges, by the order of the members: topics with as many partitions are joined (co-partitioned)
//
// Racks are not looked at.
//
// # Invariants
//
//	A1  Every partition of a topic that anybody subscribes to is given to exactly one member who subscribes to it; no other is given out.
//	A2  uniform: no single partition could move from a member to another who subscribes to it and has two or more less. Where all subscribe
//	    to the same, numbers differ by one at most.
//	A3  uniform: an assignment that fulfils A1 and A2 is left as it is.
package assign
