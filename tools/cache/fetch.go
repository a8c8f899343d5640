package cache

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gofrs/flock"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Download opens something from an offset on. Where it can only be had from the start, it is opened there, and from
// says so: 0.
type Download func(ctx context.Context, offset int64) (body io.ReadCloser, from int64, err error)

// WrongContentError is returned for a download that is not what was asked for.
type WrongContentError struct {
	Want v1.Hash
	Size int64 // that was wanted, in bytes
	Got  string
}

func (e *WrongContentError) Error() string {
	return fmt.Sprintf("not what was asked for: %s of %d bytes, but %s", e.Want, e.Size, e.Got)
}

// Hint says what may be behind it.
func (e *WrongContentError) Hint() string {
	return "nothing of it was kept; something on the way changes the content, or the other side is broken"
}

// Fetch sees to it that the blob is in the store, with the bytes that its digest and size promise, and downloads it
// where it is not. What breaks off is continued by the next call, of this process or another; two calls for the same
// blob take turns. Never more is read than size promises. It is not tried again here: see registry.Client.Retry.
func (s *Store) Fetch(ctx context.Context, h v1.Hash, size int64, open Download) error {
	if s.Has(h, size) {
		return nil
	}
	if h.Algorithm != "sha256" || size < 0 {
		return fmt.Errorf("blob %s of %d bytes cannot be kept: only SHA-256 digests are known", h, size)
	}
	part := s.path("tmp", "part-"+h.Hex)
	lock := flock.New(part + ".lock")
	if _, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return fmt.Errorf("waiting for another download of %s: %w", h, err)
	}
	defer lock.Close()
	if s.Has(h, size) {
		return nil
	}
	f, err := os.OpenFile(part, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return &UnusableError{s.dir, err}
	}
	defer f.Close()
	return s.resume(ctx, f, h, size, open)
}

// resume continues what is in f, or starts again where that is not possible.
func (s *Store) resume(ctx context.Context, f *os.File, h v1.Hash, size int64, open Download) (err error) {
	sum := sha256.New()
	have, err := io.Copy(sum, f)
	if err != nil || have > size {
		have = 0
	}
	if have < size || size == 0 {
		body, from, err := open(ctx, have)
		if err != nil {
			return err
		}
		defer body.Close()
		if from != have || have == 0 {
			if from != 0 {
				return fmt.Errorf("downloading %s: asked from byte %d, and got it from byte %d", h, have, from)
			}
			have = 0
			sum.Reset()
			if err := f.Truncate(0); err != nil {
				return &UnusableError{s.dir, err}
			}
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				return &UnusableError{s.dir, err}
			}
		}
		n, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(body, size-have+1))
		have += n
		if err != nil {
			return fmt.Errorf("downloading %s, after %d of %d bytes: %w", h, have, size, err)
		}
	}
	switch {
	case have < size:
		return fmt.Errorf("downloading %s, after %d of %d bytes: %w", h, have, size, io.ErrUnexpectedEOF)
	case have > size:
		err = &WrongContentError{h, size, "it goes on beyond that"}
	case hashOf(sum) != h:
		err = &WrongContentError{h, size, "its digest is " + hashOf(sum).String()}
	default:
		err = os.Rename(f.Name(), s.blob(h))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
