// Package suggest produces "did you mean" hints for misspelled words and unknown platforms. A hint names the closest
// known word if it is close enough, and then all known words, so that a typo costs no second attempt.
package suggest

import (
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// Hint returns a suggestion for a misspelled word: the closest known word if it is close enough,
// followed by all known words in their order. It returns "" if known is empty.
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

// Of returns the known word that needs the fewest edits to become word, the first of them on a tie.
// It returns "" if no word is close enough, since a wrong suggestion is worse than none.
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
	// Only the first part may be missing: arm64 for linux/arm64.
	for _, k := range known {
		if word != "" && strings.HasSuffix(k, "/"+word) {
			return k
		}
	}
	return ""
}

// misspelling counts the edits between two words and reports whether they are few enough for a
// typing error: one in a short word, two from six letters on, three from ten on. Common leading
// parts do not count as letters, so that python3-toml is not suggested for python3-yaml.
func misspelling(word, known string) (edits int, ok bool) {
	w, k := differing(word, known)
	edits = levenshtein.Distance(w, k, nil)
	if edits == 2 && sameLetters(w, k) {
		edits = 1 // two swapped letters
	}
	// Some letters of known must be kept, so that a or ab does not match every short word.
	return edits, edits <= max(1, (min(len(w), len(k))+2)/4) && edits < len(k)
}

// differing removes the leading parts, up to a separator, that both words share.
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
