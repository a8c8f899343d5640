package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// UnavailableError reports that a registry does not have an image, or does not give access to it.
type UnavailableError struct {
	Err error
	// local describes the file or directory with the same name as the reference, "" if there is none.
	local string
}

func (e *UnavailableError) Error() string {
	if e.local != "" {
		return e.Err.Error() + " (" + e.local + ")"
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Hint returns what to do, or "".
func (e *UnavailableError) Hint() string { return registry.Hint(e.Err, registry.Reading) }

// PathError reports a reference to a file or directory that does not exist or does not hold images.
type PathError struct {
	message, hint string
	missing       bool // nothing exists at the path
}

func (e *PathError) Error() string { return e.message }

// Hint returns how to write the reference, or "".
func (e *PathError) Hint() string { return e.hint }

// KindError reports content that is neither an image nor an image index.
type KindError struct{ MediaType types.MediaType }

func (e *KindError) Error() string {
	return fmt.Sprintf("neither an image nor an image index but %q", string(e.MediaType))
}

// Hint lists what can be opened.
func (e *KindError) Hint() string {
	if e.MediaType.IsSchema1() {
		return "registries no longer support schema 1 manifests; push the image again with a current client"
	}
	return "supported are OCI and Docker manifests, OCI indexes and Docker manifest lists"
}

// EntryError reports that a layout or an archive has no entry of a name, or that a reference without a name matches
// several entries.
type EntryError struct {
	// Place is the directory or file, Name the requested entry ("" for the only one), Known the existing entries.
	Place, Name string
	Known       []string
}

func (e *EntryError) Error() string {
	switch {
	case len(e.Known) == 0:
		return fmt.Sprintf("%s has no images", e.Place)
	case e.Name == "":
		return fmt.Sprintf("%s has %d images, and the reference does not select one", e.Place, len(e.Known))
	}
	return fmt.Sprintf("%s has no image %q", e.Place, e.Name)
}

// Hint suggests an entry and lists all others.
func (e *EntryError) Hint() string { return suggest.Hint(e.Name, e.Known) }

// DecodeError reports a manifest or config that cannot be decoded, or whose values are out of range.
type DecodeError struct {
	Document string // "manifest" or "config"
	Err      error
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("the %s cannot be read: %v", e.Document, e.Err)
}

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }

// IsMissing reports whether an error means that an image, or a part of it, does not exist in its registry, layout or
// archive. Missing permissions are another matter.
func IsMissing(err error) bool {
	var entry *EntryError
	var file *PathError
	return notFound(err) || errors.As(err, &entry) && entry.Name != "" || errors.As(err, &file) && file.missing
}

func notFound(err error) bool {
	var response *transport.Error
	return errors.Is(err, fs.ErrNotExist) || errors.As(err, &response) && response.StatusCode == http.StatusNotFound
}

// IsDefect reports whether an error from reading s is a defect of the image. Other errors are failures to read it, such
// as a network error, a disk error or a canceled context.
func (s *Source) IsDefect(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if notFound(err) {
		return true
	}
	var (
		response *transport.Error
		address  *url.Error
		network  net.Error
		file     *fs.PathError
	)
	if errors.As(err, &response) || errors.As(err, &address) || errors.As(err, &network) || errors.As(err, &file) {
		return false
	}
	return !s.remote || !errors.Is(err, io.ErrUnexpectedEOF)
}
