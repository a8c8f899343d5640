package debian

import (
	"context"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/build/cache"
)

// Deb is a package whose file can be read.
type Deb struct {
	Package Package
	// Open opens the file, from the start.
	Open func() (io.ReadCloser, error)
}

// Fetch has the file of a package in a store: a package that is there already is not downloaded, and needs no mirror.
// Size and SHA-256 are checked, and never more bytes than the size says are read. A download that breaks off is
// continued, on the next mirror or by the next call. Mirrors drop packages that a newer one has replaced, so the
// snapshots are asked after them.
//
// If neither has the package, the error is an *UnavailableError; if they have something else of this name, it holds a
// *cache.WrongContentError.
func (a *Archive) Fetch(ctx context.Context, store *cache.Store, p Package) (Deb, error) {
	if err := p.check(); err != nil {
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
			// What is wrong may be the part that was there before, which is gone now.
			err = store.Fetch(ctx, h, p.Size, open)
		}
		return err
	}
	what := "package " + p.String() + " (" + p.Path + ")"
	err := a.each(ctx, what, a.Mirrors, download)
	if err == nil || ctx.Err() != nil {
		return deb, err
	}
	var wrong *cache.WrongContentError
	if errors.As(err, &wrong) {
		err = &OtherContentError{err}
	}
	if len(a.Snapshots) == 0 {
		return Deb{}, err
	}
	a.notify("%s: the mirrors do not have it; asking the snapshot archive", what)
	archived := a.each(ctx, what, a.Snapshots, download)
	if archived == nil || ctx.Err() != nil {
		return deb, archived
	}
	var mirrors, snapshots *UnavailableError
	if !errors.As(err, &mirrors) {
		return Deb{}, err // the mirrors have something wrong
	}
	if !errors.As(archived, &snapshots) {
		return Deb{}, &OtherContentError{archived}
	}
	return Deb{}, &UnavailableError{
		What: what, Mirrors: append(mirrors.Mirrors, snapshots.Mirrors...), Err: errors.Join(mirrors.Err, snapshots.Err), snapshots: true,
	}
}

// readAll reads at most so many bytes, and refuses more.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	out, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(out)) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return out, err
}
