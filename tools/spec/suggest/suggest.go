// Package suggest turns a misspelt word and the words that would have been right into a hint.
package suggest

import (
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// Hint returns what to write instead of word: the nearest of known if one is close enough to be what was meant, then
// all of known in their own order. It returns "" if nothing is known.
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

// Of returns the member of known that needs the fewest edits to become word, the first of them on a tie. It returns ""
// if even that one is too different to be a misspelling: a wrong suggestion is worse than none.
func Of(word string, known []string) string {
	best, least := "", 0
	for _, k := range known {
		edits, ok := misspelling(strings.ToLower(word), strings.ToLower(k))
		if ok && (best == "" || edits < least) {
			best, least = k, edits
		}
	}
	if best != "" {
		return best
	}
	// A missing first part may be all that is wrong: arm64 for linux/arm64.
	for _, k := range known {
		if word != "" && strings.HasSuffix(k, "/"+word) {
			return k
		}
	}
	return ""
}

// misspelling counts the edits between two words, and tells whether these are few enough for a typing error: one in a
// short word, two from six letters on, three from ten on. Leading parts that the words share do not count as letters, so
// that python3-toml is not suggested for python3-yaml.
func misspelling(word, known string) (edits int, ok bool) {
	w, k := differing(word, known)
	edits = levenshtein.Distance(w, k, nil)
	if edits == 2 && sameLetters(w, k) {
		edits = 1 // two letters swapped
	}
	// The letters of known that are kept, so that a or ab is not taken for every other short word.
	return edits, edits <= max(1, (min(len(w), len(k))+2)/4) && edits < len(k)
}

// differing cuts off the leading parts, up to a separator, that both words have.
func differing(a, b string) (string, string) {
	common := 0
	for i := 0; i < min(len(a), len(b)) && a[i] == b[i]; i++ {
		if strings.IndexByte("-_./:", a[i]) >= 0 {
			common = i + 1
		}
	}
	return a[common:], b[common:]
}

func sameLetters(a, b string) bool {
	x, y := []byte(a), []byte(b)
	slices.Sort(x)
	slices.Sort(y)
	return string(x) == string(y)
}
