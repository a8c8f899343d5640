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

// Options configures Merge.
type Options struct {
	// Slim omits files that programs do not read: documentation, translations and rare character sets. It keeps licences.
	Slim bool
	// TempDir is the directory for a temporary file with the content of all files (default: os.TempDir). The file is
	// removed at the latest when the Tree is closed.
	TempDir string

	limit int64 // unpacked bytes per package (default: maxUnpacked)
}

// Tree contains the merged files of packages.
type Tree struct {
	// Entries are sorted by path and have digests. Their contents may be read concurrently until the Tree is closed.
	Entries []layer.Entry

	spill *spill
}

// Close removes the temporary file that Entries read from.
func (t *Tree) Close() error { return t.spill.close() }

// Merge returns the files of packages, and what their maintainer scripts would create:
//
//   - directories that the script of base-files creates, or that programs expect
//   - links from /bin, /sbin and /lib* to /usr, as on every Debian system since bookworm (usrmerge), and from /var/run
//     and /var/lock to /run; files of packages below the links move to their targets
//   - for ca-certificates, a file with all certificates, and OpenSSL's link to it
//   - for base-passwd, /etc/passwd and /etc/group with the user and group nonroot, 65532
//   - /etc/os-release
//   - for scanners, the list of packages in /var/lib/dpkg/status.d, as in distroless images
//
// It does not imitate other scripts. Hard links become copies. The order of debs does not matter. File contents are not
// kept in memory. Errors are *InvalidPackageError, *ConflictError, *ChecksumError and I/O errors.
func Merge(ctx context.Context, debs []Deb, o Options) (*Tree, error) {
	s, err := newSpill(o.TempDir)
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

// item is an entry with its package.
type item struct {
	layer.Entry
	owner Package
}

type merger struct {
	spill *spill
	limit int64
	items map[string]item    // by path
	debs  map[string]Package // by name
}

func (m *merger) merge(ctx context.Context, debs []Deb, slim bool) ([]layer.Entry, error) {
	arch := ""
	for _, d := range slices.SortedStableFunc(slices.Values(debs), compareDebs) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p := d.Package
		if err := p.validate(); err != nil {
			return nil, err
		}
		if other, ok := m.debs[p.Name]; ok {
			return nil, &ConflictError{"package " + p.Name, "listed with version " + other.Version, "also with " + p.Version}
		}
		if p.Architecture != "all" {
			if arch = cmp.Or(arch, p.Architecture); arch != p.Architecture {
				return nil, &ConflictError{"package " + p.Name, "built for " + p.Architecture, "other packages for " + arch}
			}
		}
		m.debs[p.Name] = p
		if err := m.unpack(ctx, d); err != nil {
			return nil, err
		}
	}
	if err := m.spill.w.Flush(); err != nil {
		return nil, m.spill.wrap(err)
	}
	if err := m.addLayout(); err != nil {
		return nil, err
	}
	if err := m.runScripts(); err != nil {
		return nil, err
	}
	var out []layer.Entry
	for _, p := range slices.Sorted(maps.Keys(m.items)) {
		if e := m.items[p].Entry; !slim || !omittedIfSlim(e) {
			out = append(out, e)
		}
	}
	return out, nil
}

// compareDebs sorts by name and version, but base-files first, because its modes of shared directories take precedence.
func compareDebs(a, b Deb) int {
	const first = "base-files"
	switch {
	case a.Package.Name == first && b.Package.Name != first:
		return -1
	case a.Package.Name != first && b.Package.Name == first:
		return 1
	}
	return cmp.Or(cmp.Compare(a.Package.Name, b.Package.Name), cmp.Compare(a.Package.Version, b.Package.Version))
}

// unpack adds the files of a package. A wrong checksum takes precedence over errors in the content.
func (m *merger) unpack(ctx context.Context, d Deb) error {
	file, err := d.Open()
	if err != nil {
		return fmt.Errorf("opening package %s: %w", d.Package, err)
	}
	defer file.Close()
	sum := sha256.New()
	r := &countingReader{r: io.TeeReader(file, sum)}
	failed := readDeb(r, m.limit, func(c *control, files *tar.Reader) error {
		if err := c.verify(d.Package); err != nil {
			return err
		}
		m.addStatus(d.Package, c)
		return m.addFiles(ctx, d.Package, files)
	})
	if _, err := io.Copy(io.Discard, r); err != nil {
		return fmt.Errorf("reading package %s: %w", d.Package, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != d.Package.SHA256 || r.n != d.Package.Size {
		return &ChecksumError{
			What: "package " + d.Package.String(),
			Want: fmt.Sprintf("SHA-256 %s of %d bytes", d.Package.SHA256, d.Package.Size),
			Got:  fmt.Sprintf("%s of %d bytes", got, r.n),
		}
	}
	var (
		invalid  *InvalidPackageError
		conflict *ConflictError
		spill    *spillError
	)
	if failed == nil || ctx.Err() != nil ||
		errors.As(failed, &invalid) || errors.As(failed, &conflict) || errors.As(failed, &spill) {
		return failed
	}
	return &InvalidPackageError{d.Package.String(), "", failed.Error()}
}

// countingReader counts the bytes that are read.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// addFiles adds the entries of a package's data.tar.
func (m *merger) addFiles(ctx context.Context, p Package, files *tar.Reader) error {
	unpacked := map[string]layer.Entry{} // by path in the package
	remaining := m.limit
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
		if count == maxFiles {
			return &InvalidPackageError{p.String(), h.Name, fmt.Sprintf("more than %d files", maxFiles)}
		}
		e, err := entryOf(h, unpacked)
		if err != nil {
			return &InvalidPackageError{p.String(), h.Name, err.Error()}
		}
		e.From = p.String() + ": " + h.Name
		if h.Typeflag == tar.TypeReg {
			// A sparse file is larger than its part of the tar file, so the limit on the tar file does not cover it.
			if remaining -= h.Size; remaining < 0 {
				return errTooLarge
			}
			if err := m.spill.add(&e, files); err != nil {
				return err
			}
		}
		unpacked[e.Path] = e
		if err := m.add(p, e); err != nil {
			return err
		}
	}
}

// entryOf converts a tar header to an entry, without the content of a regular file. unpacked contains the preceding
// entries, which hard links may refer to.
func entryOf(h *tar.Header, unpacked map[string]layer.Entry) (layer.Entry, error) {
	at, err := imagePath(h.Name)
	if err != nil {
		return layer.Entry{}, err
	}
	if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) >= 1<<32 || int64(h.Gid) >= 1<<32 {
		return layer.Entry{}, fmt.Errorf("invalid owner %d:%d", h.Uid, h.Gid)
	}
	e := layer.Entry{Path: at, Mode: uint32(h.Mode) & 0o7777, UID: h.Uid, GID: h.Gid}
	switch h.Typeflag {
	case tar.TypeDir:
		e.Kind = layer.Dir
	case tar.TypeReg:
		e.Kind = layer.File
	case tar.TypeSymlink:
		if err := validateLink(at, h.Linkname); err != nil {
			return layer.Entry{}, err
		}
		e.Kind, e.Mode, e.Link = layer.Symlink, 0o777, h.Linkname
	case tar.TypeLink:
		target, err := imagePath(h.Linkname)
		if err != nil {
			return layer.Entry{}, fmt.Errorf("hard link to %q: %w", h.Linkname, err)
		}
		file, ok := unpacked[target]
		if !ok || file.Kind != layer.File {
			return layer.Entry{}, fmt.Errorf("hard link to %q, which is not a preceding file of the package", h.Linkname)
		}
		e = file
		e.Path = at
	default:
		return layer.Entry{}, fmt.Errorf("unsupported file type %q", h.Typeflag)
	}
	return e, nil
}

// add adds an entry of a package at its path in the image.
func (m *merger) add(p Package, e layer.Entry) error {
	if e.Path == "/" {
		return nil
	}
	var err error
	if e.Path, err = followDirLinks(e); err != nil {
		return &InvalidPackageError{p.String(), e.Path, err.Error()}
	}
	have, ok := m.items[e.Path]
	switch {
	case !ok:
		m.items[e.Path] = item{e, p}
	case have.Kind == layer.Dir && e.Kind == layer.Dir:
	case !equal(have.Entry, e):
		return &ConflictError{e.Path, describe(have), describe(item{e, p})}
	}
	return nil
}

func equal(a, b layer.Entry) bool {
	return a.Kind == b.Kind && a.Mode == b.Mode && a.UID == b.UID && a.GID == b.GID && a.Link == b.Link &&
		a.SHA256 == b.SHA256
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
