package join

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/manifest"
)

// configLimit is how many bytes long a config may be, which is read into memory.
const configLimit = 8 << 20

// choose applies what is said about the platform of a source. listed are the platforms that its index lists.
func choose(s Source, found []candidate, listed []string) ([]candidate, error) {
	p := s.Platform
	switch {
	case p == nil:
		return found, nil
	case len(found) == 1 && len(listed) <= 1:
		given := *p
		if own := found[0].own; own != nil {
			found[0].said = own
			inherit(&given, own)
		}
		found[0].own, found[0].err, found[0].explicit = normal(given), nil, true
		return found, nil
	}
	var have []string
	chosen := slices.DeleteFunc(slices.Clone(found), func(f candidate) bool {
		if f.own == nil {
			return true
		}
		if f.said == nil || f.said.OS == "" {
			have = append(have, written(*f.own))
		}
		return !suits(f.own, *p)
	})
	if len(chosen) == 0 {
		return nil, &AbsentError{s.Name, written(*p), unique(append(slices.Clone(listed), have...))}
	}
	return chosen, nil
}

// unique is list with each word once.
func unique(list []string) []string {
	var all []string
	for _, word := range list {
		if !slices.Contains(all, word) {
			all = append(all, word)
		}
	}
	return all
}

// inherit takes from a platform what p leaves open.
func inherit(p, from *v1.Platform) {
	if p.OS != from.OS {
		return // what Windows says of itself means nothing elsewhere
	}
	if p.OSVersion == "" {
		p.OSVersion = from.OSVersion
	}
	if p.OSFeatures == nil {
		p.OSFeatures = from.OSFeatures
	}
	if p.Features == nil {
		p.Features = from.Features
	}
}

// absent reports whether err says that the image is missing, and remembers that.
func (c *candidate) absent(err error) bool {
	if c.missing == nil || !c.missing(err) {
		return false
	}
	e := &MissingError{Source: c.name, Image: c.Descriptor.Digest, Err: err}
	if c.said != nil && c.said.OS != manifest.UnknownOS {
		e.Platform = written(*c.said)
	}
	c.err = e
	return true
}

// load opens an image and reads its manifest. That it is missing is no error yet.
func (c *candidate) load() (raw []byte, err error) {
	digest := c.Descriptor.Digest
	if c.Image, err = c.open(); err != nil {
		if c.absent(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("opening the image %s: %w", digest, err)
	}
	if raw, err = c.Image.RawManifest(); err != nil {
		if c.absent(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("reading the manifest %s: %w", digest, err)
	}
	// What damage makes of a manifest can still look like one.
	if h, size, err := sum(digest.Algorithm, raw); err != nil || h != digest || size != c.Descriptor.Size {
		return nil, fmt.Errorf("the manifest %s is damaged: its content has digest %s", digest, h)
	}
	return raw, nil
}

// resolve opens an image and finds out its platform. That there is none is no error yet, since it may be given; neither
// is that the image is missing.
func (c *candidate) resolve() error {
	digest := c.Descriptor.Digest
	raw, err := c.load()
	if err != nil || c.err != nil || c.attests != "" {
		return err
	}
	m, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("reading the manifest %s: %w", digest, err)
	}
	var own *v1.Platform
	if m.Config.MediaType.IsConfig() {
		if m.Config.Size > configLimit {
			return fmt.Errorf("the config of %s is too large: %d bytes", digest, m.Config.Size)
		}
		config, err := c.Image.ConfigFile()
		if err != nil {
			if c.absent(err) {
				return nil
			}
			return fmt.Errorf("reading the config of %s: %w", digest, err)
		}
		own = &v1.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant,
			OSVersion: config.OSVersion, OSFeatures: config.OSFeatures}
	}
	var wrong *PlatformError
	c.explicit = c.said != nil && c.said.OS != "" && c.said.Architecture != ""
	if c.own, wrong = settle(own, c.said); wrong != nil {
		c.err = c.blame(wrong, c.listed)
	}
	c.said = nil
	return nil
}

// sum is the digest of a manifest by the algorithm that its descriptor uses.
func sum(algorithm string, raw []byte) (v1.Hash, int64, error) {
	hasher, err := v1.Hasher(algorithm)
	if err != nil {
		return v1.Hash{}, 0, err
	}
	hasher.Write(raw)
	return v1.Hash{Algorithm: algorithm, Hex: hex.EncodeToString(hasher.Sum(nil))}, int64(len(raw)), nil
}

// blame says whose platform it is that is wrong.
func (c *candidate) blame(e *PlatformError, listed bool) error {
	e.Source = c.name
	if listed {
		e.Image = c.Descriptor.Digest
	}
	return e
}

// settle decides between what a config and what an index say of an image; either may be nil.
func settle(own, said *v1.Platform) (*v1.Platform, *PlatformError) {
	empty := func(p *v1.Platform) bool { return p == nil || p.OS == "" || p.Architecture == "" }
	switch {
	case empty(own) && empty(said):
		return nil, &PlatformError{}
	case empty(own):
		return normal(*said), nil
	case empty(said):
		return normal(*own), nil
	}
	p := *said
	if x, y := canonical(own), canonical(said); x.OS != y.OS || x.Architecture != y.Architecture {
		return nil, &PlatformError{Platform: x, Index: y}
	}
	// Configs of older builds say no variant where indexes do.
	if p.Variant == "" {
		p.Variant = own.Variant
	}
	inherit(&p, own)
	return normal(p), nil
}

// known refuses a platform that only a config says and that may be a misspelling, which every runtime would pass by.
// What a person or an index says is taken as it is.
func known(c candidate) error {
	p := canonical(c.own)
	if c.explicit || plausible(p) {
		return nil
	}
	return c.blame(&PlatformError{Platform: p}, c.listed)
}

func canonical(p *v1.Platform) arch.Platform { return arch.Canonical(p.OS, p.Architecture, p.Variant) }

// suits tells whether an image is for the platform that is wanted. What is wanted may leave the version of Windows
// open, and linux/arm also means linux/arm/v7.
func suits(own *v1.Platform, want v1.Platform) bool {
	is, asked := canonical(own), arch.Requested(want.OS, want.Architecture, want.Variant)
	return (is == canonical(&want) || is == asked) && (want.OSVersion == "" || want.OSVersion == own.OSVersion)
}

// Written formats a platform as in an *AbsentError.
func Written(p v1.Platform) string { return written(p) }

// written is how people write p: windows/amd64:10.0.20348.169.
func written(p v1.Platform) string {
	if p.OSVersion != "" {
		return canonical(&p).String() + ":" + p.OSVersion
	}
	return canonical(&p).String()
}

// normal is p in canonical form.
func normal(p v1.Platform) *v1.Platform {
	c := canonical(&p)
	p.OS, p.Architecture, p.Variant = c.OS, c.Architecture, c.Variant
	return &p
}

// compareVersions orders versions of Windows, such as 10.0.17763.6414, number by number.
func compareVersions(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(x, y string) int {
		m, err1 := strconv.Atoi(x)
		n, err2 := strconv.Atoi(y)
		if err1 != nil || err2 != nil {
			return strings.Compare(x, y)
		}
		return m - n
	})
}
