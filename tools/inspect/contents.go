package inspect

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// contents is what a layer holds, as far as the image's file system and its programs are concerned.
type contents struct {
	measure
	// fault is why the blob could not be read, where that is the image's fault. There is nothing else then.
	fault error
	// entries has every file by its absolute path.
	entries map[string]entry
	// gone has the paths that the layer removes from the layers below it, opaque the directories of which it shows
	// nothing from below. Image spec, "Whiteouts".
	gone, opaque map[string]bool
	// programs are the executable files, libraries the shared libraries that are not executable.
	programs, libraries []*program
	room                int
}

// fileKind is what a file is.
type fileKind byte

const (
	directory fileKind = iota + 1
	regular
	symlink
	hardlink // to a file of a lower layer; others are entries like the one they link to
	special
)

// entry is a file of a layer.
type entry struct {
	kind fileKind
	// executable is set where the file's mode lets anyone execute it.
	executable bool
	// implied directories have no entry of their own in the tar.
	implied bool
	target  string
	// program is set for programs and libraries in a format we know.
	program *program
	// text is the content of a file that tells a loader where libraries are.
	text *string
}

// listLimit is how much memory, in bytes and roughly, the list of a layer's files may take: 700,000 files with names
// of ordinary length. entryCost is what a file takes besides its name.
const (
	listLimit = 96 << 20
	entryCost = 96
)

var errCrowded = errors.New("it has more files than can be examined")

// readLayer reads a layer. Without an examiner only its bytes are measured. An error means that the
// layer could not be got hold of, and that this is not the image's fault.
func readLayer(ctx context.Context, s *Source, img v1.Image, d v1.Descriptor, e *examiner) (*contents, error) {
	c := &contents{entries: map[string]entry{}, gone: map[string]bool{}, opaque: map[string]bool{}, room: listLimit}
	err := func() error {
		layer, err := img.LayerByDigest(d.Digest)
		if err != nil {
			return err
		}
		blob, err := layer.Compressed()
		if err != nil {
			return err
		}
		defer blob.Close()
		var visit visitor
		if e != nil {
			visit = func(h *tar.Header, content io.Reader) error { return c.visit(h, content, e) }
		}
		c.measure, err = walk(ctx, blob, d.Digest, visit)
		return err
	}()
	if err != nil {
		if !s.atFault(ctx, err) {
			return nil, err
		}
		return &contents{fault: err}, nil
	}
	if e != nil && e.failed != nil {
		return nil, e.failed
	}
	return c, nil
}

// The names of whiteouts: image spec, "Whiteouts".
const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
)

// visit takes note of a file.
func (c *contents) visit(h *tar.Header, content io.Reader, e *examiner) error {
	name := path.Clean("/" + h.Name)
	dir, base := path.Split(name)
	dir = path.Clean(dir)
	if !c.pay(name, h.Linkname) {
		return errCrowded
	}
	switch {
	case base == opaqueName:
		c.opaque[dir] = true
		return nil
	case strings.HasPrefix(base, whiteoutPrefix+whiteoutPrefix):
		return nil // what AUFS kept for itself
	case strings.HasPrefix(base, whiteoutPrefix):
		if hidden := strings.TrimPrefix(base, whiteoutPrefix); hidden != "" && hidden != "." && hidden != ".." {
			c.gone[path.Join(dir, hidden)] = true
		}
		return nil
	}
	made := entry{executable: h.Mode&0o111 != 0}
	switch h.Typeflag {
	case tar.TypeDir:
		made.kind = directory
	case tar.TypeReg, tar.TypeGNUSparse:
		made.kind = regular
		if err := c.regular(&made, name, h, content, e); err != nil {
			return err
		}
	case tar.TypeSymlink:
		made.kind, made.target = symlink, h.Linkname
	case tar.TypeLink:
		made.kind, made.target = hardlink, path.Clean("/"+h.Linkname)
		if to, ok := c.entries[made.target]; ok && to.kind != directory {
			made = to
		}
	case tar.TypeXGlobalHeader:
		return nil
	default:
		made.kind = special
	}
	c.entries[name] = made
	for ; dir != "/"; dir = path.Dir(dir) {
		if _, ok := c.entries[dir]; ok {
			break
		}
		if !c.pay(dir) {
			return errCrowded
		}
		c.entries[dir] = entry{kind: directory, implied: true}
	}
	return nil
}

// regular looks into a regular file, if it may be a program or has to do with what programs need.
func (c *contents) regular(made *entry, name string, h *tar.Header, content io.Reader, e *examiner) error {
	switch runs := made.executable || windowsProgram(name); {
	case loaderFile(name):
		if h.Size > loaderFileLimit || sparse(h) {
			return nil
		}
		raw, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		text := string(raw)
		if made.text = &text; !c.pay(text) {
			return errCrowded
		}
	case runs || libraryName(name):
		p, err := e.examine(name, h, content, runs)
		if err != nil || p == nil || !runs && p.script() {
			return err
		}
		for _, s := range p.strings() {
			if s != "" && !c.pay(s) {
				return errCrowded
			}
		}
		made.program = p
		if runs {
			c.programs = append(c.programs, p)
		} else {
			c.libraries = append(c.libraries, p)
		}
	}
	return nil
}

// pay takes what the strings of a file cost from the room there is, and tells whether there was enough.
func (c *contents) pay(strings ...string) bool {
	c.room -= entryCost
	for _, s := range strings {
		c.room -= len(s)
	}
	return c.room >= 0
}

// windowsProgram tells whether Windows would execute a file of that name; modes mean nothing there.
func windowsProgram(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".exe", ".com", ".dll":
		return true
	}
	return false
}
