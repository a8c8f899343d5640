package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
	"github.com/multiarch-build/multiarch/tools/oci/blob"
)

// openDecompressed opens a file for random access and returns a function that closes it. It decompresses a compressed
// file into a temporary one.
func openDecompressed(ctx context.Context, file string) (*os.File, func() error, error) {
	f, err := inputfile.Open(file)
	if err != nil {
		return nil, nil, err
	}
	content, done, compression, err := blob.Decompress(bufio.NewReader(f))
	switch {
	case err != nil:
		return nil, nil, errors.Join(fmt.Errorf("decompressing %s: %w", file, err), f.Close())
	case compression == blob.Uncompressed:
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, nil, errors.Join(err, f.Close())
		}
		return f, f.Close, nil
	}
	defer done()
	defer f.Close()
	spool, err := os.CreateTemp("", "multiarch-archive-*.tar")
	if err != nil {
		return nil, nil, err
	}
	// Remove the file while it is open, if the system allows that, so that nothing is left if this process is killed.
	removed := os.Remove(spool.Name()) == nil
	remove := func() error {
		err := spool.Close()
		if !removed {
			err = errors.Join(err, os.Remove(spool.Name()))
		}
		return err
	}
	n, err := io.Copy(spool, io.LimitReader(interruptible{ctx, content}, blob.MaxSize+1))
	if err == nil && n > blob.MaxSize {
		err = fmt.Errorf("the content is longer than %d bytes", int64(blob.MaxSize))
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("decompressing %s: %w", file, err), remove())
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	return spool, remove, nil
}

// interruptible is a reader that fails once ctx is done.
type interruptible struct {
	ctx context.Context
	io.Reader
}

func (r interruptible) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
