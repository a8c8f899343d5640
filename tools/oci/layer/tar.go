package layer

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// WriteTar compresses a tar archive to w without changing its bytes, and returns the descriptor of
// the layer.
func WriteTar(ctx context.Context, w io.Writer, archive io.Reader, useZstd bool) (Descriptor, error) {
	compressed := &hashWriter{w: w, hash: sha256.New()}
	buffered := bufio.NewWriterSize(compressed, chunk)
	compressor, mediaType, err := newCompressor(buffered, useZstd)
	if err != nil {
		return Descriptor{}, err
	}
	plain := &hashWriter{w: compressor, hash: sha256.New()}
	if err := copyAll(ctx, plain, archive); err != nil {
		return Descriptor{}, err
	}
	if err := errors.Join(compressor.Close(), buffered.Flush()); err != nil {
		return Descriptor{}, fmt.Errorf("writing a layer: %w", err)
	}
	return Descriptor{mediaType, compressed.digest(), compressed.size, plain.digest()}, nil
}

// CopyTar copies a tar archive that is compressed with gzip or zstd to w, and returns the
// descriptor of the layer. plain reads the uncompressed archive.
func CopyTar(ctx context.Context, w io.Writer, archive, plain io.Reader) (Descriptor, error) {
	r := bufio.NewReaderSize(archive, chunk)
	magic, err := r.Peek(2)
	if err != nil {
		return Descriptor{}, err
	}
	mediaType := types.OCILayerZStd
	if magic[0] == 0x1f && magic[1] == 0x8b {
		mediaType = types.OCILayer
	}
	compressed := &hashWriter{w: w, hash: sha256.New()}
	uncompressed := &hashWriter{w: io.Discard, hash: sha256.New()}
	if err := errors.Join(copyAll(ctx, compressed, r), copyAll(ctx, uncompressed, plain)); err != nil {
		return Descriptor{}, err
	}
	return Descriptor{mediaType, compressed.digest(), compressed.size, uncompressed.digest()}, nil
}

// copyAll copies until the end or until ctx is done.
func copyAll(ctx context.Context, w io.Writer, r io.Reader) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := io.CopyN(w, r, 64*chunk); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
