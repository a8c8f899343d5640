package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
	"github.com/multiarch-build/multiarch/tools/oci/rootfs"
)

// archive is a tar archive, such as one of pkg_tar.
type archive struct {
	file     string
	plain    *os.File // the uncompressed archive
	spilled  bool     // whether plain is a temporary file
	entries  []layer.Entry
	programs []*program
}

// openArchive reads the entries of an archive, which may be compressed with gzip or zstd. It keeps the uncompressed
// archive in the directory spill until it is closed.
func openArchive(file, spill string) (*archive, error) {
	a := &archive{file: file}
	if err := a.open(spill); err != nil {
		return nil, errors.Join(fmt.Errorf("reading %s: %w", file, err), a.Close())
	}
	if err := a.read(); err != nil {
		return nil, errors.Join(fmt.Errorf("reading %s: %w", file, err), a.Close())
	}
	return a, nil
}

// Close removes the temporary file.
func (a *archive) Close() error {
	if a.plain == nil {
		return nil
	}
	err := a.plain.Close()
	if a.spilled {
		err = errors.Join(err, os.Remove(a.plain.Name()))
	}
	return err
}

func (a *archive) open(spill string) error {
	from, err := os.Open(a.file)
	if err != nil {
		return err
	}
	head := make([]byte, 4)
	n, err := from.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return errors.Join(err, from.Close())
	}
	var r io.ReadCloser
	switch head = head[:n]; {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		r, err = gzip.NewReader(from)
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		var z *zstd.Decoder
		if z, err = zstd.NewReader(from, zstd.WithDecoderConcurrency(1)); err == nil {
			r = z.IOReadCloser()
		}
	default:
		a.plain = from
		return nil
	}
	defer from.Close()
	if err != nil {
		return err
	}
	defer r.Close()
	a.spilled = true
	if a.plain, err = os.CreateTemp(spill, filepath.Base(a.file)+".*"); err != nil {
		return err
	}
	if _, err = io.Copy(a.plain, r); err != nil {
		return err
	}
	_, err = a.plain.Seek(0, io.SeekStart)
	return err
}

// read reads all entries. Of several entries for a path, the last one applies.
func (a *archive) read() error {
	at := map[string]int{}
	for r := tar.NewReader(a.plain); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return err
		}
		e := layer.Entry{
			Path: path.Clean("/" + h.Name), Mode: uint32(h.Mode) & 0o7777, UID: h.Uid, GID: h.Gid, From: a.file,
		}
		if e.Path == "/" || h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		for key, value := range h.PAXRecords {
			if name, ok := strings.CutPrefix(key, "SCHILY.xattr."); ok {
				if e.Xattrs == nil {
					e.Xattrs = map[string][]byte{}
				}
				e.Xattrs[name] = []byte(value)
			}
		}
		switch h.Typeflag {
		case tar.TypeDir:
			e.Kind = layer.Dir
		case tar.TypeSymlink:
			e.Kind, e.Mode, e.Link = layer.Symlink, 0o777, h.Linkname
		case tar.TypeLink:
			n, ok := at[path.Clean("/"+h.Linkname)]
			if !ok {
				return fmt.Errorf("%s is a link to %s, which is not in the archive", h.Name, h.Linkname)
			}
			linked := a.entries[n]
			linked.Path = e.Path
			e = linked
		case tar.TypeReg:
			if err := a.add(&e, h.Size); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s is neither a file, a directory nor a link", h.Name)
		}
		if n, ok := at[e.Path]; ok {
			a.entries[n] = e
			continue
		}
		at[e.Path] = len(a.entries)
		a.entries = append(a.entries, e)
	}
}

// add sets the content of a file, which starts at the current offset.
func (a *archive) add(e *layer.Entry, size int64) error {
	start, err := a.plain.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	e.Kind, e.Size = layer.File, size
	e.Contents = func() (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(a.plain, start, size)), nil
	}
	if e.Mode&0o111 == 0 {
		return nil
	}
	head := make([]byte, min(size, arch.HeaderSize))
	if _, err := a.plain.ReadAt(head, start); err != nil {
		return err
	}
	if p := identify(head); p != nil {
		p.Path, p.From = e.Path, a.file
		a.programs = append(a.programs, p)
	}
	return nil
}

// tree returns the file system of the archive.
func (a *archive) tree() (*rootfs.Tree, error) {
	if _, err := a.plain.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	tree := rootfs.New()
	return tree, tree.Apply(a.plain)
}

// copyTo writes the archive as a layer without changing its bytes. It compresses an archive that is not compressed.
func (a *archive) copyTo(ctx context.Context, w io.Writer, useZstd bool) (layer.Descriptor, error) {
	if _, err := a.plain.Seek(0, io.SeekStart); err != nil {
		return layer.Descriptor{}, err
	}
	if !a.spilled {
		return layer.WriteTar(ctx, w, a.plain, useZstd)
	}
	from, err := os.Open(a.file)
	if err != nil {
		return layer.Descriptor{}, err
	}
	defer from.Close()
	return layer.CopyTar(ctx, w, from, a.plain)
}
