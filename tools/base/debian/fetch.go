package debian

import (
	"context"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/build/cache"
)

// Deb is a package with its file.
type Deb struct {
	Package Package
	// Open opens the file.
	Open func() (io.ReadCloser, error)
}

// Fetch downloads a package to a store that does not have it yet. It verifies size and SHA-256, and never reads more
// bytes than the size. The next mirror or the next call resumes an interrupted download. Fetch tries the snapshots
// after the mirrors, because mirrors remove superseded packages.
//
// If the package is unavailable, the error is an *UnavailableError. If its content differs, the error wraps a
// *cache.WrongContentError.
func (a *Archive) Fetch(ctx context.Context, store *cache.Store, p Package) (Deb, error) {
	if err := p.validate(); err != nil {
		return Deb{}, err
	}
	h := v1.Hash{Algorithm: "sha256", Hex: p.SHA256}
	deb := Deb{p, func() (io.ReadCloser, error) { return store.Blob(h) }}
	if store.Has(h, p.Size) && store.Check(h) {
		return deb, nil
	}
	download := func(mirror string) error {
		resumed := false
		open := func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
			resumed = offset > 0
			return a.open(ctx, mirror, p.Path, offset)
		}
		err := store.Fetch(ctx, h, p.Size, open)
		var wrong *cache.WrongContentError
		if resumed && errors.As(err, &wrong) {
			// The part of an earlier download may be wrong. The store has removed it.
			err = store.Fetch(ctx, h, p.Size, open)
		}
		return err
	}
	what := "package " + p.String() + " (" + p.Path + ")"
	err := a.tryMirrors(ctx, what, a.Mirrors, download)
	if err == nil || ctx.Err() != nil {
		return deb, err
	}
	var wrong *cache.WrongContentError
	if errors.As(err, &wrong) {
		err = &ContentMismatchError{err}
	}
	if len(a.Snapshots) == 0 {
		return Deb{}, err
	}
	a.notify("%s: not on the mirrors; trying the snapshot archive", what)
	archived := a.tryMirrors(ctx, what, a.Snapshots, download)
	if archived == nil || ctx.Err() != nil {
		return deb, archived
	}
	var mirrors, snapshots *UnavailableError
	if !errors.As(err, &mirrors) {
		return Deb{}, err // the mirrors have other content
	}
	if !errors.As(archived, &snapshots) {
		return Deb{}, &ContentMismatchError{archived}
	}
	return Deb{}, &UnavailableError{
		What: what, Mirrors: append(mirrors.Mirrors, snapshots.Mirrors...),
		Err: errors.Join(mirrors.Err, snapshots.Err), triedSnapshots: true,
	}
}

// readAll reads r, which must not have more than limit bytes.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	out, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(out)) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return out, err
}
