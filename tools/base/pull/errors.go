package pull

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// UnavailableError is returned if a base cannot be read, or lacks a platform.
type UnavailableError struct {
	Base string // name in multiarch.yaml
	Err  error
	hint string
}

func (e *UnavailableError) Error() string { return fmt.Sprintf("base %s: %v", e.Base, e.Err) }

// Class classifies the error for the exit code.
func (e *UnavailableError) Class() fault.Class { return fault.Base }

// Unwrap returns the reason.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Hint returns the hint for the user.
func (e *UnavailableError) Hint() string {
	general := registry.Hint(e.Err, registry.Purpose{Verb: registry.Reading.Verb, Again: "run it again"})
	switch registry.Classify(e.Err) {
	case registry.Unknown, registry.NotFound, registry.NoRepository:
		return cmp.Or(e.hint, general) // the general hint does not mention lock files
	}
	return general
}

// isRequestError reports whether a request failed for another reason than missing content. If so, updating the lock
// file does not help.
func isRequestError(err error) bool {
	var status *transport.Error
	if errors.As(err, &status) {
		return status.StatusCode != http.StatusNotFound
	}
	var broken *url.Error
	return errors.As(err, &broken)
}
