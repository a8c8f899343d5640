// Package nearest turns a misspelt word and the words that would have been right into a hint.
package nearest

import (
	"strings"

	"github.com/agext/levenshtein"
)

// Hint says what to write instead of word: the nearest of known where one is near enough to be what was meant, then
// all of known in their own order. It returns "" where nothing is known.
func Hint(word string, known []string) string {
	if len(known) == 0 {
		return ""
	}
	all := "known: " + strings.Join(known, ", ")
	if near := Of(word, known); near != "" {
		return `did you mean "` + near + `"? ` + all
	}
	return all
}

// Of returns the member of known with the smallest edit distance to word, the first of them on a tie. Where even that one
// would need more than a third of its letters (and more than two: "jbo" is two away from "job") changed, it returns one
// that word is the end of, or "".
func Of(word string, known []string) string {
	best, distance := "", -1
	for _, k := range known {
		d := levenshtein.Distance(strings.ToLower(word), strings.ToLower(k), nil)
		if distance < 0 || d < distance {
			best, distance = k, d
		}
	}
	if best == "" || distance > max(2, (len(best)+2)/3) || distance >= len(best) {
		// What was left out may be all that is wrong: arm64 for linux/arm64.
		for _, k := range known {
			if strings.HasSuffix(k, "/"+word) {
				return k
			}
		}
		return ""
	}
	return best
}
