// Package reference checks the names of repositories by the grammar of the OCI distribution specification. It is
// stricter than go-containerregistry, which also accepts ".." and so lets a name leave the place that it is put below.
package reference

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// path is the grammar of <name> in the distribution specification ("Pulling manifests"). It is compiled when it is
// first needed: Bazel starts a program that knows this package for every action.
var path = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
})

// CheckPath returns a *PathError for a path of a repository, without its registry, that no registry accepts.
func CheckPath(p string) error {
	if !path().MatchString(p) {
		return &PathError{p}
	}
	return nil
}

// PathError reports a path of a repository that no registry accepts.
type PathError struct{ Path string }

func (e *PathError) Error() string { return fmt.Sprintf("invalid repository %q", e.Path) }

// Hint says how to write it.
func (e *PathError) Hint() string {
	if lower := strings.ToLower(e.Path); lower != e.Path && path().MatchString(lower) {
		return fmt.Sprintf("repositories must be lower case: write %q", lower)
	}
	return "use lower-case letters, digits, and / . _ - between them"
}
