package config

import "fmt"

// didYouMean names the key nearest to a wrong one, where one is near enough to be meant.
func didYouMean(key string) string {
	best, at := "", len(key)/3+2
	for i := range Defs {
		if d := distance(key, Defs[i].Name); d < at {
			best, at = Defs[i].Name, d
		}
	}
	if best == "" {
		return `; "streambus config docs" lists all keys`
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is Levenshtein's: how many letters to put in, take out or change.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(diagonal+cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
