// Package compare judges whether runs differ: groups of results folders, each group the same plan repeated, the first group the
// one that others are held against. It drives nothing and it judges no single run: report and drive do.
//
//	out/base/1 … out/base/10  --> Group A --\
//	out/cand/1 … out/cand/10  --> Group B ---> Compare --> Comparison --> WriteText, WriteJSON, WritePage
//
// The unit is a run: the records inside one are not independent, so they are never tested against each other. Medians have
// confidence intervals by order statistics, groups are compared by the Mann-Whitney U test, and the p-values of all metrics of a
// pair of groups are corrected together by Holm's method. A second test, Kolmogorov's and Smirnov's, looks for a different spread.
//
// Invariants:
//
//	C1  One run on either side: numbers, and no inference.
//	C2  Every "~" says the smallest change that this comparison could have seen.
//	C3  A percentile that had too few samples in any run is not compared.
//	C4  Reading the same folders gives the same output: simulations have a fixed seed.
package compare
