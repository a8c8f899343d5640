package inspect

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// compression is how the bytes of a layer are stored.
type compression string

const (
	plain     compression = "uncompressed"
	gzipped   compression = "gzip"
	zstandard compression = "zstd"
)

const (
	// contentLimit is how many bytes a layer may have, also when it is decompressed: a small blob can claim any number.
	contentLimit = 32 << 30
	// windowLimit is the zstd window that is accepted, and so the decoder's memory. zstd itself writes up to 128 MiB,
	// with --ultra or --long.
	windowLimit = 128 << 20
)

// measure is what the bytes of a blob turned out to be.
type measure struct {
	digest      v1.Hash
	size        int64
	compression compression
	// diffID is the SHA-256 of the content.
	diffID v1.Hash
	// broken says why the blob could not be decompressed, tarError why its content is not a tar archive.
	broken, tarError error
}

// visitor is called for every entry of a tar, with its content, which it need not read. An error ends the visits, but
// not the measuring.
type visitor func(h *tar.Header, content io.Reader) error

// walk reads a blob to its end, once, and visits what is in the tar that it holds. The digest is calculated by the
// algorithm of want. Where visit is nil the blob is measured as it is stored, and nothing of its content is. An error
// means that the stored bytes could not be read.
func walk(ctx context.Context, blob io.Reader, want v1.Hash, visit visitor) (measure, error) {
	var m measure
	hasher, err := v1.Hasher(want.Algorithm)
	if err != nil {
		return m, err
	}
	stored := &reader{ctx: ctx, inner: blob, hasher: hasher, most: contentLimit}
	buffered := bufio.NewReaderSize(stored, 64<<10)
	if visit != nil {
		m.content(ctx, buffered, visit)
	}
	// What follows the compressed content belongs to the blob, too.
	if _, err := io.Copy(io.Discard, buffered); stored.err == nil && err != nil {
		stored.err = err
	}
	if stored.err != nil {
		return m, stored.err
	}
	m.digest, m.size = hashOf(want.Algorithm, hasher), stored.n
	return m, nil
}

// content decompresses a blob and visits its entries. Libraries that meet bytes nobody should have written must not take
// the program with them.
func (m *measure) content(ctx context.Context, blob *bufio.Reader, visit visitor) {
	defer func() {
		if p := recover(); p != nil {
			m.broken = fmt.Errorf("examining it failed: %v", p)
		}
	}()
	content, closer, err := m.decompress(blob)
	if err != nil {
		m.broken = err
		return
	}
	defer closer()
	hasher, _ := v1.Hasher("sha256") // one of those it knows
	counted := &reader{ctx: ctx, inner: content, hasher: hasher, most: contentLimit}
	buffered := bufio.NewReaderSize(counted, 64<<10)
	m.tarError = visitAll(buffered, visit)
	if _, err := io.Copy(io.Discard, buffered); err != nil && counted.err == nil {
		counted.err = err
	}
	if counted.err != nil {
		m.broken, m.tarError = counted.err, nil
		return
	}
	m.diffID = hashOf("sha256", hasher)
}

// decompress finds out how a blob is compressed as container runtimes do: by its first bytes.
func (m *measure) decompress(blob *bufio.Reader) (io.Reader, func(), error) {
	nothing := func() {}
	magic, _ := blob.Peek(4) // a shorter blob is not compressed
	switch {
	case len(magic) >= 2 && magic[0] == 0x1f && magic[1] == 0x8b: // RFC 1952
		m.compression = gzipped
		r, err := gzip.NewReader(blob)
		return r, nothing, err
	case string(magic) == "\x28\xb5\x2f\xfd", len(magic) == 4 && magic[0]&0xf0 == 0x50 && string(magic[1:]) == "\x2a\x4d\x18": // RFC 8878
		m.compression = zstandard
		r, err := zstd.NewReader(blob, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(windowLimit))
		if err != nil {
			return nil, nothing, err
		}
		return r, r.Close, nil
	}
	m.compression = plain
	return blob, nothing, nil
}

// visitAll walks over a tar.
func visitAll(content io.Reader, visit visitor) error {
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

// reader counts and hashes what is read, and keeps the error that ended it.
type reader struct {
	ctx    context.Context
	inner  io.Reader
	hasher hash.Hash
	n      int64
	// most is how many bytes may be read, 0 for any number.
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
		err = fmt.Errorf("it has more than %d bytes", r.most)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

func hashOf(algorithm string, h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: algorithm, Hex: hex.EncodeToString(h.Sum(nil))}
}
