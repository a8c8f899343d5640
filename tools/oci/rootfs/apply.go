package rootfs

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// The names that remove files of lower layers: image spec, "Whiteouts".
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

const (
	xattr      = "SCHILY.xattr." // PAX records of extended attributes
	maxEntries = 8 << 20         // above any real image, and fits in memory
	maxPath    = 4096            // as in Linux
)

// Apply applies a layer to the tree: a tar, optionally compressed with gzip or zstd. It reads the layer once, to the
// end. After an error, the tree is unchanged.
func (t *Tree) Apply(layer io.Reader) error {
	plain, err := decompress(layer)
	if err != nil {
		return err
	}
	defer plain.Close()
	a := applier{tree: t}
	if err := a.read(tar.NewReader(plain)); err != nil {
		return err
	}
	// The layer may continue after the archive, and a reader that checks the digest needs all bytes.
	if _, err := io.Copy(io.Discard, plain); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, layer); err != nil {
		return err
	}
	a.apply()
	return nil
}

func decompress(r io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	magic, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case strings.HasPrefix(string(magic), "\x1f\x8b"):
		return gzip.NewReader(buffered)
	case string(magic) == "\x28\xb5\x2f\xfd":
		z, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(buffered), nil
}

// applier collects the entries of a layer. Whiteouts affect only lower layers, wherever they are in the tar, so they
// are applied first.
type applier struct {
	tree    *Tree
	removed []removal
	entries []entry
}

type removal struct {
	path   string // removed, or emptied if opaque is true
	opaque bool
}

type entry struct {
	path     string
	node     Node
	hardlink string // the path of the linked file
}

func (a *applier) read(r *tar.Reader) error {
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return fmt.Errorf("reading a layer: %w", err)
		}
		if len(a.entries)+len(a.removed) == maxEntries {
			return fmt.Errorf("reading a layer: it has more than %d entries", maxEntries)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		p := path.Clean("/" + h.Name)
		if len(p) > maxPath {
			return fmt.Errorf("reading a layer: a path is %d bytes long", len(p))
		}
		dir, name := path.Split(p)
		switch {
		case name == opaque:
			a.removed = append(a.removed, removal{path.Clean(dir), true})
			continue
		case strings.HasPrefix(name, whiteout+whiteout): // metadata of aufs
			continue
		case strings.HasPrefix(name, whiteout):
			if hidden := name[len(whiteout):]; hidden != "" && hidden != "." && hidden != ".." {
				a.removed = append(a.removed, removal{path.Join(dir, hidden), false})
			}
			continue
		}
		e := entry{path: p}
		switch h.Typeflag {
		case tar.TypeDir:
			e.node = Node{
				Kind:    Dir,
				Mode:    uint32(h.Mode) & 0o7777,
				UID:     h.Uid,
				GID:     h.Gid,
				ModTime: h.ModTime.UTC(),
				Xattrs:  xattrs(h),
			}
		case tar.TypeSymlink:
			e.node = Node{Kind: Symlink, Link: h.Linkname}
		case tar.TypeLink:
			e.hardlink = path.Clean("/" + h.Linkname)
		default:
			if IsUserList(p) && h.Size <= MaxUserList {
				content, err := io.ReadAll(r)
				if err != nil {
					return fmt.Errorf("reading %s in a layer: %w", p, err)
				}
				e.node.Content = string(content)
			}
		}
		a.entries = append(a.entries, e)
	}
}

func xattrs(h *tar.Header) map[string]string {
	var all map[string]string
	for key, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(key, xattr); ok {
			if all == nil {
				all = map[string]string{}
			}
			all[name] = value
		}
	}
	return all
}

// apply changes the tree as unpacking the layer over the lower ones would: links in parents are followed, and the entry
// replaces the existing one, except that directories keep their content.
func (a *applier) apply() {
	for _, r := range a.removed {
		if r.opaque {
			if _, n, err := a.tree.Resolve(r.path, true); err == nil && n != nil {
				clear(n.children)
			}
		} else if p, err := a.tree.Parent(r.path); err == nil {
			a.tree.remove(p)
		}
	}
	for _, e := range a.entries {
		if e.path == "/" {
			if e.node.Kind == Dir {
				a.tree.Put("/", e.node)
			}
			continue
		}
		if e.hardlink != "" {
			if p, err := a.tree.Parent(e.hardlink); err == nil {
				if n := a.tree.Lstat(p); n != nil && n.Kind != Dir {
					e.node = *n
				}
			}
		}
		p, err := a.tree.Parent(e.path)
		if err != nil {
			p = e.path // a parent is a file or a loop, which the entry replaces
		}
		a.tree.Put(p, e.node)
	}
}
