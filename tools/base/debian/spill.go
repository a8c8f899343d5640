package debian

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

// spill is a temporary file with the concatenated contents of all files. The packages of several architectures may not
// fit into memory.
type spill struct {
	f   *os.File
	w   *bufio.Writer
	end int64
}

// spillError is an I/O error of this machine, as opposed to an error in a package.
type spillError struct{ error }

func (e *spillError) Unwrap() error { return e.error }

func newSpill(dir string) (*spill, error) {
	f, err := os.CreateTemp(dir, "debian-*.spill")
	if err != nil {
		return nil, fmt.Errorf("unpacking packages: %w", err)
	}
	// On Unix, an open file can be removed, so that it cannot be left behind if the process is killed.
	_ = os.Remove(f.Name())
	return &spill{f: f, w: bufio.NewWriterSize(f, 1<<18)}, nil
}

func (s *spill) wrap(err error) error {
	return &spillError{fmt.Errorf("unpacking packages into %s: %w", s.f.Name(), err)}
}

// add appends the content of r and makes e a file with this content.
func (s *spill) add(e *layer.Entry, r io.Reader) error {
	sum := sha256.New()
	to := &spillWriter{s: s}
	n, err := io.Copy(io.MultiWriter(to, sum), r)
	if to.err != nil {
		return to.err
	}
	if err != nil {
		return err
	}
	start := s.end
	s.end += n
	e.Kind, e.Size, e.SHA256 = layer.File, n, hex.EncodeToString(sum.Sum(nil))
	e.Contents = func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(s.f, start, n)), nil }
	return nil
}

// spillWriter records write errors, to distinguish them from errors of the reader.
type spillWriter struct {
	s   *spill
	err error
}

func (w *spillWriter) Write(p []byte) (int, error) {
	n, err := w.s.w.Write(p)
	if err != nil {
		w.err = w.s.wrap(err)
		err = w.err
	}
	return n, err
}

func (s *spill) close() error {
	err := s.f.Close()
	_ = os.Remove(s.f.Name())
	return err
}
