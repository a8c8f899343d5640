package content

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// File is a manifest or blob as a layout or an archive stores it.
type File struct {
	Digest v1.Hash
	Size   int64
	// Label names the file in messages.
	Label string
	Open  func() (io.ReadCloser, error)
}

// Literal returns a file with the given content.
func Literal(label string, content []byte) File {
	sum := sha256.Sum256(content)
	return File{
		Digest: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])},
		Size:   int64(len(content)),
		Label:  label,
		Open:   func() (io.ReadCloser, error) { return readCloser(content), nil },
	}
}

func readCloser(content []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(content)) }

// CopyTo writes the file's content to w until ctx ends. It fails if the content does not have the file's size and
// digest.
func (f File) CopyTo(ctx context.Context, w io.Writer) (err error) {
	source, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	sum, err := v1.Hasher(f.Digest.Algorithm)
	if err != nil {
		return err
	}
	// One byte more than expected shows that the content is too long.
	limited := &io.LimitedReader{R: contextReader{ctx, source}, N: f.Size + 1}
	n, err := io.CopyBuffer(io.MultiWriter(sum, w), limited, make([]byte, 64<<10))
	switch {
	case err != nil:
		return err
	case n > f.Size:
		return fmt.Errorf("the content is longer than its %d bytes", f.Size)
	case n < f.Size:
		return fmt.Errorf("the content ends after %d of %d bytes", n, f.Size)
	case hex.EncodeToString(sum.Sum(nil)) != f.Digest.Hex:
		return fmt.Errorf("the content does not match its digest %s", f.Digest)
	}
	return nil
}

// contextReader fails once its context has ended.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
