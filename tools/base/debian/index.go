package debian

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// Size limits of an index, which is kept in memory. Debian's have 10 MB compressed and 57 MB uncompressed.
const (
	maxCompressedIndex = 256 << 20
	maxIndex           = 512 << 20
)

// Package describes a package of a suite as in lock files, which is sufficient to download it.
type Package lock.Package

func (p Package) String() string { return p.Name + " " + p.Version }

// Index lists the packages of a suite for one architecture.
type Index struct {
	suite, arch string
	packages    map[string][]*candidate // by name; one each after selectVersions
	providers   map[string][]provider   // by name of the virtual package
}

// candidate is a package with its relations.
type candidate struct {
	Package
	depends  []string // Pre-Depends and Depends, unparsed
	excludes []string // Conflicts and Breaks, unparsed
	provides string
	rank     int // lower ranks are preferred as providers
}

// provider is a package that provides a virtual package.
type provider struct {
	*candidate
	version string // provided version, "" if none
}

// compressions lists the extensions of indexes, smallest files first.
var compressions = []string{".xz", ".gz", ""}

// Index reads the package index of an architecture, which is named as in Debian, and verifies it with the checksums of
// the Release file. Errors are or wrap *UnknownError, *ChecksumError and *UnavailableError.
func (a *Archive) Index(ctx context.Context, r *Release, arch string) (*Index, error) {
	x := newIndex(a.Suite, arch)
	if err := a.readIndex(ctx, x, r, "", a.components(), nil); err != nil {
		return nil, err
	}
	x.selectVersions()
	return x, nil
}

func newIndex(suite, arch string) *Index {
	return &Index{suite: suite, arch: arch, packages: map[string][]*candidate{}, providers: map[string][]provider{}}
}

// readIndex reads the packages of components of the suite and adds them to x. name is the archive's name in the lock
// file. received, if it is set, is called with the number of bytes of each downloaded file.
func (a *Archive) readIndex(
	ctx context.Context, x *Index, r *Release, name string, components []string, received func(int64),
) error {
	var found []*candidate
	for _, component := range components {
		files := r.indexFiles(component, x.arch)
		switch {
		case len(files) > 0:
		case !slices.Contains(r.Architectures, x.arch):
			return &UnknownError{What: "architecture", Name: x.arch, In: "suite " + a.Suite, Known: r.Architectures}
		default:
			return &UnknownError{What: "component", Name: component, In: "suite " + a.Suite, Known: r.Components}
		}
		what := fmt.Sprintf("the package index of suite %s, component %s, for %s", a.Suite, component, x.arch)
		reader := indexReader{Archive: a, release: r, files: files, partial: map[string][]byte{}, received: received}
		err := a.tryMirrors(ctx, what, a.Mirrors, func(mirror string) error {
			text, err := reader.read(ctx, mirror)
			if err != nil {
				return err
			}
			read, err := x.parse(what, text, name)
			found = append(found, read...)
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, c := range found {
		x.packages[c.Name] = append(x.packages[c.Name], c)
	}
	return nil
}

// indexFiles returns the files with an index, smallest first. They contain the same text with different compressions,
// of which a mirror may lack some.
func (r *Release) indexFiles(component, arch string) []string {
	name := component + "/binary-" + arch + "/Packages"
	var files []string
	for _, c := range compressions {
		if _, ok := r.files[name+c]; ok {
			files = append(files, name+c)
		}
	}
	return files
}

// indexReader reads one index with several attempts and mirrors.
type indexReader struct {
	*Archive
	release  *Release
	files    []string
	partial  map[string][]byte // incomplete downloads by URL
	received func(int64)
}

// read reads the first of the files that a mirror has.
func (x *indexReader) read(ctx context.Context, mirror string) ([]byte, error) {
	var failed error
	for _, file := range x.files {
		want := x.release.files[file]
		if want.size > maxCompressedIndex {
			limit := fmt.Sprintf("at most %d bytes", maxCompressedIndex)
			return nil, &ChecksumError{What: file, Want: limit, Got: strconv.FormatInt(want.size, 10)}
		}
		for _, p := range x.paths(file) {
			raw, err := x.readFile(ctx, mirror, p, x.partial[mirror+p], want.size)
			var status *statusError
			if errors.As(err, &status) && (status.code == http.StatusNotFound || status.code == http.StatusForbidden) {
				failed = err
				continue
			}
			if err != nil {
				x.partial[mirror+p] = raw
				return nil, err
			}
			if err := verifyChecksum(p, raw, want); err != nil {
				return nil, err
			}
			if x.received != nil {
				x.received(want.size)
			}
			return decompressIndex(file, raw)
		}
	}
	return nil, failed
}

// paths returns the paths of a file below the mirror. The path with the digest comes first, because its content does
// not change while the mirror is being updated.
func (x *indexReader) paths(file string) []string {
	dists := "dists/" + x.Suite + "/"
	if !x.release.byHash {
		return []string{dists + file}
	}
	return []string{dists + path.Dir(file) + "/by-hash/SHA256/" + x.release.files[file].sha256, dists + file}
}

func verifyChecksum(what string, raw []byte, want fileInfo) error {
	sum := sha256.Sum256(raw)
	if got := hex.EncodeToString(sum[:]); got != want.sha256 {
		return &ChecksumError{
			What: what, Want: "SHA-256 " + want.sha256, Got: fmt.Sprintf("%s of %d bytes", got, len(raw)),
		}
	}
	return nil
}

func decompressIndex(file string, raw []byte) ([]byte, error) {
	r, err := decompress(file, bytes.NewReader(raw))
	if err != nil {
		return nil, &formatError{what: file, err: "decompressing: " + err.Error()}
	}
	defer r.Close()
	var out bytes.Buffer
	out.Grow(len(raw) * 6) // the usual ratio; growing in steps takes longer
	n, err := out.ReadFrom(io.LimitReader(r, maxIndex+1))
	if err == nil && n > maxIndex {
		err = fmt.Errorf("more than %d bytes", maxIndex)
	}
	if err != nil {
		return nil, &formatError{what: file, err: "decompressing: " + err.Error()}
	}
	return out.Bytes(), nil
}

// See Debian Policy, sections 5.6.1 and 5.6.12. Names become parts of paths.
var (
	validName    = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)
	validVersion = regexp.MustCompile(`^[A-Za-z0-9.+:~-]+$`)
)

// ranks orders providers by Priority, as apt does.
var ranks = map[string]int{"required": 1, "important": 2, "standard": 3, "optional": 4, "extra": 5}

// parse parses an index. name is the archive's name in the lock file.
func (x *Index) parse(what string, text []byte, name string) ([]*candidate, error) {
	var found []*candidate
	err := stanzas(text, func(stanza []byte, line int) error {
		c, err := parseCandidate(stanza)
		if err != nil {
			return &formatError{what: what, line: line, err: err.Error()}
		}
		if c.Architecture == x.arch || c.Architecture == "all" {
			c.Archive = name
			found = append(found, c)
		}
		return nil
	})
	return found, err
}

// parseCandidate parses a stanza of an index. It copies the fields so that they do not keep the index in memory.
func parseCandidate(stanza []byte) (*candidate, error) {
	c := &candidate{rank: ranks["optional"]}
	var size string
	err := fields(stanza, func(name, value []byte) {
		switch string(name) {
		case "Package":
			c.Name = string(value)
		case "Version":
			c.Version = string(value)
		case "Architecture":
			c.Architecture = string(value)
		case "Pre-Depends", "Depends":
			c.depends = append(c.depends, string(value))
		case "Conflicts", "Breaks":
			c.excludes = append(c.excludes, string(value))
		case "Provides":
			c.provides = string(value)
		case "Priority":
			if rank, ok := ranks[string(value)]; ok {
				c.rank = min(c.rank, rank)
			}
		case "Essential":
			if string(value) == "yes" {
				c.rank = 0
			}
		case "Filename":
			c.Path = strings.TrimPrefix(string(value), "./")
		case "Size":
			size = string(value)
		case "SHA256":
			c.SHA256 = string(value)
		}
	})
	if err != nil {
		return nil, err
	}
	if c.Size, err = strconv.ParseInt(size, 10, 64); err != nil {
		return nil, fmt.Errorf("package %s: invalid size %q", c.Name, size)
	}
	return c, c.Package.validate()
}

// validate rejects packages that no archive has. Lock files may be edited by hand.
func (p Package) validate() error {
	switch {
	case !validName.MatchString(p.Name):
		return fmt.Errorf("invalid package name %q", p.Name)
	case !validVersion.MatchString(p.Version):
		return fmt.Errorf("package %s: invalid version %q", p.Name, p.Version)
	case !validName.MatchString(p.Architecture):
		return fmt.Errorf("package %s: invalid architecture %q", p.Name, p.Architecture)
	case !fs.ValidPath(p.Path) || p.Path == ".":
		return fmt.Errorf("package %s: invalid path %q", p.Name, p.Path)
	case !isSHA256(p.SHA256):
		return fmt.Errorf("package %s: invalid SHA-256 digest %q", p.Name, p.SHA256)
	case p.Size <= 0:
		return fmt.Errorf("package %s: invalid size %d", p.Name, p.Size)
	}
	return nil
}

// selectVersions keeps the highest version of each package from any archive, and sorts providers by preference. Of
// equal versions, it keeps the first that was added. As in apt, lower versions are not available: a dependency on one
// is an error, not a reason to miss an update.
func (x *Index) selectVersions() {
	for name, all := range x.packages {
		slices.SortStableFunc(all, func(a, b *candidate) int { return compareVersions(b.Version, a.Version) })
		x.packages[name] = all[:1]
		for _, rel := range parseRelations(all[0].provides) {
			for _, one := range rel {
				x.providers[one.name] = append(x.providers[one.name], provider{all[0], one.version})
			}
		}
	}
	for _, all := range x.providers {
		slices.SortStableFunc(all, func(a, b provider) int {
			if a.rank != b.rank {
				return a.rank - b.rank
			}
			return strings.Compare(a.Name, b.Name)
		})
	}
}
