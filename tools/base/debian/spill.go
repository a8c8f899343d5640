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

// spill is a file with the contents of all files, one after the other: packages of eight architectures together have
// more than a machine's memory should hold.
type spill struct {
	f   *os.File
	w   *bufio.Writer
	end int64
}

// spillError is about the machine, and not about a package.
type spillError struct{ error }

func (e *spillError) Unwrap() error { return e.error }

func newSpill(dir string) (*spill, error) {
	f, err := os.CreateTemp(dir, "debian-*.spill")
	if err != nil {
		return nil, fmt.Errorf("unpacking packages: %w", err)
	}
	// Where a file can be removed while it is open, nothing of it stays behind, however this process ends.
	_ = os.Remove(f.Name())
	return &spill{f: f, w: bufio.NewWriterSize(f, 1<<18)}, nil
}

func (s *spill) failed(err error) error {
	return &spillError{fmt.Errorf("unpacking packages into %s: %w", s.f.Name(), err)}
}

// add makes e a file with what r reads.
func (s *spill) add(e *layer.Entry, r io.Reader) error {
	sum := sha256.New()
	to := &marked{s: s}
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

// marked tells errors of writing from errors of reading.
type marked struct {
	s   *spill
	err error
}

func (m *marked) Write(p []byte) (int, error) {
	n, err := m.s.w.Write(p)
	if err != nil {
		m.err = m.s.failed(err)
		err = m.err
	}
	return n, err
}

func (s *spill) close() error {
	err := s.f.Close()
	_ = os.Remove(s.f.Name())
	return err
}
