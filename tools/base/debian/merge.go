package debian

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

// Options say how packages are merged.
type Options struct {
	// Slim leaves out what programs do not read: documentation, translations, rare character sets. Licences stay.
	Slim bool
	// Spill is the folder for a file with the content of all files, uncompressed; "" is the system's for such files. It
	// is gone when the Tree is closed.
	Spill string

	limit int64 // on what a package unpacks to; 0 means maxUnpacked
}

// Tree is what some packages put into an image.
type Tree struct {
	// Entries are sorted by path, and come with their digests. Their contents can be read until the Tree is closed, at
	// the same time by several readers.
	Entries []layer.Entry

	spill *spill
}

// Close removes what Entries read from.
func (t *Tree) Close() error { return t.spill.close() }

// Merge returns the files of some packages, with what their scripts would have done to them:
//
//   - the directories that base-files' script makes, and those that programs expect;
//   - /bin, /sbin and /lib* are links to /usr, and what packages have below them is there: what usrmerge has done to
//     every Debian system since bookworm; /var/run and /var/lock are links to /run;
//   - ca-certificates: one file of all certificates, and OpenSSL's link to it;
//   - base-passwd: /etc/passwd and /etc/group, with the user and group nonroot, 65532;
//   - /etc/os-release;
//   - for scanners, the packages as distroless images list them: /var/lib/dpkg/status.d.
//
// Other scripts have no counterpart. Hard links become copies. The order of debs plays no part, and no file's content
// is kept in memory. An error is a *HostileError, a *ConflictError or a *ChecksumError, or one of the machine's.
func Merge(ctx context.Context, debs []Deb, o Options) (*Tree, error) {
	s, err := newSpill(o.Spill)
	if err != nil {
		return nil, err
	}
	m := &merger{spill: s, limit: cmp.Or(o.limit, maxUnpacked), items: map[string]item{}, debs: map[string]Package{}}
	entries, err := m.merge(ctx, debs, o.Slim)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return &Tree{entries, s}, nil
}

// item is an entry and whose it is.
type item struct {
	layer.Entry
	owner Package
}

type merger struct {
	spill *spill
	limit int64
	items map[string]item
	debs  map[string]Package // by name
}

func (m *merger) merge(ctx context.Context, debs []Deb, slim bool) ([]layer.Entry, error) {
	// base-files comes first: of directories that several packages have, its modes count.
	debs = slices.SortedStableFunc(slices.Values(debs), func(a, b Deb) int {
		if (a.Package.Name == "base-files") != (b.Package.Name == "base-files") {
			if a.Package.Name == "base-files" {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Package.Name, b.Package.Name), cmp.Compare(a.Package.Version, b.Package.Version))
	})
	arch := ""
	for _, d := range debs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p := d.Package
		if err := p.check(); err != nil {
			return nil, err
		}
		if other, ok := m.debs[p.Name]; ok {
			return nil, &ConflictError{"package " + p.Name, "version " + other.Version, "also version " + p.Version}
		}
		if p.Architecture != "all" {
			if arch = cmp.Or(arch, p.Architecture); arch != p.Architecture {
				return nil, &ConflictError{"package " + p.Name, "it is for " + p.Architecture, "others are for " + arch}
			}
		}
		m.debs[p.Name] = p
		if err := m.unpack(ctx, d); err != nil {
			return nil, err
		}
	}
	if err := m.spill.w.Flush(); err != nil {
		return nil, m.spill.failed(err)
	}
	if err := m.layout(); err != nil {
		return nil, err
	}
	if err := m.scripts(); err != nil {
		return nil, err
	}
	var out []layer.Entry
	for _, p := range slices.Sorted(maps.Keys(m.items)) {
		if e := m.items[p].Entry; !slim || !superfluous(e) {
			out = append(out, e)
		}
	}
	return out, nil
}

// unpack takes in a package. What is wrong with its bytes is said before what is wrong with what they mean.
func (m *merger) unpack(ctx context.Context, d Deb) error {
	file, err := d.Open()
	if err != nil {
		return fmt.Errorf("opening package %s: %w", d.Package, err)
	}
	defer file.Close()
	sum := sha256.New()
	r := &counted{r: io.TeeReader(file, sum)}
	failed := readDeb(r, m.limit, func(c *control, files *tar.Reader) error {
		if err := c.is(d.Package); err != nil {
			return err
		}
		m.status(d.Package, c)
		return m.files(ctx, d.Package, files)
	})
	if _, err := io.Copy(io.Discard, r); err != nil {
		return fmt.Errorf("reading package %s: %w", d.Package, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != d.Package.SHA256 || r.n != d.Package.Size {
		return &ChecksumError{
			What: "package " + d.Package.String(),
			Want: fmt.Sprintf("SHA-256 %s, of %d bytes", d.Package.SHA256, d.Package.Size),
			Got:  fmt.Sprintf("%s, of %d bytes", got, r.n),
		}
	}
	var (
		hostile  *HostileError
		conflict *ConflictError
		machine  *spillError
	)
	if failed == nil || ctx.Err() != nil || errors.As(failed, &hostile) || errors.As(failed, &conflict) || errors.As(failed, &machine) {
		return failed
	}
	return &HostileError{d.Package.String(), "", failed.Error()}
}

// counted counts what is read.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// files takes in the files of a package.
func (m *merger) files(ctx context.Context, p Package, files *tar.Reader) error {
	own := map[string]layer.Entry{} // by their path in the package
	left := m.limit
	for count := 0; ; count++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		fail := func(format string, args ...any) error {
			return &HostileError{p.String(), h.Name, fmt.Errorf(format, args...).Error()}
		}
		if count == maxFiles {
			return fail("the package has more than %d files", maxFiles)
		}
		at, err := inRoot(h.Name)
		if err != nil {
			return fail("%w", err)
		}
		if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) >= 1<<32 || int64(h.Gid) >= 1<<32 {
			return fail("owner %d:%d", h.Uid, h.Gid)
		}
		e := layer.Entry{
			Path: at, Mode: uint32(h.Mode) & 0o7777, UID: h.Uid, GID: h.Gid,
			From: p.String() + ": " + h.Name,
		}
		switch h.Typeflag {
		case tar.TypeDir:
			e.Kind = layer.Dir
		case tar.TypeReg:
			// A file with holes is larger than what is packed, so that the limit on that does not hold for it.
			if left -= h.Size; left < 0 {
				return errTooLarge
			}
			if err := m.spill.add(&e, files); err != nil {
				return err
			}
		case tar.TypeSymlink:
			if err := checkLink(at, h.Linkname); err != nil {
				return fail("%w", err)
			}
			e.Kind, e.Mode, e.Link = layer.Symlink, 0o777, h.Linkname
		case tar.TypeLink:
			target, err := inRoot(h.Linkname)
			if err != nil {
				return fail("a hard link to %q: %w", h.Linkname, err)
			}
			of, ok := own[target]
			if !ok || of.Kind != layer.File {
				return fail("a hard link to %q, which is no file before it in the package", h.Linkname)
			}
			of.Path, of.From = e.Path, e.From
			e = of
		default:
			return fail("neither a file, a directory nor a link, but of type %q", h.Typeflag)
		}
		own[at] = e
		if err := m.place(p, e); err != nil {
			return err
		}
	}
}

// place puts an entry where it belongs.
func (m *merger) place(p Package, e layer.Entry) error {
	if e.Path == "/" {
		return nil
	}
	var err error
	if e.Path, err = moved(e); err != nil {
		return &HostileError{p.String(), e.Path, err.Error()}
	}
	have, ok := m.items[e.Path]
	switch {
	case !ok:
		m.items[e.Path] = item{e, p}
	case have.Kind == layer.Dir && e.Kind == layer.Dir:
	case have.Kind == e.Kind && have.Mode == e.Mode && have.UID == e.UID && have.GID == e.GID && have.Link == e.Link && have.SHA256 == e.SHA256:
	default:
		return &ConflictError{e.Path, describe(have), describe(item{e, p})}
	}
	return nil
}

func describe(i item) string {
	text := fmt.Sprintf("package %s has a %s", i.owner, i.Kind)
	switch i.Kind {
	case layer.Symlink:
		return text + " to " + i.Link
	case layer.File:
		return fmt.Sprintf("%s of %d bytes, mode %#o, SHA-256 %.12s", text, i.Size, i.Mode, i.SHA256)
	}
	return text
}
