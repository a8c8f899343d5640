package layer

import (
	"archive/tar"
	"io"
)

// Observer is called for every entry of a layer while Write writes it, in tar order. content is the
// content of a file; an Observer reads as much of it as it needs before it returns.
type Observer func(h *tar.Header, content io.Reader)

// chunk is the number of bytes that are hashed and compressed at a time, so that they stay in the
// processor's cache.
const chunk = 128 << 10

// tee copies what is read from it to another writer and keeps the first error. An observer may
// ignore that error, but Write must not.
type tee struct {
	from io.Reader
	to   io.Writer
	n    int64
	err  error // io.EOF at the end
}

func (t *tee) Read(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	n, err := t.from.Read(p[:min(len(p), chunk)])
	if n > 0 {
		if _, writeErr := t.to.Write(p[:n]); writeErr != nil {
			err = writeErr
		}
	}
	t.n += int64(n)
	t.err = err
	return n, err
}

// drain reads the rest of the content and returns the first error of reading or writing.
func (t *tee) drain(buf []byte) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, t, buf)
	return err
}
