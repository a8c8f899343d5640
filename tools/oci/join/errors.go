package join

import (
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// PlatformError reports an image without a platform, with an unknown platform, or with different platforms in its
// config and in the index that lists it.
type PlatformError struct {
	Source string
	// Image is the digest of the image if Source is an index.
	Image v1.Hash
	// Platform is the platform in the config, or zero. Index is the platform in the index if it differs.
	Platform, Index arch.Platform
}

func (e *PlatformError) Error() string {
	who := e.Source
	if e.Image != (v1.Hash{}) {
		who += ": image " + e.Image.String()
	}
	switch {
	case e.Platform == (arch.Platform{}):
		return who + ": its config has no platform"
	case e.Index != (arch.Platform{}):
		return fmt.Sprintf("%s: its config has platform %s, but its index has %s", who, e.Platform, e.Index)
	}
	return fmt.Sprintf("%s: unknown platform %q", who, e.Platform)
}

// Hint returns how to set the platform.
func (e *PlatformError) Hint() string {
	who, word := e.Source, e.Platform.String()
	if e.Image != (v1.Hash{}) {
		who = "REPOSITORY@" + e.Image.String()
	}
	if e.Platform == (arch.Platform{}) {
		word = ""
	}
	return fmt.Sprintf("set it with %s=PLATFORM, or with from: {PLATFORM: %s} in multiarch.yaml; %s", who, who,
		suggest.Hint(word, arch.Names()))
}

// DuplicateError reports two different images for the same platform.
type DuplicateError struct {
	Platform arch.Platform
	// First and Second are the sources; they may be the same index.
	First, Second string
	// Onto is true if First is the index that sources are added to.
	Onto bool
}

func (e *DuplicateError) Error() string {
	if e.First == e.Second {
		return fmt.Sprintf("%s: contains two images for %s", e.First, e.Platform)
	}
	return fmt.Sprintf("two images for %s: in %s and in %s", e.Platform, e.First, e.Second)
}

// Hint returns the next step.
func (e *DuplicateError) Hint() string {
	switch {
	case e.Onto:
		return "use --replace to replace the existing image"
	case e.First == e.Second:
		return "select one of them by its digest: REPOSITORY@sha256:..."
	}
	return "omit one of them, or select one platform of an index: SOURCE=PLATFORM"
}

// MissingError reports an image or attestation that an index lists, but that does not exist beside it.
type MissingError struct {
	Source string
	Image  v1.Hash
	// Platform is the platform in the index, or "".
	Platform string
	Err      error
}

func (e *MissingError) what() string {
	if e.Platform == "" {
		return fmt.Sprintf("%s: %s", e.Source, e.Image)
	}
	return fmt.Sprintf("%s: %s (%s)", e.Source, e.Platform, e.Image)
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s is listed but does not exist: %v", e.what(), e.Err)
}

// Class classifies the error for the exit code.
func (e *MissingError) Class() fault.Class { return fault.Base }
func (e *MissingError) Unwrap() error      { return e.Err }

// Hint returns how to skip the image.
func (e *MissingError) Hint() string {
	return "use --ignore-missing to skip it, or SOURCE=PLATFORM to select one platform"
}

// DockerError reports a field that a docker manifest list cannot have.
type DockerError struct{ What string }

func (e *DockerError) Error() string { return "a docker manifest list cannot have " + e.What }

// Hint returns the next step.
func (e *DockerError) Hint() string { return "remove --docker: an OCI index supports it" }

// AbsentError reports a requested platform that has no image.
type AbsentError struct {
	// Source is the only source that could have the image, or "" for all sources.
	Source string
	// Platform and Has are formatted by Written.
	Platform string
	Has      []string
}

func (e *AbsentError) Error() string {
	if e.Source == "" {
		return "no image for " + e.Platform
	}
	return e.Source + ": no image for " + e.Platform
}

// Hint lists the available platforms.
func (e *AbsentError) Hint() string { return "available platforms: " + strings.Join(e.Has, ", ") }
