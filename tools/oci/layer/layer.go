// Package layer writes layers: entries for files, directories and links become one deterministic
// compressed tar, with its digest, diffID and size computed in the same pass. The same entries
// produce the same bytes on every machine; the bytes depend only on this package and the versions
// in go.sum. Collect lists the files of a source tree, Place and Stack merge entries with the file
// system of a base image, and Write writes the layer.
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

// Descriptor describes a written layer.
type Descriptor struct {
	MediaType types.MediaType `json:"mediaType"`
	Digest    v1.Hash         `json:"digest"` // of the compressed bytes
	Size      int64           `json:"size"`   // of the compressed bytes
	DiffID    v1.Hash         `json:"diffID"` // of the tar
}

// Options affect a layer's bytes, in addition to its entries.
type Options struct {
	// OS is the operating system of the image. Windows layers have a different structure.
	OS string
	// Zstd selects zstd instead of gzip.
	Zstd bool
	// Epoch is the modification time of every entry, truncated to seconds.
	Epoch time.Time
	// Observe, if not nil, is called for every entry that is written. It does not affect the bytes.
	Observe Observer `json:"-"`
}

// gzipLevel is level 3 of klauspost/compress. On Go binaries its output is a tenth smaller than
// that of the standard library's fastest level, which ko uses, and it is one and a half times as
// fast. See BenchmarkWrite.
const gzipLevel = 3

// Format identifies the bytes that this version writes for given entries and options. It changes
// whenever they do, so that caches never return outdated layers.
const Format = "multiarch-layer-2"

// Write writes entries as one compressed tar to w and returns its descriptor. It sorts the entries
// and adds missing parent directories. It fails on two different entries with the same path, and on
// files whose content does not match the entry. After an error, w holds an incomplete layer.
func Write(ctx context.Context, w io.Writer, entries []Entry, o Options) (Descriptor, error) {
	entries, err := arrange(entries, o.OS)
	if err != nil {
		return Descriptor{}, err
	}
	compressed := &hashWriter{w: w, hash: sha256.New()}
	// Compressors write in pieces of a few hundred bytes.
	buffered := bufio.NewWriterSize(compressed, chunk)
	compressor, mediaType, err := newCompressor(buffered, o.Zstd)
	if err != nil {
		return Descriptor{}, err
	}
	plain := &hashWriter{w: compressor, hash: sha256.New()}
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
		// One goroutine is enough: layers are compressed in parallel, and the output is the same.
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true))
		return z, types.OCILayerZStd, err
	}
	z, err := gzip.NewWriterLevel(w, gzipLevel)
	return z, types.OCILayer, err
}

// xattrRecord is the prefix of PAX records for extended attributes, as all container runtimes
// expect it.
const xattrRecord = "SCHILY.xattr."

// windowsOwner is the security descriptor of BUILTIN/Users for the files of a Windows layer, as ko
// writes it.
const windowsOwner = "AQAAgBQAAAAkAAAAAAAAAAAAAAABAgAAAAAABSAAAAAhAgAAAQIAAAAAAAUgAAAAIQIAAA=="

func writeEntry(tw *tar.Writer, e Entry, o Options, buf []byte) error {
	h := &tar.Header{Name: e.Path[1:], Mode: int64(e.Mode), Uid: e.UID, Gid: e.GID,
		ModTime: o.Epoch.Truncate(time.Second)}
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

// hashWriter hashes and counts the bytes written to it.
type hashWriter struct {
	w    io.Writer
	hash hash.Hash
	size int64
}

func (m *hashWriter) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	m.hash.Write(p[:n])
	m.size += int64(n)
	return n, err
}

func (m *hashWriter) digest() v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(m.hash.Sum(nil))}
}
