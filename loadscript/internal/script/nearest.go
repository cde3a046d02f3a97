package script

import "strings"

// Nearest returns the candidate that was probably meant by name, or "". It counts swapped neighbours as one slip, takes
// dashes, underscores and case as equal, and accepts one slip in three letters (at least one). Ties go to the first.
func Nearest(name string, candidates []string) string {
	fold := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "_")) }
	want := []rune(fold(name))
	if len(want) > 64 {
		return ""
	}
	best, bestDist := "", max(1, len(want)/3)+1
	for _, c := range candidates {
		if c == name {
			continue
		}
		have := []rune(fold(c))
		if len(have) > 64 {
			continue
		}
		if d := distance(want, have); d < bestDist && (d < len(have) || d == 0) {
			best, bestDist = c, d
		}
	}
	if best == "" && len(want) >= 3 { // "comp" for "compression", "partition_count" for "partitions"
		for _, c := range candidates {
			if f := fold(c); c != name && len(f) >= 3 && (strings.HasPrefix(f, string(want)) || strings.HasPrefix(string(want), f)) {
				return c
			}
		}
	}
	return best
}

// distance is the optimal string alignment distance: insertions, deletions, changes and swaps of neighbours.
func distance(a, b []rune) int {
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
}
