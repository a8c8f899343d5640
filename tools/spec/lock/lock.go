// Package lock reads, checks and writes multiarch.lock. The file records every base bit for bit:
// the digests of images and the versions of Debian packages. Builds use only what is recorded and
// never resolve a tag. The file is JSON, so that Bazel can read it. It is sorted and has one line
// per item, so that reviews and merges show exactly what changed.
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

	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// Name is the name of the file. It is in the directory of multiarch.yaml.
const Name = "multiarch.lock"

const version = 1

// File is the content of a multiarch.lock.
type File struct {
	Version int             `json:"version"`
	Bases   map[string]Base `json:"bases"` // by name in multiarch.yaml
}

// Base is the record of one base. Exactly one field is set.
type Base struct {
	Image  *Image  `json:"image,omitempty"`
	Debian *Debian `json:"debian,omitempty"`
	Static *Static `json:"static,omitempty"`
}

// Image is a base image in a registry.
type Image struct {
	// Reference is the reference in multiarch.yaml with the digest that it resolved to:
	// repository:tag@sha256:...
	Reference string           `json:"image"`
	MediaType types.MediaType  `json:"mediaType"`
	Platforms map[string]Child `json:"platforms"` // by platform of the image that is built
}

// Child is the image of a base for one platform.
type Child struct {
	Manifest   Blob     `json:"manifest"`
	Config     Blob     `json:"config"`
	Layers     []Blob   `json:"layers"`
	OSVersion  string   `json:"osVersion,omitempty"`  // from the index, for Windows
	OSFeatures []string `json:"osFeatures,omitempty"` // from the index, for Windows
	// Platform is the platform in the base's index, if it differs.
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
	Packages   []string `json:"packages"` // requested packages
	Exclude    []string `json:"exclude,omitempty"`
	Mirror     string   `json:"mirror,omitempty"`  // "" for the machine's own sources
	Keyring    string   `json:"keyring,omitempty"` // "" for the keys of Debian's archive
	// Security is the setting in multiarch.yaml. It is nil in files of earlier versions, which did
	// not include security updates.
	Security *config.Security `json:"security,omitempty"`
	Release  Release          `json:"release"` // of the suite
	// Archives are further suites that packages may come from, by name: trixie-security,
	// trixie-updates.
	Archives map[string]Archive `json:"archives,omitempty"`
	// Architectures lists the packages with their dependencies, by Debian architecture.
	Architectures map[string][]Package `json:"architectures"`
}

// Release identifies the signed file that authenticates a suite.
type Release struct {
	Codename string `json:"codename"`
	Date     string `json:"date"`   // RFC 3339
	SHA256   string `json:"sha256"` // of InRelease
}

// Archive is a suite that belongs to the suite of a base: security updates, or updates between
// point releases.
type Archive struct {
	Release
	// Security is set for the security archive, which has its own mirrors.
	Security bool `json:"security,omitempty"`
}

// Package is one Debian package.
type Package struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	Architecture string `json:"architecture"` // "all" for architecture-independent packages
	Path         string `json:"path"`         // relative to the mirror
	Size         int64  `json:"size"`         // in bytes
	SHA256       string `json:"sha256"`
	// Archive is a key of Debian.Archives, or "" for the suite itself.
	Archive string `json:"archive,omitempty"`
}

// Origin returns the archive of a package: the Release that authenticates it, and whether it is the
// security archive.
func (d *Debian) Origin(p Package) Archive {
	if a, ok := d.Archives[p.Archive]; ok {
		return a
	}
	return Archive{Release: d.Release}
}

// Pinned returns the reference of a digest in the repository of reference.
func Pinned(reference string, digest v1.Hash) string {
	repository, _, _ := strings.Cut(reference, "@")
	if slash, colon := strings.LastIndex(repository, "/"), strings.LastIndex(repository, ":"); colon > slash {
		repository = repository[:colon]
	}
	return repository + "@" + digest.String()
}

// InvalidError is returned for a file that is not a valid multiarch.lock.
type InvalidError struct {
	File string
	Err  error
}

func (e *InvalidError) Error() string { return fmt.Sprintf("%s: %v", e.File, e.Err) }

// Class classifies the error for the exit code.
func (e *InvalidError) Class() fault.Class { return fault.Config }

// Unwrap returns the cause.
func (e *InvalidError) Unwrap() error { return e.Err }

// Hint returns how to restore the file.
func (e *InvalidError) Hint() string {
	return "restore it from version control, or delete it and run: multiarch lock"
}

// Load reads the lock file of a configuration, which is in the same directory. It returns nil if
// there is none. If the file is invalid, the error is an *InvalidError.
func Load(config string) (*File, error) {
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

// Parse parses a multiarch.lock. The file name is only used in messages. The error is an
// *InvalidError.
func Parse(file string, content []byte) (*File, error) {
	f := &File{}
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	err := d.Decode(f)
	switch {
	case err == nil && d.More():
		err = errors.New("unexpected data after the end of the object")
	case err == nil && f.Version != version:
		err = fmt.Errorf("unsupported version %d, this release supports version %d", f.Version, version)
	case err == nil:
		err = f.check()
	}
	if err != nil {
		return nil, &InvalidError{file, err}
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

// check rejects records that later steps would misinterpret.
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
						return fmt.Errorf("bases.%s.platforms.%s: invalid blob %s of %d bytes", name, p,
							blob.Digest, blob.Size)
					}
				}
			}
		default:
			for a, packages := range b.Debian.Architectures {
				for _, p := range packages {
					if len(p.SHA256) != 64 || p.Size <= 0 || p.Path == "" {
						return fmt.Errorf("bases.%s.architectures.%s: package %q needs path, size and sha256", name,
							a, p.Name)
					}
					if _, ok := b.Debian.Archives[p.Archive]; !ok && p.Archive != "" {
						return fmt.Errorf("bases.%s.architectures.%s: package %q is from %q, which is not in archives",
							name, a, p.Name, p.Archive)
					}
				}
			}
		}
	}
	return nil
}

// Format returns the text of the file. Equal files have equal text.
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
