// Package layer turns files into one deterministic compressed tar: entries in, bytes out, with digest, diffID and size
// from the same single pass. The same entries give the same bytes on every machine; what fixes them is this package
// and the versions in go.sum.
package layer

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Descriptor says what a written layer is.
type Descriptor struct {
	MediaType types.MediaType `json:"mediaType"`
	Digest    v1.Hash         `json:"digest"` // of the compressed bytes
	Size      int64           `json:"size"`   // of the compressed bytes
	DiffID    v1.Hash         `json:"diffID"` // of the tar
}

// Options are what a layer's bytes depend on besides its entries.
type Options struct {
	// OS is the operating system of the image: windows layers have a form of their own.
	OS string
	// Zstd compresses with zstd instead of gzip.
	Zstd bool
	// Epoch is the modification time of every entry. Fractions of a second are dropped.
	Epoch time.Time
	// Observe, unless it is nil, is called for every entry that is written. It does not change the bytes.
	Observe Observer `json:"-"`
}

// gzipLevel is klauspost's third: on Go binaries a tenth smaller than the standard library's fastest (which ko uses),
// at one and a half times its speed. See BenchmarkWrite.
const gzipLevel = 3

// Format names the bytes this version of the package writes for given entries and options. It changes whenever they
// do, so that a cache never takes old bytes for new ones.
const Format = "multiarch-layer-2"

// Write writes entries as one compressed tar to w and says what was written. It sorts the entries, adds the parent
// directories that are missing, and refuses two different entries of one path, as well as a file whose content is not
// what its entry says. On an error, what w has received is not a layer.
func Write(ctx context.Context, w io.Writer, entries []Entry, o Options) (Descriptor, error) {
	entries, err := arrange(entries, o.OS)
	if err != nil {
		return Descriptor{}, err
	}
	compressed := &meter{w: w, hash: sha256.New()}
	// Compressors write a few hundred bytes at a time.
	buffered := bufio.NewWriterSize(compressed, chunk)
	compressor, mediaType, err := newCompressor(buffered, o.Zstd)
	if err != nil {
		return Descriptor{}, err
	}
	plain := &meter{w: compressor, hash: sha256.New()}
	tw := tar.NewWriter(plain)
	copied := make([]byte, chunk)
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return Descriptor{}, err
		}
		if err := writeEntry(tw, e, o, copied); err != nil {
			return Descriptor{}, fmt.Errorf("writing %s to a layer: %w", e.Path, err)
		}
	}
	if err := errors.Join(tw.Close(), compressor.Close(), buffered.Flush()); err != nil {
		return Descriptor{}, fmt.Errorf("writing a layer: %w", err)
	}
	return Descriptor{mediaType, compressed.digest(), compressed.size, plain.digest()}, nil
}

func newCompressor(w io.Writer, useZstd bool) (io.WriteCloser, types.MediaType, error) {
	if useZstd {
		// One goroutine: layers are compressed side by side already, and its output is the same either way.
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true))
		return z, types.OCILayerZStd, err
	}
	z, err := gzip.NewWriterLevel(w, gzipLevel)
	return z, types.OCILayer, err
}

// xattrRecord is how the PAX record of an extended attribute begins, for every container runtime.
const xattrRecord = "SCHILY.xattr."

// windowsOwner is the security descriptor of BUILTIN/Users that every file of a windows layer carries, as ko writes it.
const windowsOwner = "AQAAgBQAAAAkAAAAAAAAAAAAAAABAgAAAAAABSAAAAAhAgAAAQIAAAAAAAUgAAAAIQIAAA=="

func writeEntry(tw *tar.Writer, e Entry, o Options, buf []byte) error {
	h := &tar.Header{Name: e.Path[1:], Mode: int64(e.Mode), Uid: e.UID, Gid: e.GID, ModTime: o.Epoch.Truncate(time.Second)}
	if !e.ModTime.IsZero() {
		h.ModTime = e.ModTime
	}
	for name, value := range e.Xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[xattrRecord+name] = string(value)
	}
	if h.PAXRecords != nil || h.ModTime.Nanosecond() != 0 {
		h.Format = tar.FormatPAX
	}
	switch e.Kind {
	case Dir:
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
	case Symlink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.Link
	case File:
		h.Typeflag, h.Size = tar.TypeReg, e.Size
	}
	if o.OS == windows {
		h.Format = tar.FormatPAX
		h.PAXRecords = map[string]string{"MSWINDOWS.rawsd": windowsOwner}
	}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	if e.Kind != File {
		if o.Observe != nil {
			o.Observe(h, strings.NewReader(""))
		}
		return nil
	}
	content, err := e.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	var to io.Writer = tw
	sum := sha256.New()
	if e.SHA256 != "" {
		to = io.MultiWriter(tw, sum)
	}
	written := &tee{from: io.LimitReader(content, e.Size+1), to: to}
	if o.Observe != nil {
		o.Observe(h, io.LimitReader(written, e.Size))
	}
	err = written.drain(buf)
	switch {
	case errors.Is(err, tar.ErrWriteTooLong), err == nil && written.n != e.Size,
		err == nil && e.SHA256 != "" && hex.EncodeToString(sum.Sum(nil)) != e.SHA256:
		return errors.New("the file changed while it was read; run the command again")
	}
	return err
}

// meter hashes and counts what passes through it.
type meter struct {
	w    io.Writer
	hash hash.Hash
	size int64
}

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	m.hash.Write(p[:n])
	m.size += int64(n)
	return n, err
}

func (m *meter) digest() v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(m.hash.Sum(nil))}
}
