package query

import "strings"

// closest returns the candidate a misspelt word most likely means, or "". Up
// to a third of the letters may be wrong, and never more than two; words of
// fewer than three letters are too short to guess.
func closest(word string, candidates ...string) string {
	best, least := "", min(2, len(word)/3)+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < least && len(c) >= 3 {
			best, least = c, d
		}
	}
	return best
}

// distance counts the letters to add, drop, change or swap with their
// neighbour to make b of a.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	var older []int
	row := make([]int, len(t)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(s); i++ {
		next := make([]int, len(t)+1)
		next[0] = i
		for j := 1; j <= len(t); j++ {
			change := row[j-1]
			if s[i-1] != t[j-1] {
				change++
			}
			next[j] = min(change, row[j]+1, next[j-1]+1)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				next[j] = min(next[j], older[j-2]+1)
			}
		}
		older, row = row, next
	}
	return row[len(t)]
}
