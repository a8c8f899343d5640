package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/manifest"
)

// Nothing real is near these; they bound what somebody else's index can make us do.
const (
	childLimit = 1000
	layerLimit = 1000
)

// listed is an entry of an index, or a plain image as the one entry there is.
type Child struct {
	Descriptor v1.Descriptor
	// platform is what the descriptor says, in canonical form, and zero where it says nothing.
	Platform arch.Platform
	// attests is the digest of the image that this entry is an attestation for, "" for an image.
	AttestationOf string
	// listed is that an index lists it.
	Listed bool
	open   func() (v1.Image, error)
}

// The annotations by which BuildKit marks the entries that are no images:
// https://docs.docker.com/build/metadata/attestations/attestation-storage/
const (
	referenceType   = "vnd.docker.reference.type"
	referenceDigest = "vnd.docker.reference.digest"
)

// parts lists what s consists of, in index order. Nothing but the index itself is read.
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
	var all []Child
	for _, d := range index.Manifests {
		entry := newChild(d, func() (v1.Image, error) {
			if !d.MediaType.IsImage() {
				return nil, &KindError{d.MediaType}
			}
			return s.Index.Image(d.Digest)
		})
		entry.Listed = true
		all = append(all, entry)
	}
	return all, nil
}

func newChild(d v1.Descriptor, open func() (v1.Image, error)) Child {
	l := Child{Descriptor: d, open: open}
	if d.Platform != nil {
		l.Platform = canonical(*d.Platform)
	}
	// An entry that a runtime could choose is an image, whatever its annotations say.
	if d.Annotations[referenceType] != "" && (d.Platform == nil || l.Platform == unknownPlatform) {
		l.AttestationOf = d.Annotations[referenceDigest]
		if l.AttestationOf == "" {
			l.AttestationOf = d.Annotations[referenceType]
		}
	}
	return l
}

// unknownPlatform is what BuildKit writes for entries that are no images.
var unknownPlatform = arch.Platform{OS: "unknown", Architecture: "unknown"}

func canonical(p v1.Platform) arch.Platform { return arch.Canonical(p.OS, p.Architecture, p.Variant) }

// call is how messages call entry i of all.
func Label(all []Child, i int) string {
	l := all[i]
	switch {
	case l.AttestationOf != "":
		for j, other := range all {
			if other.Descriptor.Digest.String() == l.AttestationOf && other.AttestationOf == "" {
				return "attestation of " + Label(all, j)
			}
		}
		return "attestation of " + l.AttestationOf
	case l.Platform != arch.Platform{}:
		return l.Platform.String()
	}
	return l.Descriptor.Digest.String()
}

// opened is an entry with its manifest and config.
type Manifest struct {
	Child
	Image  v1.Image
	Raw    []byte
	Parsed v1.Manifest
}

// intact reads the manifest of l, which must be the one that its descriptor means: what damage makes of a manifest can
// still look like one.
func (l Child) ReadIntact() (*Manifest, error) {
	o, err := l.Read()
	if err != nil {
		return nil, err
	}
	if got, _, _ := v1.SHA256(bytes.NewReader(o.Raw)); got != l.Descriptor.Digest {
		return nil, &DecodeError{"manifest", fmt.Errorf("it is %s, not %s", got, l.Descriptor.Digest)}
	}
	return o, nil
}

// read reads the manifest of l.
func (l Child) Read() (*Manifest, error) {
	img, err := l.open()
	if err != nil {
		return nil, err
	}
	raw, err := img.RawManifest()
	if err != nil {
		return nil, err
	}
	o := &Manifest{Child: l, Image: img, Raw: raw}
	if err := json.Unmarshal(raw, &o.Parsed); err != nil {
		return nil, &DecodeError{"manifest", err}
	}
	if n := len(o.Parsed.Layers); n > layerLimit {
		return nil, &DecodeError{"manifest", fmt.Errorf("%d layers, and no runtime takes more than %d", n, layerLimit)}
	}
	return o, nil
}

// config reads the config of an image as it is stored, and as far as it can be understood.
func (o *Manifest) ReadConfig() (raw []byte, parsed *v1.ConfigFile, err error) {
	if size := o.Parsed.Config.Size; size < 0 || size > manifest.Limit {
		return nil, nil, &DecodeError{"config", fmt.Errorf("%d bytes long by the manifest", size)}
	}
	if raw, err = o.Image.RawConfigFile(); err != nil {
		return nil, nil, err
	}
	if parsed, err = v1.ParseConfigFile(bytes.NewReader(raw)); err != nil {
		return raw, nil, &DecodeError{"config", err}
	}
	return raw, parsed, nil
}

// DecodeError reports a manifest or config that cannot be decoded, or whose values are out of range.
type DecodeError struct {
	Document string // "manifest" or "config"
	Err      error
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("the %s cannot be read: %v", e.Document, e.Err)
}

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }

// missing tells whether err says that something is not where it should be.
func missing(err error) bool {
	var answer *transport.Error
	return errors.Is(err, fs.ErrNotExist) || errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound
}

// IsMissing reports whether an error says that what was to be opened or read does not exist: a registry, a layout or an
// archive does not have it. A registry that does not say so because of missing permissions is another matter.
func IsMissing(err error) bool {
	var entry *EntryError
	var place *PlaceError
	return missing(err) || errors.As(err, &entry) && entry.Name != "" || errors.As(err, &place) && place.absent
}

// atFault tells whether err is something that is wrong with s, as opposed to the way to it: a network, a disk, a
// user who has lost patience.
func (s *Source) IsDefect(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if missing(err) {
		return true
	}
	var (
		answer  *transport.Error
		address *url.Error
		network net.Error
		file    *fs.PathError
	)
	if errors.As(err, &answer) || errors.As(err, &address) || errors.As(err, &network) || errors.As(err, &file) {
		return false
	}
	return !s.remote || !errors.Is(err, io.ErrUnexpectedEOF)
}
