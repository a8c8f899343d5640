package registry

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/oci/reference"
)

// NameError is returned for a reference or repository that no registry accepts.
type NameError struct {
	// Kind is "reference" or "repository". Name does not contain a password.
	Kind, Name string
	Err        error
}

func nameError(kind, given string, err error) *NameError {
	if safe := reference.Redact(given); safe != given {
		return &NameError{kind, safe, &reference.HostError{Host: safe}} // err contains the password
	}
	return &NameError{kind, given, err}
}

func (e *NameError) Error() string {
	var (
		path *reference.PathError
		host *reference.HostError
	)
	if errors.As(e.Err, &path) || errors.As(e.Err, &host) || strings.ContainsFunc(e.Err.Error(), unicode.IsControl) {
		return fmt.Sprintf("invalid %s %q", e.Kind, e.Name)
	}
	return fmt.Sprintf("%s %q: %v", e.Kind, e.Name, e.Err)
}

// Unwrap returns the cause.
func (e *NameError) Unwrap() error { return e.Err }

// Hint returns the correct form if it is known.
func (e *NameError) Hint() string {
	// Tags may contain upper-case letters.
	repository, rest := e.Name, ""
	if at := strings.IndexByte(repository, '@'); at >= 0 {
		repository, rest = repository[:at], repository[at:]
	}
	if at := strings.LastIndexByte(repository, ':'); at > strings.LastIndexByte(repository, '/') {
		repository, rest = repository[:at], repository[at:]+rest
	}
	lower := strings.ToLower(repository)
	if _, err := name.ParseReference(lower + rest); err == nil && lower != repository {
		return fmt.Sprintf("repositories must be lower case: write %q", lower+rest)
	}
	return fault.HintOf(e.Err)
}
