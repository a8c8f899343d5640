package git

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
)

// choose returns one of the tags of a commit, which are without the prefix: the one that the CI system says it is
// building, since two tags of one commit are two releases, else the highest semantic version.
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

// compare orders tags: a whole semantic version is above a part of one (v3 is often moved along with v3.10.0), and that
// above anything else.
func compare(a, b string) int {
	return cmp.Or(
		cmp.Compare(kind(a), kind(b)),
		byVersion(a, b),
		// 1.0.0+b is the same version as 1.0.0, and cannot be the tag of an image. v1.0.0 is Go's form of 1.0.0.
		-cmp.Compare(strings.Count(a, "+"), strings.Count(b, "+")),
		cmp.Compare(a, b),
	)
}

var (
	whole = regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+([-+].*)?$`)
	part  = regexp.MustCompile(`^v?[0-9]+(\.[0-9]+)?$`)
)

func kind(tag string) int {
	switch {
	case !semver.IsValid(withV(tag)):
		return 0
	case whole.MatchString(tag):
		return 2
	case part.MatchString(tag):
		return 1
	}
	return 0
}

// byVersion compares tags of one kind.
func byVersion(a, b string) int {
	if kind(a) == 0 {
		return natural(a, b)
	}
	return semver.Compare(withV(a), withV(b))
}

// natural compares runs of digits as numbers: build-9 is below build-10.
func natural(a, b string) int {
	for a != "" && b != "" {
		x, y := run(a), run(b)
		a, b = a[len(x):], b[len(y):]
		if digit(x[0]) && digit(y[0]) {
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

// run returns the digits, or what is no digit, that s begins with.
func run(s string) string {
	n := 1
	for n < len(s) && digit(s[n]) == digit(s[0]) {
		n++
	}
	return s[:n]
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// withV writes a version as Go does.
func withV(tag string) string { return "v" + strings.TrimPrefix(tag, "v") }

// ciTags are the tags that CI systems say they are building: GitLab, Jenkins, GitHub.
func ciTags(getenv func(string) string) []string {
	tags := []string{getenv("CI_COMMIT_TAG"), getenv("TAG_NAME")}
	if getenv("GITHUB_REF_TYPE") == "tag" {
		tags = append(tags, getenv("GITHUB_REF_NAME"))
	}
	return tags
}

// ciBranch is the branch that a CI system says it is building, if it checked out the commit itself and not the branch.
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
