package cache

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Download opens content at an offset. If only the whole content is available, it is opened at the
// start, and from is 0.
type Download func(ctx context.Context, offset int64) (body io.ReadCloser, from int64, err error)

// WrongContentError is returned for a download with unexpected content.
type WrongContentError struct {
	Want v1.Hash
	Size int64 // expected size in bytes
	Got  string
}

func (e *WrongContentError) Error() string {
	return fmt.Sprintf("unexpected content: want %s of %d bytes, but %s", e.Want, e.Size, e.Got)
}

// Hint returns possible reasons.
func (e *WrongContentError) Hint() string {
	return "check for a proxy that changes content, and that the server is intact; nothing was stored"
}

// Fetch downloads a blob into the store unless it exists. Digest and size are verified, and at most
// size bytes are read. An interrupted download is continued by the next call, in this process or
// another; concurrent calls for the same blob wait for each other. Fetch does not retry failed
// requests; see registry.Client.Retry.
func (s *Store) Fetch(ctx context.Context, h v1.Hash, size int64, open Download) error {
	if s.Has(h, size) {
		return nil
	}
	if h.Algorithm != "sha256" || size < 0 {
		return fmt.Errorf("blob %s of %d bytes cannot be stored: only SHA-256 digests are supported", h, size)
	}
	return s.again(func() error { return s.fetch(ctx, h, size, open) })
}

func (s *Store) fetch(ctx context.Context, h v1.Hash, size int64, open Download) error {
	part := s.path("tmp", "part-"+h.Hex)
	unlock, err := s.Lock(ctx, part+".lock", "another download of "+h.String())
	if err != nil {
		return err
	}
	defer unlock()
	if s.Has(h, size) {
		return nil
	}
	if err := clear(part); err != nil {
		return s.failed(err)
	}
	f, err := os.OpenFile(part, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return s.failed(err)
	}
	defer f.Close() // closes it again after a complete download
	return s.resume(ctx, f, h, size, open)
}

// resume continues the download in f, or starts again if that is not possible.
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
				return fmt.Errorf("downloading %s: requested from byte %d, but got it from byte %d", h, have, from)
			}
			have = 0
			sum.Reset()
			if err := f.Truncate(0); err != nil {
				return s.failed(err)
			}
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				return s.failed(err)
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
		err = &WrongContentError{h, size, "there is more content"}
	case hashOf(sum) != h:
		err = &WrongContentError{h, size, "its digest is " + hashOf(sum).String()}
	default:
		// The downloaded file is resumed across calls, so it is kept if moving it fails.
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return s.failed(err)
		}
		return s.Replace(f.Name(), s.blob(h))
	}
	return errors.Join(err, os.Remove(f.Name()))
}
