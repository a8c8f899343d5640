package source

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/manifest"
)

// These limits are far above real images. They bound the work that a hostile index can cause.
const (
	childLimit = 1000
	layerLimit = 1000
)

// Child is an entry of an index. An image outside an index is its own only child.
type Child struct {
	Descriptor v1.Descriptor
	// Platform is the canonical platform of the descriptor, zero if it has none.
	Platform arch.Platform
	// AttestationOf is the digest of the image that this entry is an attestation of, "" for an image. If the attestation
	// names no image, it is "attestation-manifest".
	AttestationOf string
	// Listed reports whether an index lists the child.
	Listed bool
	open   func() (v1.Image, error)
}

// Children lists the children of s in the order of the index. It reads nothing but the index.
func (s *Source) Children() ([]Child, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if s.Image != nil {
		return []Child{newChild(s.Root, func() (v1.Image, error) { return s.Image, nil })}, nil
	}
	raw, err := s.Index.RawManifest()
	if err != nil {
		return nil, fmt.Errorf("reading the index: %w", err)
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, fmt.Errorf("reading the index: %w", err)
	}
	if len(index.Manifests) > childLimit {
		return nil, fmt.Errorf("the index has %d entries, more than %d", len(index.Manifests), childLimit)
	}
	var children []Child
	for _, d := range index.Manifests {
		c := newChild(d, func() (v1.Image, error) {
			if !d.MediaType.IsImage() {
				return nil, &KindError{d.MediaType}
			}
			return s.Index.Image(d.Digest)
		})
		c.Listed = true
		children = append(children, c)
	}
	return children, nil
}

func newChild(d v1.Descriptor, open func() (v1.Image, error)) Child {
	c := Child{Descriptor: d, open: open}
	if d.Platform != nil {
		c.Platform = arch.Canonical(d.Platform.OS, d.Platform.Architecture, d.Platform.Variant)
	}
	if subject, ok := manifest.Attestation(d); ok {
		c.AttestationOf = cmp.Or(subject, "attestation-manifest")
	}
	return c
}

// Label returns the name of children[i] for messages: its platform, "attestation of PLATFORM", or its digest.
func Label(children []Child, i int) string {
	c := children[i]
	switch {
	case c.AttestationOf != "":
		for j, other := range children {
			if other.Descriptor.Digest.String() == c.AttestationOf && other.AttestationOf == "" {
				return "attestation of " + Label(children, j)
			}
		}
		return "attestation of " + c.AttestationOf
	case c.Platform != arch.Platform{}:
		return c.Platform.String()
	}
	return c.Descriptor.Digest.String()
}

// Manifest is a child whose manifest has been read.
type Manifest struct {
	Child
	Image  v1.Image
	Raw    []byte
	Parsed v1.Manifest
}

// ReadIntact reads the manifest of c and compares it with the digest in its descriptor: a damaged manifest can still be
// valid JSON.
func (c Child) ReadIntact() (*Manifest, error) {
	m, err := c.Read()
	if err != nil {
		return nil, err
	}
	if got, _, _ := v1.SHA256(bytes.NewReader(m.Raw)); got != c.Descriptor.Digest {
		return nil, &DecodeError{"manifest", fmt.Errorf("its digest is %s, not %s", got, c.Descriptor.Digest)}
	}
	return m, nil
}

// Read reads the manifest of c without comparing it with its descriptor.
func (c Child) Read() (*Manifest, error) {
	img, err := c.open()
	if err != nil {
		return nil, err
	}
	raw, err := img.RawManifest()
	if err != nil {
		return nil, err
	}
	m := &Manifest{Child: c, Image: img, Raw: raw}
	if err := json.Unmarshal(raw, &m.Parsed); err != nil {
		return nil, &DecodeError{"manifest", err}
	}
	if n := len(m.Parsed.Layers); n > layerLimit {
		return nil, &DecodeError{"manifest", fmt.Errorf("%d layers, more than the %d that runtimes accept", n, layerLimit)}
	}
	return m, nil
}

// ReadConfig reads the config of an image. If only decoding fails, raw is set along with the error.
func (m *Manifest) ReadConfig() (raw []byte, parsed *v1.ConfigFile, err error) {
	if size := m.Parsed.Config.Size; size < 0 || size > manifest.Limit {
		return nil, nil, &DecodeError{"config", fmt.Errorf("its descriptor has a size of %d bytes", size)}
	}
	if raw, err = m.Image.RawConfigFile(); err != nil {
		return nil, nil, err
	}
	if parsed, err = v1.ParseConfigFile(bytes.NewReader(raw)); err != nil {
		return raw, nil, &DecodeError{"config", err}
	}
	return raw, parsed, nil
}
