package git

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
)

// choose returns one of the tags of a commit, which do not include the prefix. If a CI system is building one of
// them, it returns that tag, because several tags of a commit are separate releases. Otherwise it returns the highest
// version.
func choose(tags []string, prefix string, getenv func(string) string) string {
	if len(tags) == 0 {
		return ""
	}
	for _, tag := range ciTags(getenv) {
		if rest, ok := strings.CutPrefix(tag, prefix); ok && slices.Contains(tags, rest) {
			return rest
		}
	}
	return slices.MaxFunc(tags, compare)
}

// compare orders tags. Full semantic versions are above partial ones, because v3 is often moved along with v3.10.0.
// Both are above other tags.
func compare(a, b string) int {
	return cmp.Or(
		cmp.Compare(kind(a), kind(b)),
		compareVersions(a, b),
		// 1.0.0+b has the same precedence as 1.0.0, but is not a valid image tag. Go versions have the form v1.0.0.
		-cmp.Compare(strings.Count(a, "+"), strings.Count(b, "+")),
		cmp.Compare(a, b),
	)
}

var (
	fullVersion    = regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+([-+].*)?$`)
	partialVersion = regexp.MustCompile(`^v?[0-9]+(\.[0-9]+)?$`)
)

func kind(tag string) int {
	switch {
	case !semver.IsValid(withV(tag)):
		return 0
	case fullVersion.MatchString(tag):
		return 2
	case partialVersion.MatchString(tag):
		return 1
	}
	return 0
}

// compareVersions compares tags of the same kind.
func compareVersions(a, b string) int {
	if kind(a) == 0 {
		return compareNaturally(a, b)
	}
	return semver.Compare(withV(a), withV(b))
}

// compareNaturally compares runs of digits as numbers: build-9 is below build-10.
func compareNaturally(a, b string) int {
	for a != "" && b != "" {
		x, y := firstRun(a), firstRun(b)
		a, b = a[len(x):], b[len(y):]
		if isDigit(x[0]) && isDigit(y[0]) {
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if c := cmp.Compare(len(x), len(y)); c != 0 {
				return c
			}
		}
		if c := cmp.Compare(x, y); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// firstRun returns the longest prefix of s that consists of digits only or of other characters only.
func firstRun(s string) string {
	n := 1
	for n < len(s) && isDigit(s[n]) == isDigit(s[0]) {
		n++
	}
	return s[:n]
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// withV returns a version with the prefix v, as in Go.
func withV(tag string) string { return "v" + strings.TrimPrefix(tag, "v") }

// ciTags returns the tags that GitLab, Jenkins and GitHub are building.
func ciTags(getenv func(string) string) []string {
	tags := []string{getenv("CI_COMMIT_TAG"), getenv("TAG_NAME")}
	if getenv("GITHUB_REF_TYPE") == "tag" {
		tags = append(tags, getenv("GITHUB_REF_NAME"))
	}
	return tags
}

// ciBranch returns the branch that a CI system is building. CI systems check out the commit instead of the branch.
func ciBranch(commit string, getenv func(string) string) string {
	switch {
	case getenv("CI_COMMIT_SHA") == commit:
		return getenv("CI_COMMIT_BRANCH")
	case getenv("GITHUB_SHA") == commit && getenv("GITHUB_REF_TYPE") == "branch":
		return getenv("GITHUB_REF_NAME")
	case getenv("GIT_COMMIT") == commit:
		return getenv("BRANCH_NAME")
	}
	return ""
}
