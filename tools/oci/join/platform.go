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

// configLimit is the maximum length of a config in bytes.
const configLimit = 8 << 20

// choose applies Source.Platform. listed are the platforms in the index of the source.
func choose(s Source, found []candidate, listed []string) ([]candidate, error) {
	p := s.Platform
	switch {
	case p == nil:
		return found, nil
	case len(found) == 1 && len(listed) <= 1:
		given := *p
		if own := found[0].own; own != nil {
			found[0].declared = own
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
		if f.declared == nil || f.declared.OS == "" {
			have = append(have, written(*f.own))
		}
		return !matches(f.own, *p)
	})
	if len(chosen) == 0 {
		return nil, &AbsentError{s.Name, written(*p), unique(append(slices.Clone(listed), have...))}
	}
	return chosen, nil
}

// unique returns list without duplicates.
func unique(list []string) []string {
	var all []string
	for _, word := range list {
		if !slices.Contains(all, word) {
			all = append(all, word)
		}
	}
	return all
}

// inherit sets the unset fields of p to those of from.
func inherit(p, from *v1.Platform) {
	if p.OS != from.OS {
		return // a Windows version means nothing elsewhere
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

// absent reports whether err means that the image does not exist. If so, it sets c.err.
func (c *candidate) absent(err error) bool {
	if c.missing == nil || !c.missing(err) {
		return false
	}
	e := &MissingError{Source: c.name, Image: c.Descriptor.Digest, Err: err}
	if c.declared != nil && c.declared.OS != manifest.UnknownOS {
		e.Platform = written(*c.declared)
	}
	c.err = e
	return true
}

// load opens an image and reads its manifest. If the image does not exist, load sets c.err and returns nil.
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
	// A damaged manifest may still be valid JSON.
	if h, size, err := sum(digest.Algorithm, raw); err != nil || h != digest || size != c.Descriptor.Size {
		return nil, fmt.Errorf("the manifest %s is damaged: its content has digest %s", digest, h)
	}
	return raw, nil
}

// resolve opens an image and determines its platform. If the image does not exist or has no platform, resolve sets
// c.err and returns nil, because the image may not be needed and its platform may be given.
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
	c.explicit = c.declared != nil && c.declared.OS != "" && c.declared.Architecture != ""
	if c.own, wrong = reconcile(own, c.declared); wrong != nil {
		c.err = c.blame(wrong, c.listed)
	}
	c.declared = nil
	return nil
}

// sum returns the digest of a manifest with the given algorithm.
func sum(algorithm string, raw []byte) (v1.Hash, int64, error) {
	hasher, err := v1.Hasher(algorithm)
	if err != nil {
		return v1.Hash{}, 0, err
	}
	hasher.Write(raw)
	return v1.Hash{Algorithm: algorithm, Hex: hex.EncodeToString(hasher.Sum(nil))}, int64(len(raw)), nil
}

// blame adds the source and image to an error.
func (c *candidate) blame(e *PlatformError, listed bool) error {
	e.Source = c.name
	if listed {
		e.Image = c.Descriptor.Digest
	}
	return e
}

// reconcile returns the platform of an image from those in its config and in its index, which may be nil.
func reconcile(own, declared *v1.Platform) (*v1.Platform, *PlatformError) {
	empty := func(p *v1.Platform) bool { return p == nil || p.OS == "" || p.Architecture == "" }
	switch {
	case empty(own) && empty(declared):
		return nil, &PlatformError{}
	case empty(own):
		return normal(*declared), nil
	case empty(declared):
		return normal(*own), nil
	}
	p := *declared
	if x, y := canonical(own), canonical(declared); x.OS != y.OS || x.Architecture != y.Architecture {
		return nil, &PlatformError{Platform: x, Index: y}
	}
	// Configs of older builds lack the variant that the index has.
	if p.Variant == "" {
		p.Variant = own.Variant
	}
	inherit(&p, own)
	return normal(p), nil
}

// known returns an error for a platform that is only in the config and may be misspelt, so that no runtime would select
// it. Platforms of users and indexes are accepted.
func known(c candidate) error {
	p := canonical(c.own)
	if c.explicit || plausible(p) {
		return nil
	}
	return c.blame(&PlatformError{Platform: p}, c.listed)
}

func canonical(p *v1.Platform) arch.Platform { return arch.Canonical(p.OS, p.Architecture, p.Variant) }

// matches reports whether an image matches a requested platform. The request may omit the version of Windows, and
// linux/arm includes linux/arm/v7.
func matches(own *v1.Platform, want v1.Platform) bool {
	is, requested := canonical(own), arch.Requested(want.OS, want.Architecture, want.Variant)
	return (is == canonical(&want) || is == requested) && (want.OSVersion == "" || want.OSVersion == own.OSVersion)
}

// Written formats a platform for people, with the version of Windows: windows/amd64:10.0.20348.169.
func Written(p v1.Platform) string { return written(p) }

func written(p v1.Platform) string {
	if p.OSVersion != "" {
		return canonical(&p).String() + ":" + p.OSVersion
	}
	return canonical(&p).String()
}

// normal returns p in canonical form.
func normal(p v1.Platform) *v1.Platform {
	c := canonical(&p)
	p.OS, p.Architecture, p.Variant = c.OS, c.Architecture, c.Variant
	return &p
}

// compareVersions compares versions of Windows, such as 10.0.17763.6414, number by number.
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
