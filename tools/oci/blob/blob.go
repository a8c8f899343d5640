// Package blob reads the blobs of layers: it measures their size, digest and diffID, detects how they are compressed
// and visits the entries of the tar archive in them, all in one pass with bounded memory.
package blob

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Compression is the compression of a layer.
type Compression string

// The values of Compression.
const (
	Uncompressed Compression = "uncompressed"
	Gzip         Compression = "gzip"
	Zstd         Compression = "zstd"
)

const (
	// MaxSize bounds a layer, stored and decompressed: a small blob can expand to any size.
	MaxSize = 32 << 30
	// windowLimit bounds the zstd window and with it the memory of the decoder. zstd writes windows of up to 128 MiB, with
	// --ultra or --long.
	windowLimit = 128 << 20
)

// Measurement describes the bytes of a blob.
type Measurement struct {
	Digest      v1.Hash
	Size        int64
	Compression Compression
	// DiffID is the SHA-256 of the decompressed content.
	DiffID v1.Hash
	// DecompressError is why the blob could not be decompressed, TarError why its content is not a tar archive.
	DecompressError, TarError error
}

// Visitor is called for every entry of a tar archive. It need not read the content. An error ends the visits, but not
// the measurement.
type Visitor func(h *tar.Header, content io.Reader) error

// Measure reads a blob to its end, once, and visits the entries of its tar archive. The digest has the algorithm of
// want. If visit is nil, the content is neither decompressed nor measured. An error means that the stored bytes could
// not be read.
func Measure(ctx context.Context, blob io.Reader, want v1.Hash, visit Visitor) (Measurement, error) {
	var m Measurement
	hasher, err := v1.Hasher(want.Algorithm)
	if err != nil {
		return m, err
	}
	stored := &reader{ctx: ctx, inner: blob, hasher: hasher, most: MaxSize}
	buffered := bufio.NewReaderSize(stored, 64<<10)
	if visit != nil {
		m.content(ctx, buffered, visit)
	}
	// Bytes after the compressed content are part of the blob.
	if _, err := io.Copy(io.Discard, buffered); stored.err == nil && err != nil {
		stored.err = err
	}
	if stored.err != nil {
		return m, stored.err
	}
	m.Digest, m.Size = Sum(want.Algorithm, hasher), stored.n
	return m, nil
}

// content decompresses a blob and visits its entries. It recovers from panics, which hostile content may cause in
// decoders.
func (m *Measurement) content(ctx context.Context, blob *bufio.Reader, visit Visitor) {
	defer func() {
		if p := recover(); p != nil {
			m.DecompressError = fmt.Errorf("examining the content failed: %v", p)
		}
	}()
	content, closer, compression, err := Decompress(blob)
	m.Compression = compression
	if err != nil {
		m.DecompressError = err
		return
	}
	defer closer()
	hasher, _ := v1.Hasher("sha256") // always supported
	counted := &reader{ctx: ctx, inner: content, hasher: hasher, most: MaxSize}
	buffered := bufio.NewReaderSize(counted, 64<<10)
	m.TarError = visitAll(buffered, visit)
	if _, err := io.Copy(io.Discard, buffered); err != nil && counted.err == nil {
		counted.err = err
	}
	if counted.err != nil {
		m.DecompressError, m.TarError = counted.err, nil
		return
	}
	m.DiffID = Sum("sha256", hasher)
}

// Decompress detects the compression of a blob by its first bytes, as container runtimes do, and returns its content
// and a function that releases the decoder.
func Decompress(blob *bufio.Reader) (io.Reader, func(), Compression, error) {
	nothing := func() {}
	magic, _ := blob.Peek(4) // a shorter blob is not compressed
	switch {
	case len(magic) >= 2 && magic[0] == 0x1f && magic[1] == 0x8b: // RFC 1952
		r, err := gzip.NewReader(blob)
		return r, nothing, Gzip, err
	// RFC 8878
	case string(magic) == "\x28\xb5\x2f\xfd", len(magic) == 4 && magic[0]&0xf0 == 0x50 &&
		string(magic[1:]) == "\x2a\x4d\x18":
		r, err := zstd.NewReader(blob, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(windowLimit))
		if err != nil {
			return nil, nothing, Zstd, err
		}
		return r, r.Close, Zstd, nil
	}
	return blob, nothing, Uncompressed, nil
}

// visitAll visits the entries of a tar archive.
func visitAll(content io.Reader, visit Visitor) error {
	r := tar.NewReader(content)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := visit(h, r); err != nil {
			return err
		}
	}
}

// reader counts and hashes what is read, and records the error that ended it.
type reader struct {
	ctx    context.Context
	inner  io.Reader
	hasher hash.Hash
	n      int64
	// most bounds the number of bytes, unless it is 0.
	most int64
	err  error
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		r.err = err
		return 0, err
	}
	n, err := r.inner.Read(p)
	r.n += int64(n)
	r.hasher.Write(p[:n])
	if r.most > 0 && r.n > r.most {
		err = fmt.Errorf("the content is longer than %d bytes", r.most)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// Sum returns the hash that h has calculated.
func Sum(algorithm string, h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: algorithm, Hex: hex.EncodeToString(h.Sum(nil))}
}

// CompressionOf returns the compression that the media type of a layer specifies, and false if it is not a layer.
func CompressionOf[T ~string](mediaType T) (c Compression, known bool) {
	t := string(mediaType)
	if !strings.HasPrefix(t, "application/vnd.oci.image.layer.") &&
		!strings.HasPrefix(t, "application/vnd.docker.image.rootfs.") {
		return Uncompressed, false
	}
	switch {
	case strings.HasSuffix(t, ".tar+gzip"), strings.HasSuffix(t, ".tar.gzip"):
		return Gzip, true
	case strings.HasSuffix(t, ".tar+zstd"), strings.HasSuffix(t, ".tar.zstd"):
		return Zstd, true
	case strings.HasSuffix(t, ".tar"):
		return Uncompressed, true
	}
	return Uncompressed, false
}

// IsSparse reports whether the content of a file is not contiguous in its archive.
func IsSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}
