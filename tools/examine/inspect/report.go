// Package inspect describes an image index: its platforms, digests, sizes and the layers that images share. It reads
// manifests and configs, and no layers. DockerManifests prints the same information in Docker's own format.
package inspect

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/source"
)

// Report describes a source. Sizes are those of the stored bytes, which may be compressed.
type Report struct {
	Name      string          `json:"name"`
	MediaType types.MediaType `json:"mediaType"`
	Digest    v1.Hash         `json:"digest"`
	// Size is the length of the index, or of the manifest of a single image.
	Size     int64   `json:"size"`
	Children []Child `json:"children"`
	Totals   Totals  `json:"totals"`
}

// Child is an entry of an index. An image outside an index is its own only child.
type Child struct {
	// Platform is that of the descriptor or else of the config. It is zero for attestations.
	Platform arch.Platform `json:"platform,omitzero"`
	// AttestationOf is the digest of the image that an attestation of BuildKit describes, "" for an image.
	AttestationOf string `json:"attestationOf,omitempty"`
	// Missing is set if the index lists the child but it does not exist, as in the archives of docker save. Only its
	// descriptor is known, and the totals do not include it.
	Missing   bool            `json:"missing,omitempty"`
	MediaType types.MediaType `json:"mediaType"`
	Digest    v1.Hash         `json:"digest"`
	// ManifestSize is the length of the manifest; Size includes the config and the layers.
	ManifestSize int64   `json:"manifestSize"`
	Size         int64   `json:"size"`
	Config       v1.Hash `json:"config,omitzero"`
	Layers       []Layer `json:"layers"`
}

// Layer is a layer of a child, in order, the lowest first.
type Layer struct {
	MediaType types.MediaType `json:"mediaType"`
	Digest    v1.Hash         `json:"digest"`
	Size      int64           `json:"size"`
	// Children is the number of children with this layer. A layer with two or more is shared.
	Children int `json:"children"`
}

// Totals are sums over all children.
type Totals struct {
	// Platforms is the number of platforms with an image.
	Platforms int `json:"platforms"`
	// Bytes counts every child completely, Unique counts shared content once, as a registry stores it. Neither includes
	// the index.
	Bytes  int64 `json:"bytes"`
	Unique int64 `json:"uniqueBytes"`
}

// parallelReads bounds the number of children that are read at a time, and so memory and open connections.
const parallelReads = 3

// NewReport reads the manifests of s. It reads a config only if the descriptor has no platform, and never a layer.
func NewReport(ctx context.Context, s *source.Source) (*Report, error) {
	all, err := s.Children()
	if err != nil {
		return nil, err
	}
	r := &Report{
		Name: s.Name, MediaType: s.Root.MediaType, Digest: s.Root.Digest, Size: s.Root.Size,
		Children: make([]Child, len(all)),
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelReads)
	for i, l := range all {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			child, err := reportChild(l)
			if err != nil {
				return fmt.Errorf("%s: %w", source.Label(all, i), err)
			}
			r.Children[i] = child
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	r.sum()
	return r, nil
}

func reportChild(l source.Child) (Child, error) {
	d := l.Descriptor
	c := Child{MediaType: d.MediaType, Digest: d.Digest, ManifestSize: d.Size, Size: d.Size, Layers: []Layer{}}
	if l.AttestationOf == "" {
		c.Platform = l.Platform
	} else {
		c.AttestationOf = l.AttestationOf
	}
	if !d.MediaType.IsImage() {
		return c, nil // a nested index or an artifact, which its media type tells
	}
	o, err := l.ReadIntact()
	if err != nil && source.IsMissing(err) && d.Digest != (v1.Hash{}) && l.Listed {
		c.Missing, c.Size = true, 0
		return c, nil
	}
	if err != nil {
		return Child{}, err
	}
	c.Config = o.Parsed.Config.Digest
	c.Size += o.Parsed.Config.Size
	for _, layer := range o.Parsed.Layers {
		c.Layers = append(c.Layers, Layer{MediaType: layer.MediaType, Digest: layer.Digest, Size: layer.Size})
		c.Size += layer.Size
	}
	if l.AttestationOf == "" && d.Platform == nil && o.Parsed.Config.MediaType.IsConfig() {
		_, config, err := o.ReadConfig()
		if err != nil {
			return Child{}, err
		}
		c.Platform = arch.Canonical(config.OS, config.Architecture, config.Variant)
	}
	return c, nil
}

// sum calculates the totals and the number of children of each layer.
func (r *Report) sum() {
	users := map[v1.Hash]int{}
	for _, c := range r.Children {
		own := map[v1.Hash]bool{}
		for _, l := range c.Layers {
			if !own[l.Digest] {
				own[l.Digest] = true
				users[l.Digest]++
			}
		}
	}
	platforms, counted := map[arch.Platform]bool{}, map[v1.Hash]bool{}
	once := func(h v1.Hash, size int64) {
		if !counted[h] {
			counted[h] = true
			r.Totals.Unique += size
		}
	}
	for i, c := range r.Children {
		if c.Missing {
			continue
		}
		r.Totals.Bytes += c.Size
		config := c.Size - c.ManifestSize
		once(c.Digest, c.ManifestSize)
		for j, l := range c.Layers {
			config -= l.Size
			once(l.Digest, l.Size)
			r.Children[i].Layers[j].Children = users[l.Digest]
		}
		once(c.Config, config)
		if c.Platform != (arch.Platform{}) {
			platforms[c.Platform] = true
		}
	}
	r.Totals.Platforms = len(platforms)
}
