package verify

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/oci/blob"
	"github.com/multiarch-build/multiarch/tools/oci/source"
)

// layerContents describes the files of a layer, as far as the checks need them.
type layerContents struct {
	blob.Measurement
	// readError is set if the blob could not be read because of a defect of the image. All other fields are then empty.
	readError error
	// entries are the files by absolute path, except those in plain.
	entries map[string]entry
	plain   plainFiles
	// foldedPlain is plain for a Windows file system, with lower-case names.
	foldedPlain plainFiles
	// whiteouts are the paths that the layer removes from lower layers, opaque the directories whose lower content it
	// hides (image spec, "Whiteouts").
	whiteouts, opaque map[string]bool
	// programs are the executable files, libraries the shared libraries that are not executable.
	programs, libraries []*program
	budget              int
}

// fileKind is the type of a file.
type fileKind byte

const (
	directory fileKind = iota + 1
	regular
	symlink
	hardlink // to a file of a lower layer; other hard links are copies of the entry they refer to
	special
)

// entry is a file of a layer.
type entry struct {
	kind fileKind
	// executable is set if the mode of the file has an execute bit.
	executable bool
	// library is set for files with the name of a shared library.
	library bool
	// implied directories have no entry in the tar archive.
	implied bool
	target  string
	// program is set for programs and libraries in a known format.
	program *program
	// text is the content of the files that textFile selects.
	text *string
}

// entryBudget is the approximate memory, in bytes, for the files of a layer: 700,000 directories, links and programs
// with names of ordinary length, or 4 million other files. entryCost is the memory of an entry without its name.
const (
	entryBudget = 96 << 20
	entryCost   = 96
)

var errTooManyFiles = errors.New("it has more than 4,000,000 files, or 700,000 directories, links and programs")

func newLayerContents() *layerContents {
	return &layerContents{
		entries: map[string]entry{}, plain: plainFiles{}, foldedPlain: plainFiles{}, whiteouts: map[string]bool{},
		opaque: map[string]bool{}, budget: entryBudget,
	}
}

// readLayer reads a layer. If e is nil, it only measures the blob. An error means that the layer could not be read, and
// that this is not a defect of the image.
func readLayer(ctx context.Context, s *source.Source, img v1.Image, d v1.Descriptor,
	e *examiner) (*layerContents, error) {
	c := newLayerContents()
	err := func() error {
		layer, err := img.LayerByDigest(d.Digest)
		if err != nil {
			return err
		}
		stored, err := layer.Compressed()
		if err != nil {
			return err
		}
		defer stored.Close()
		var visit blob.Visitor
		if e != nil {
			visit = func(h *tar.Header, content io.Reader) error { return c.visit(h, content, e) }
		}
		c.Measurement, err = blob.Measure(ctx, stored, d.Digest, visit)
		return err
	}()
	if err != nil {
		if !s.IsDefect(ctx, err) {
			return nil, err
		}
		return &layerContents{readError: err}, nil
	}
	if e != nil && e.spoolError != nil {
		return nil, e.spoolError
	}
	return c, nil
}

// The names of whiteouts: image spec, "Whiteouts".
const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
)

// visit records a file.
func (c *layerContents) visit(h *tar.Header, content io.Reader, e *examiner) error {
	name := path.Clean("/" + h.Name)
	dir, base := path.Split(name)
	dir = path.Clean(dir)
	switch {
	case base == opaqueName:
		c.opaque[dir] = true
		return c.spend(dir)
	case strings.HasPrefix(base, whiteoutPrefix+whiteoutPrefix):
		return nil // metadata of AUFS
	case strings.HasPrefix(base, whiteoutPrefix):
		if hidden := strings.TrimPrefix(base, whiteoutPrefix); hidden != "" && hidden != "." && hidden != ".." {
			c.whiteouts[path.Join(dir, hidden)] = true
		}
		return c.spend(name)
	}
	made := entry{executable: h.Mode&0o111 != 0}
	switch h.Typeflag {
	case tar.TypeDir:
		made.kind = directory
	case tar.TypeReg, tar.TypeGNUSparse:
		made.kind, made.library = regular, libraryName(name)
		if err := c.readRegular(&made, name, h, content, e); err != nil {
			return err
		}
	case tar.TypeSymlink:
		made.kind, made.target = symlink, h.Linkname
	case tar.TypeLink:
		made.kind, made.target = hardlink, path.Clean("/"+h.Linkname)
		if to, ok := c.at(made.target); ok && to.kind != directory {
			made = to
		}
	case tar.TypeXGlobalHeader:
		return nil
	default:
		made.kind = special
	}
	if err := c.put(name, made); err != nil {
		return err
	}
	for ; dir != "/"; dir = path.Dir(dir) {
		if _, ok := c.at(dir); ok {
			break
		}
		if err := c.put(dir, entry{kind: directory, implied: true}); err != nil {
			return err
		}
	}
	return nil
}

// put records an entry. It replaces an earlier one of the same name.
func (c *layerContents) put(name string, e entry) error {
	if e.plain() {
		delete(c.entries, name)
		c.plain.add(name, e.executable)
		if strings.HasPrefix(name, windowsFiles) {
			c.foldedPlain.add(strings.ToLower(name), e.executable)
		}
		return c.spend()
	}
	c.plain.remove(name)
	c.foldedPlain.remove(strings.ToLower(name))
	c.entries[name] = e
	return c.spend(name, e.target)
}

// at returns the entry at a path.
func (c *layerContents) at(name string) (entry, bool) {
	if e, ok := c.entries[name]; ok {
		return e, true
	}
	if executable, ok := c.plain.find(name); ok {
		return entry{kind: regular, executable: executable}, true
	}
	return entry{}, false
}

// readRegular examines a regular file if it may be a program, or if a check needs its text.
func (c *layerContents) readRegular(made *entry, name string, h *tar.Header, content io.Reader, e *examiner) error {
	switch runs := made.executable || windowsProgram(name); {
	case textFile(name):
		if h.Size > textLimit || blob.IsSparse(h) {
			return nil
		}
		raw, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		text := string(raw)
		made.text = &text
		return c.spend(text)
	case runs || libraryName(name):
		p, err := e.examine(name, h, content, runs)
		if err != nil || p == nil || !runs && p.isScript() {
			return err
		}
		if err := c.spend(p.strings()...); err != nil {
			return err
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

// spend subtracts the memory of an entry from the budget. A plain file stores no string and costs little.
func (c *layerContents) spend(strings ...string) error {
	c.budget -= plainCost
	for _, s := range strings {
		if s != "" {
			c.budget -= entryCost + len(s)
		}
	}
	if c.budget < 0 {
		return errTooManyFiles
	}
	return nil
}

// windowsProgram reports whether Windows executes a file of this name. Windows has no execute bits.
func windowsProgram(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".exe", ".com", ".dll":
		return true
	}
	return false
}
