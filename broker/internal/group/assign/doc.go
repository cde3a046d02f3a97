// Package assign shares partitions out among the members of a consumer group (KIP-848's server-side assignors). It is pure functions: equal
// inputs give equal outputs, in whatever order they come.
//
// It knows no epochs and no owners: what it gives is a target, and group/consumer leads the members there.
//
//	uniform  as even as can be, and what can stay where it is stays
//	range    each topic in contiguous ranges, by the order of the members: topics with as many partitions and the same members are joined
//	         (co-partitioned)
//
// Racks are not looked at.
//
// # Range is not sticky
//
// Range does not look at what members have: who comes or goes shifts the ranges of the others. It is Kafka's server-side assignor to the
// partition, and that one is not sticky either. The first of KIP-848 was, lost co-partitioning by it, and was rewritten to make each
// assignment anew (KAFKA-16944, apache/kafka pull request 16504; that it is not sticky is said again in 23155). What stays where it is
// stays by the order of the members: static ones come first, by instance id, and keep their ranges when they come back under another
// member id. TestRangeIsKafkas of broker/clients holds Range against the RangeAssignor of Kafka 4.3.1 on random groups. Who wants little
// moved takes uniform.
//
// # Invariants
//
//	A1  Every partition of a topic that anybody subscribes to is given to exactly one member who subscribes to it; no other is given out.
//	A2  uniform: no single partition could move from a member to another who subscribes to it and has two or more less. Where all subscribe
//	    to the same, numbers differ by one at most.
//	A3  uniform: an assignment that fulfils A1 and A2 is left as it is.
//	A4  uniform: nobody loses a partition that it could keep to a member that has more than it in the end. Where all subscribe to the same
//	    and were evenly served, who comes gets its share, rounded down, and nothing else moves; when one goes, only what it had moves.
//	A5  range: of each topic, what a member has is one range, and numbers differ by one at most among its subscribers, the first ones having
//	    more. Topics with as many partitions and the same subscribers are shared out alike. What members have had does not matter.
package assign
