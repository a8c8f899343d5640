// Package reference checks the names of repositories by the grammar of the OCI distribution specification. It is
// stricter than go-containerregistry, which accepts "..", so that a repository could be outside of its prefix. It also
// removes passwords from references in messages.
package reference

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// path is the grammar of <name> in the distribution specification ("Pulling manifests"). It is compiled on first use,
// because Bazel starts a program that imports this package for every action.
var path = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
})

// CheckPath returns a *PathError if p is not a valid path of a repository, without its registry.
func CheckPath(p string) error {
	if !path().MatchString(p) {
		return &PathError{p}
	}
	return nil
}

// PathError reports an invalid path of a repository.
type PathError struct{ Path string }

func (e *PathError) Error() string { return fmt.Sprintf("invalid repository %q", e.Path) }

// Hint describes valid paths.
func (e *PathError) Hint() string {
	if lower := strings.ToLower(e.Path); lower != e.Path && path().MatchString(lower) {
		return fmt.Sprintf("repositories must be lower case: write %q", lower)
	}
	return "use lower-case letters, digits, and / . _ - between them"
}
