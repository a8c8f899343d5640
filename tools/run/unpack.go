package run

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// unpack applies the image's layers to the tree, from the first to the last, and compares each with its digest and its
// diffID.
//
// go-containerregistry's mutate.Extract is not used although it flattens layers: it goes from the last to the first,
// so that a hard link comes before its target, and a file written through a link of a lower layer (bin -> usr/bin)
// before the link.
func (t *tree) unpack(ctx context.Context, img v1.Image) error {
	layers, err := blobs(img)
	if err != nil {
		return err
	}
	for i, l := range layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.read(ctx, func(content io.Reader) error { return t.layer(ctx, content) }); err != nil {
			return fmt.Errorf("unpacking layer %d of %d: %w", i+1, len(layers), err)
		}
	}
	return nil
}

func (t *tree) layer(ctx context.Context, r io.Reader) error {
	c := changeset{tree: t, own: map[string]bool{}}
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.apply(h, cancelable{ctx, in}); err != nil {
			return fmt.Errorf("%q: %w", h.Name, err)
		}
	}
}

// cancelable stops reading when its context ends.
type cancelable struct {
	ctx context.Context
	r   io.Reader
}

func (c cancelable) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}

// changeset is a layer being applied. Image spec, "Image Layer Filesystem Changeset".
type changeset struct {
	*tree
	// own holds what this layer has written, and the directories above it: whiteouts hide lower layers only.
	own map[string]bool
}

const (
	whiteout       = ".wh."         // in front of the name of what is hidden
	whiteoutOpaque = ".wh..wh..opq" // hides everything in its directory
	whiteoutMeta   = ".wh..wh."     // in front of everything else that AUFS kept for itself
)

func (c changeset) apply(h *tar.Header, body io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	for part := range strings.SplitSeq(h.Name, "/") {
		if part == ".." {
			return errors.New("the name escapes its directory")
		}
	}
	at, err := c.locate(h.Name)
	if err != nil {
		return err
	}
	dir, base := path.Split(at)
	switch hidden, isWhiteout := strings.CutPrefix(base, whiteout); {
	case base == whiteoutOpaque:
		return c.hide(path.Clean(dir))
	case strings.HasPrefix(base, whiteoutMeta):
		return nil
	case isWhiteout && (hidden == "" || hidden == "." || hidden == ".."):
		return errors.New("invalid whiteout: no file name")
	case isWhiteout:
		return c.remove(path.Join(dir, hidden))
	}
	if err := c.write(h, at, body); err != nil {
		return err
	}
	for ; at != "."; at = path.Dir(at) {
		c.own[at] = true
	}
	return nil
}

// remove removes what lower layers have put at a place, with everything below it.
func (c changeset) remove(at string) error {
	if !c.own[at] {
		return c.root.RemoveAll(at)
	}
	info, err := c.root.Lstat(at)
	if err != nil || !info.IsDir() {
		return err
	}
	return c.hide(at)
}

// hide removes what lower layers have put into a directory.
func (c changeset) hide(dir string) error {
	entries, err := fs.ReadDir(c.root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := c.remove(path.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// write makes the entry. Devices, sockets and pipes are left out: programs get their devices from this machine.
func (c changeset) write(h *tar.Header, at string, body io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir, tar.TypeReg, tar.TypeLink, tar.TypeSymlink, tar.TypeGNUSparse:
	default:
		return nil
	}
	if err := c.root.MkdirAll(path.Dir(at), 0o755); err != nil {
		return err
	}
	var target string // of a hard link, resolved before an entry in its way is removed
	if h.Typeflag == tar.TypeLink {
		var err error
		if target, err = c.locate(h.Linkname); err != nil {
			return err
		}
		if target == at {
			return nil
		}
		if _, err := c.root.Lstat(target); err != nil {
			return fmt.Errorf("hard link to %q: %w", h.Linkname, err)
		}
	}
	// An entry replaces what was there, except that a directory keeps its content for another directory.
	if info, err := c.root.Lstat(at); err == nil && !(info.IsDir() && h.Typeflag == tar.TypeDir) {
		if at == "." {
			return errors.New("the root is not a directory")
		}
		if err := c.root.RemoveAll(at); err != nil {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if err := c.root.MkdirAll(at, 0o755); err != nil {
			return err
		}
		return c.attributes(h, at)
	case tar.TypeSymlink:
		if err := c.root.Symlink(h.Linkname, at); err != nil || !c.owners {
			return err
		}
		return c.root.Lchown(at, h.Uid, h.Gid)
	case tar.TypeLink:
		return c.root.Link(target, at)
	}
	return c.file(h, at, body)
}

func (c changeset) file(h *tar.Header, at string, body io.Reader) (err error) {
	f, err := c.root.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, body)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := c.attributes(h, at); err != nil {
		return err
	}
	// Python compares a source's time with the one in its compiled form.
	return c.root.Chtimes(at, h.ModTime, h.ModTime)
}

// attributes sets owner and mode. Set-user-ID and set-group-ID bits are dropped: an image must not raise
// privileges, and programs start in a way that ignores the bits.
func (c changeset) attributes(h *tar.Header, at string) error {
	mode := h.FileInfo().Mode() & (fs.ModePerm | fs.ModeSticky)
	if !h.FileInfo().IsDir() {
		mode &= fs.ModePerm
	}
	if c.owners {
		if err := c.root.Lchown(at, h.Uid, h.Gid); err != nil {
			return err
		}
	} else {
		// Everything belongs to us, who must be able to read it, and to write and remove what is in directories.
		mode |= 0o400
		if h.FileInfo().IsDir() {
			mode |= 0o700
		}
	}
	return c.root.Chmod(at, mode)
}
