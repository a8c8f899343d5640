// Package testmatrix decides how much of a test matrix runs. By default, matrices are reduced to a few
// representative cases, which keeps go test quick. CI sets MULTIARCH_TEST_MATRIX=full and runs all of them.
package testmatrix

import (
	"os"
	"slices"
	"testing"
)

// Full reports whether matrices run completely.
func Full() bool { return os.Getenv("MULTIARCH_TEST_MATRIX") == "full" }

// SkipUnlessFull skips a test that is not worth its cost, such as "compiles all dependencies", on every change.
func SkipUnlessFull(t testing.TB, cost string) {
	t.Helper()
	if !Full() {
		t.Skipf("%s; set MULTIARCH_TEST_MATRIX=full to run it", cost)
	}
}

// Platforms returns those of all that are linux/amd64, linux/arm64 or the big-endian linux/s390x. With a full matrix it
// returns all.
func Platforms(all ...string) []string {
	if Full() {
		return all
	}
	var some []string
	for _, platform := range all {
		if slices.Contains([]string{"linux/amd64", "linux/arm64", "linux/s390x"}, platform) {
			some = append(some, platform)
		}
	}
	return some
}
