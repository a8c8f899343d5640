package suggest

import (
	"errors"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// ParsePlatform parses a platform as arch.Parse does. The error for an unknown platform has a hint.
func ParsePlatform(s string) (arch.Platform, error) {
	p, err := arch.Parse(s)
	if unknown := new(arch.UnknownError); errors.As(err, &unknown) {
		err = platformError{unknown}
	}
	return p, err
}

// Platform returns the hint for an unknown platform: the platform that another tool calls name, or
// the closest match, followed by all platforms.
func Platform(name string) string {
	if p, ok := arch.Alias(name); ok {
		return Hint(p.String(), arch.Names())
	}
	return Hint(name, arch.Names())
}

// platformError adds a hint to an *arch.UnknownError.
type platformError struct{ *arch.UnknownError }

func (e platformError) Unwrap() error { return e.UnknownError }

// Hint returns the closest match and all platforms.
func (e platformError) Hint() string { return Platform(e.Name) }
