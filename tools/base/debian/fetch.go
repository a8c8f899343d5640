package debian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/cache"
)

// Deb is a package whose file can be read.
type Deb struct {
	Package Package
	// Open opens the file, from the start.
	Open func() (io.ReadCloser, error)
}

// rounds is how often every mirror is asked for a package, and pause what lies between the first two. A connection that
// breaks is continued where it broke.
const (
	rounds = 3
	pause  = 200 * time.Millisecond
)

// Fetch has the file of a package in a store: a package that is there already is not downloaded, and needs no mirror.
// Size and SHA-256 are checked, and never more bytes than the size says are read. A download that breaks off is
// continued, on the next mirror or by the next call. Where no mirror has the package, the error is an
// *UnavailableError; where they have something else of this name, it holds a *cache.WrongContentError.
func (a *Archive) Fetch(ctx context.Context, store *cache.Store, p Package) (Deb, error) {
	if err := p.check(); err != nil {
		return Deb{}, err
	}
	h := v1.Hash{Algorithm: "sha256", Hex: p.SHA256}
	deb := Deb{p, func() (io.ReadCloser, error) { return store.Blob(h) }}
	if store.Has(h, p.Size) && store.Check(h) {
		return deb, nil
	}
	var err error
	for round := range rounds {
		again := false
		err = a.each(ctx, "package "+p.String()+" ("+p.Path+")", func(mirror string) error {
			resumed := false
			err := store.Fetch(ctx, h, p.Size, func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
				resumed = offset > 0
				return a.open(ctx, mirror, p.Path, offset)
			})
			again = again || err != nil && mayHelp(err, resumed)
			return err
		})
		if err == nil {
			return deb, nil
		}
		if !again || round == rounds-1 {
			break
		}
		select {
		case <-time.After(pause << round):
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
	}
	return Deb{}, err
}

// mayHelp tells whether asking the same mirror again may end better.
func mayHelp(err error, resumed bool) bool {
	var status *statusError
	if errors.As(err, &status) {
		return status.code == http.StatusRequestTimeout || status.code == http.StatusTooManyRequests || status.code >= 500
	}
	var content *cache.WrongContentError
	if errors.As(err, &content) {
		return resumed // What was there before the download may have been wrong, and is gone now.
	}
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, errSilent)
}

// readAll reads at most so many bytes, and refuses more.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	out, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(out)) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return out, err
}
