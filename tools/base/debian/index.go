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
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// maxPacked and maxIndex bound an index as it is on mirrors, and unpacked. Both are held in memory. Debian's have 10 MB
// and 57 MB.
const (
	maxPacked = 256 << 20
	maxIndex  = 512 << 20
)

// Package is one package of a suite, and all that is needed to have it later.
type Package lock.Package

func (p Package) String() string { return p.Name + " " + p.Version }

// Index is what a suite has for one architecture.
type Index struct {
	suite, arch string
	packages    map[string][]*candidate // by name; one of each, once they are arranged
	providers   map[string][]provider   // by the name of a virtual package
}

// candidate is a package with what deciding about it takes.
type candidate struct {
	Package
	depends  []string // Pre-Depends and Depends, unparsed
	excludes []string // Conflicts and Breaks, unparsed
	provides string
	rank     int // what is preferred to provide something has a smaller one
}

// provider is a package that stands in for another. version is "" where it stands in for none in particular.
type provider struct {
	*candidate
	version string
}

// compressions are the forms in which an index can be had, the smallest first.
var compressions = []string{".xz", ".gz", ""}

// Index reads which packages the suite has for an architecture, in Debian's spelling. What is read is checked against
// the Release. Errors are *UnknownError, *ChecksumError and *UnavailableError, or hold them.
func (a *Archive) Index(ctx context.Context, r *Release, arch string) (*Index, error) {
	x := newIndex(a.Suite, arch)
	if err := a.addTo(ctx, x, r, "", a.components(), nil); err != nil {
		return nil, err
	}
	x.arrange()
	return x, nil
}

func newIndex(suite, arch string) *Index {
	return &Index{suite: suite, arch: arch, packages: map[string][]*candidate{}, providers: map[string][]provider{}}
}

// addTo reads the packages of some components of the suite, and adds them to x as packages of the archive that is called
// name in the lock. received, if it is set, is told how many bytes have been read.
func (a *Archive) addTo(ctx context.Context, x *Index, r *Release, name string, components []string, received func(int64)) error {
	var found []*candidate
	for _, component := range components {
		forms := r.forms(component, x.arch)
		switch {
		case len(forms) > 0:
		case !slices.Contains(r.Architectures, x.arch):
			return &UnknownError{What: "architecture", Name: x.arch, In: "suite " + a.Suite, Known: r.Architectures}
		default:
			return &UnknownError{What: "component", Name: component, In: "suite " + a.Suite, Known: r.Components}
		}
		what := fmt.Sprintf("the index of suite %s, component %s, for %s", a.Suite, component, x.arch)
		reader := indexReader{Archive: a, release: r, forms: forms, part: map[string][]byte{}, received: received}
		err := a.each(ctx, what, a.Mirrors, func(mirror string) error {
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

// forms returns the files that hold an index, the smallest first. Mirrors need not have all forms that a Release lists.
func (r *Release) forms(component, arch string) []string {
	name := component + "/binary-" + arch + "/Packages"
	var forms []string
	for _, c := range compressions {
		if _, ok := r.files[name+c]; ok {
			forms = append(forms, name+c)
		}
	}
	return forms
}

// indexReader reads one index, over several attempts and mirrors.
type indexReader struct {
	*Archive
	release  *Release
	forms    []string
	part     map[string][]byte // what has been read of a file, by its URL
	received func(int64)
}

// read reads an index in the first form that a mirror has.
func (x *indexReader) read(ctx context.Context, mirror string) ([]byte, error) {
	var failed error
	for _, form := range x.forms {
		want := x.release.files[form]
		if want.size > maxPacked {
			return nil, &ChecksumError{What: form, Want: fmt.Sprintf("at most %d bytes", maxPacked), Got: strconv.FormatInt(want.size, 10)}
		}
		// Under its digest it stays what it is while the mirror is being updated.
		paths := []string{"dists/" + x.Suite + "/" + form}
		if x.release.byHash {
			dir := form[:strings.LastIndexByte(form, '/')]
			paths = slices.Insert(paths, 0, "dists/"+x.Suite+"/"+dir+"/by-hash/SHA256/"+want.sha256)
		}
		for _, p := range paths {
			raw, err := x.Archive.read(ctx, mirror, p, x.part[mirror+p], want.size)
			var status *statusError
			if errors.As(err, &status) && (status.code == http.StatusNotFound || status.code == http.StatusForbidden) {
				failed = err
				continue
			}
			if err != nil {
				x.part[mirror+p] = raw
				return nil, err
			}
			if err := check(p, raw, want); err != nil {
				return nil, err
			}
			if x.received != nil {
				x.received(want.size)
			}
			return unpackIndex(form, raw)
		}
	}
	return nil, failed
}

func check(what string, raw []byte, want file) error {
	sum := sha256.Sum256(raw)
	if got := hex.EncodeToString(sum[:]); got != want.sha256 {
		return &ChecksumError{What: what, Want: "SHA-256 " + want.sha256, Got: fmt.Sprintf("%s, of %d bytes", got, len(raw))}
	}
	return nil
}

func unpackIndex(form string, raw []byte) ([]byte, error) {
	r, err := decompress(form, bytes.NewReader(raw))
	if err != nil {
		return nil, &formatError{what: form, err: "unpacking it: " + err.Error()}
	}
	defer r.Close()
	var out bytes.Buffer
	out.Grow(len(raw) * 6) // Text of this kind is packed to a sixth; growing by doubling costs more.
	n, err := out.ReadFrom(io.LimitReader(r, maxIndex+1))
	if err == nil && n > maxIndex {
		err = fmt.Errorf("more than %d bytes", maxIndex)
	}
	if err != nil {
		return nil, &formatError{what: form, err: "unpacking it: " + err.Error()}
	}
	return out.Bytes(), nil
}

// Debian Policy, 5.6.1 and 5.6.12. Names become parts of paths.
var (
	validName    = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)
	validVersion = regexp.MustCompile(`^[A-Za-z0-9.+:~-]+$`)
)

// ranks orders providers as apt does: what is required before what is optional.
var ranks = map[string]int{"required": 1, "important": 2, "standard": 3, "optional": 4, "extra": 5}

// parse reads the packages of an index, as those of the archive that is called name in the lock.
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

// parseCandidate reads a stanza of an index. Its fields are copied, so that the index is not kept in memory with them.
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
		return nil, fmt.Errorf("package %s: not a size: %q", c.Name, size)
	}
	return c, c.Package.check()
}

// check refuses a package that no archive can have. Locks are read from files that anybody may have written.
func (p Package) check() error {
	switch {
	case !validName.MatchString(p.Name):
		return fmt.Errorf("not the name of a package: %q", p.Name)
	case !validVersion.MatchString(p.Version):
		return fmt.Errorf("package %s: not a version: %q", p.Name, p.Version)
	case !validName.MatchString(p.Architecture):
		return fmt.Errorf("package %s: not an architecture: %q", p.Name, p.Architecture)
	case !fs.ValidPath(p.Path) || p.Path == ".":
		return fmt.Errorf("package %s: not a path: %q", p.Name, p.Path)
	case !isSHA256(p.SHA256):
		return fmt.Errorf("package %s: not a SHA-256 digest: %q", p.Name, p.SHA256)
	case p.Size <= 0:
		return fmt.Errorf("package %s: not a size: %d", p.Name, p.Size)
	}
	return nil
}

// arrange keeps the highest version of each package, wherever it is from, and sorts what provides something: the
// preferred one first. Of equal versions, the one that was added first is kept. Only the highest version counts, as it
// does for apt: if something needs an older one, that is an error, and not a reason to do without an update.
func (x *Index) arrange() {
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
