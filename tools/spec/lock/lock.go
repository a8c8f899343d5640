// Package lock is multiarch.lock: what every base was, bit for bit, when it was last asked for. A build takes bases as
// they stand here and never asks anybody what they are now. The file is JSON, so that Bazel reads it without help; it
// is sorted, with one line for each thing that can change, so that reviews and merges are about what did change.
package lock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// Name is what the file is called. It stands beside multiarch.yaml.
const Name = "multiarch.lock"

const version = 1

// File is a whole multiarch.lock.
type File struct {
	Version int             `json:"version"`
	Bases   map[string]Base `json:"bases"` // by their names in multiarch.yaml
}

// Base is one base. Exactly one field is set.
type Base struct {
	Image  *Image  `json:"image,omitempty"`
	Debian *Debian `json:"debian,omitempty"`
	Static *Static `json:"static,omitempty"`
}

// Image is a base from a registry.
type Image struct {
	// Reference is as multiarch.yaml has it, with the digest behind it that it stood for: repository:tag@sha256:...
	Reference string           `json:"image"`
	MediaType types.MediaType  `json:"mediaType"`
	Platforms map[string]Child `json:"platforms"` // by the platform of our image
}

// Child is the image of a base for one platform.
type Child struct {
	Manifest   Blob     `json:"manifest"`
	Config     Blob     `json:"config"`
	Layers     []Blob   `json:"layers"`
	OSVersion  string   `json:"osVersion,omitempty"`  // as the index says it, for Windows
	OSFeatures []string `json:"osFeatures,omitempty"` // the same
	// Platform is what the base itself calls the platform, where that is another word.
	Platform string `json:"platform,omitempty"`
}

// Blob is a manifest, config or layer.
type Blob struct {
	Digest    v1.Hash         `json:"digest"`
	Size      int64           `json:"size"` // in bytes
	MediaType types.MediaType `json:"mediaType"`
}

// Debian is a base of Debian packages.
type Debian struct {
	Suite      string   `json:"suite"`
	Components []string `json:"components"`
	Packages   []string `json:"packages"` // asked for
	Exclude    []string `json:"exclude,omitempty"`
	Mirror     string   `json:"mirror,omitempty"`  // "" for that of whoever fetches
	Keyring    string   `json:"keyring,omitempty"` // "" for the keys of Debian's archive
	// Security is what multiarch.yaml says about security updates. It is nil in locks of earlier versions of
	// multiarch, which knew the suite alone.
	Security *config.Security `json:"security,omitempty"`
	Release  Release          `json:"release"` // of the suite itself
	// Archives are the other suites that packages may come from, by name: trixie-security, trixie-updates.
	Archives map[string]Archive `json:"archives,omitempty"`
	// Architectures are the packages with all that they need, by Debian's name of an architecture.
	Architectures map[string][]Package `json:"architectures"`
}

// Release is the signed file that vouches for everything else in a suite.
type Release struct {
	Codename string `json:"codename"`
	Date     string `json:"date"`   // RFC 3339
	SHA256   string `json:"sha256"` // of InRelease
}

// Archive is a suite that belongs to that of a base: its security updates, or updates between point releases.
type Archive struct {
	Release
	// Security tells that it is in the security archive, which has mirrors of its own.
	Security bool `json:"security,omitempty"`
}

// Package is one Debian package.
type Package struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	Architecture string `json:"architecture"` // all where it is the same on each
	Path         string `json:"path"`         // below a mirror
	Size         int64  `json:"size"`         // in bytes
	SHA256       string `json:"sha256"`
	// Archive is one of Debian.Archives, "" for the suite itself.
	Archive string `json:"archive,omitempty"`
}

// Origin returns where a package was found: the Release that vouches for it, and whether it is in the security archive.
func (d *Debian) Origin(p Package) Archive {
	if a, ok := d.Archives[p.Archive]; ok {
		return a
	}
	return Archive{Release: d.Release}
}

// Pinned names what digest is in the repository of a reference.
func Pinned(reference string, digest v1.Hash) string {
	repository, _, _ := strings.Cut(reference, "@")
	if slash, colon := strings.LastIndex(repository, "/"), strings.LastIndex(repository, ":"); colon > slash {
		repository = repository[:colon]
	}
	return repository + "@" + digest.String()
}

// BrokenError is returned for a file that cannot be read as a multiarch.lock.
type BrokenError struct {
	File string
	Err  error
}

func (e *BrokenError) Error() string { return fmt.Sprintf("%s: %v", e.File, e.Err) }

// Unwrap returns the reason.
func (e *BrokenError) Unwrap() error { return e.Err }

// Hint says how to get a sound one.
func (e *BrokenError) Hint() string {
	return "take it from version control, or remove it and run: multiarch lock"
}

// Beside reads the lock that stands beside a configuration. It is nil where there is none. The error is a *BrokenError,
// or says that the file cannot be read.
func Beside(config string) (*File, error) {
	file := filepath.Join(filepath.Dir(config), Name)
	content, err := inputfile.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the lock: %w", err)
	}
	return Parse(file, content)
}

// Parse reads a multiarch.lock. file is only used in messages. The error is a *BrokenError.
func Parse(file string, content []byte) (*File, error) {
	f := &File{}
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	err := d.Decode(f)
	switch {
	case err == nil && d.More():
		err = errors.New("something stands behind its end")
	case err == nil && f.Version != version:
		err = fmt.Errorf("version %d is not known: this multiarch knows version %d", f.Version, version)
	case err == nil:
		err = f.check()
	}
	if err != nil {
		return nil, &BrokenError{file, err}
	}
	return f, nil
}

// single reports whether exactly one field is set.
func (b Base) single() bool {
	n := 0
	for _, set := range []bool{b.Image != nil, b.Debian != nil, b.Static != nil} {
		if set {
			n++
		}
	}
	return n == 1
}

// check refuses what would be taken for something else later on.
func (f *File) check() error {
	for name, b := range f.Bases {
		switch {
		case !b.single():
			return fmt.Errorf("bases.%s: must have exactly one of image, debian and static", name)
		case b.Static != nil:
			if b.Static.Digest.Algorithm != "sha256" {
				return fmt.Errorf("bases.%s.static: %q is not a SHA-256 digest", name, b.Static.Digest)
			}
		case b.Image != nil:
			for p, c := range b.Image.Platforms {
				for _, blob := range append([]Blob{c.Manifest, c.Config}, c.Layers...) {
					if blob.Digest.Algorithm != "sha256" || blob.Size < 0 {
						return fmt.Errorf("bases.%s.platforms.%s: %s of %d bytes is no blob", name, p, blob.Digest, blob.Size)
					}
				}
			}
		default:
			for a, packages := range b.Debian.Architectures {
				for _, p := range packages {
					if len(p.SHA256) != 64 || p.Size <= 0 || p.Path == "" {
						return fmt.Errorf("bases.%s.architectures.%s: %q is no package with path, size and sha256", name, a, p.Name)
					}
					if _, ok := b.Debian.Archives[p.Archive]; !ok && p.Archive != "" {
						return fmt.Errorf("bases.%s.architectures.%s: package %q is from %q, which is not in archives", name, a, p.Name, p.Archive)
					}
				}
			}
		}
	}
	return nil
}

// Format writes the file. Equal files are equal bytes.
func (f *File) Format() ([]byte, error) {
	f.Version = version
	flat, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", Name, err)
	}
	var out bytes.Buffer
	d := json.NewDecoder(bytes.NewReader(flat))
	if err := indent(&out, d, flat, ""); err != nil {
		return nil, fmt.Errorf("writing %s: %w", Name, err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}
