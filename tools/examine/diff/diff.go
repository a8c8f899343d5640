// Package diff compares two images or image indexes and explains why their digests differ: platforms, manifests,
// configs, layers and files. It reads only what differs.
package diff

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/internal/memo"
	"github.com/multiarch-build/multiarch/tools/oci/source"
)

// parallelReads is how many children are examined at a time. It bounds memory and open connections.
const parallelReads = 3

// Compare compares two images or indexes. It reads nothing if their digests are equal, and nothing of a platform whose
// digests are equal. It reads layers only if their content (diffID) differs.
func Compare(ctx context.Context, a, b *source.Source) (*Result, error) {
	d := &Result{
		A: Side{a.Name, a.Root.MediaType, a.Root.Digest},
		B: Side{b.Name, b.Root.MediaType, b.Root.Digest},
	}
	if d.Empty() {
		return d, nil
	}
	if err := d.compare(ctx, a, b); err != nil {
		return nil, fmt.Errorf("comparing %s with %s: %w", a.Name, b.Name, err)
	}
	return d, nil
}

func (d *Result) compare(ctx context.Context, a, b *source.Source) error {
	left, err := namedChildren(a)
	if err != nil {
		return fmt.Errorf("%s: %w", a.Name, err)
	}
	right, err := namedChildren(b)
	if err != nil {
		return fmt.Errorf("%s: %w", b.Name, err)
	}
	if a.Image != nil && b.Image != nil && left[0].name != right[0].name {
		// Two images are compared even if their platforms differ.
		left[0].name += " and " + right[0].name
		right[0].name = left[0].name
	}
	var pairs [][2]namedChild
	for _, l := range left {
		if i := slices.IndexFunc(right, func(r namedChild) bool { return r.name == l.name }); i >= 0 {
			pairs = append(pairs, [2]namedChild{l, right[i]})
		} else {
			d.OnlyA = append(d.OnlyA, l.name)
		}
	}
	for _, r := range right {
		if !slices.ContainsFunc(left, func(l namedChild) bool { return r.name == l.name }) {
			d.OnlyB = append(d.OnlyB, r.name)
		}
	}
	children := make([]Child, len(pairs))
	c := comparison{a: a, b: b}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelReads)
	for i, p := range pairs {
		group.Go(func() (err error) {
			if children[i], err = c.compareChild(ctx, p[0], p[1]); err != nil {
				return fmt.Errorf("%s: %w", p[0].name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, child := range children {
		if child.A != child.B || len(child.Descriptor) > 0 {
			d.Children = append(d.Children, child)
		}
	}
	return d.compareIndexes(a, b, left, right)
}

// namedChild is a child with a name that pairs it with a child of the other side.
type namedChild struct {
	source.Child
	name string
}

// namedChildren names each child: its platform and, if needed, the OS version and a number.
func namedChildren(s *source.Source) ([]namedChild, error) {
	all, err := s.Children()
	if err != nil {
		return nil, err
	}
	seen := map[string]int{}
	var parts []namedChild
	for i, l := range all {
		name := source.Label(all, i)
		switch {
		case l.AttestationOf != "":
			if name == "attestation of "+l.AttestationOf {
				name = "attestation"
			}
		case l.Descriptor.Platform != nil && l.Descriptor.Platform.OSVersion != "":
			name += " " + l.Descriptor.Platform.OSVersion
		case l.Descriptor.Platform == nil && l.Descriptor.MediaType.IsImage():
			if name, err = configPlatform(l); err != nil {
				return nil, err
			}
		case l.Descriptor.Platform == nil:
			name = string(l.Descriptor.MediaType)
		}
		if seen[name]++; seen[name] > 1 {
			name = fmt.Sprintf("%s (%d)", name, seen[name])
		}
		parts = append(parts, namedChild{l, name})
	}
	return parts, nil
}

// configPlatform returns the name of an image whose descriptor has no platform.
func configPlatform(l source.Child) (string, error) {
	o, err := l.ReadIntact()
	if err != nil {
		return "", err
	}
	if !o.Parsed.Config.MediaType.IsConfig() {
		return string(o.Parsed.Config.MediaType), nil
	}
	_, config, err := o.ReadConfig()
	if err != nil {
		return "", err
	}
	if config.OS == "" && config.Architecture == "" {
		return "image", nil
	}
	return arch.Canonical(config.OS, config.Architecture, config.Variant).String(), nil
}

// compareIndexes compares the indexes without their children.
func (d *Result) compareIndexes(a, b *source.Source, left, right []namedChild) error {
	if a.Index == nil || b.Index == nil {
		if a.Root.MediaType != b.Root.MediaType {
			d.Index = append(d.Index, Change{"mediaType", toJSON(a.Root.MediaType), toJSON(b.Root.MediaType)})
		}
		return nil
	}
	x, err := a.Index.RawManifest()
	if err != nil {
		return fmt.Errorf("%s: reading the index: %w", a.Name, err)
	}
	y, err := b.Index.RawManifest()
	if err != nil {
		return fmt.Errorf("%s: reading the index: %w", b.Name, err)
	}
	d.Index, err = compareJSON(x, y, "manifests")
	if err != nil {
		return err
	}
	if len(d.OnlyA) == 0 && len(d.OnlyB) == 0 &&
		!slices.EqualFunc(left, right, func(l, r namedChild) bool { return l.name == r.name }) {
		d.Notes = append(d.Notes, "the children are in a different order")
	}
	if len(d.Index)+len(d.Notes)+len(d.OnlyA)+len(d.OnlyB)+len(d.Children) == 0 {
		d.Notes = append(d.Notes, "the indexes have the same content in another encoding")
	}
	return nil
}

// comparison is the state of Compare.
type comparison struct {
	a, b *source.Source
	// layers caches the differences of pairs of layers, which children often share.
	layers memo.Map[[2]v1.Hash, fileDifferences]
}

// compareChild compares two children. Of artifacts it compares only the digests.
func (c *comparison) compareChild(ctx context.Context, a, b namedChild) (Child, error) {
	d := Child{Child: a.name, A: a.Descriptor.Digest, B: b.Descriptor.Digest}
	if err := ctx.Err(); err != nil {
		return d, err
	}
	var err error
	if c.a.Index != nil && c.b.Index != nil {
		if d.Descriptor, err = compareDescriptors(a.Descriptor, b.Descriptor); err != nil {
			return d, err
		}
	}
	if d.A == d.B || !a.Descriptor.MediaType.IsImage() || !b.Descriptor.MediaType.IsImage() {
		return d, nil
	}
	x, err := a.ReadIntact()
	if err != nil {
		return d, fmt.Errorf("%s: %w", c.a.Name, err)
	}
	y, err := b.ReadIntact()
	if err != nil {
		return d, fmt.Errorf("%s: %w", c.b.Name, err)
	}
	if d.Manifest, err = compareJSON(x.Raw, y.Raw, "config", "layers"); err != nil {
		return d, err
	}
	more, err := compareDescriptors(x.Parsed.Config, y.Parsed.Config)
	if err != nil {
		return d, err
	}
	for _, m := range more {
		m.Field = "config." + m.Field
		d.Manifest = append(d.Manifest, m)
	}
	if err := c.compareConfigs(ctx, &d, x, y); err != nil {
		return d, err
	}
	if len(d.Manifest)+len(d.Config)+len(d.Layers)+len(d.Notes) == 0 {
		d.Notes = append(d.Notes, "the manifests have the same content in another encoding")
	}
	return d, nil
}

// compareConfigs compares the configs and the layers.
func (c *comparison) compareConfigs(ctx context.Context, d *Child, x, y *source.Manifest) error {
	left, err := newImageSide(x)
	if err != nil {
		return fmt.Errorf("%s: %w", c.a.Name, err)
	}
	right, err := newImageSide(y)
	if err != nil {
		return fmt.Errorf("%s: %w", c.b.Name, err)
	}
	if !bytes.Equal(left.config, right.config) {
		if d.Config, err = compareJSON(left.config, right.config, "rootfs.diff_ids"); err != nil {
			return fmt.Errorf("comparing the configs: %w", err)
		}
	}
	if err := c.compareLayers(ctx, d, left, right); err != nil {
		return err
	}
	if !bytes.Equal(left.config, right.config) && len(d.Config)+len(d.Layers) == 0 {
		d.Notes = append(d.Notes, "the configs have the same content in another encoding")
	}
	return nil
}

// imageSide is one side of a pair of images.
type imageSide struct {
	*source.Manifest
	config []byte
	layers []LayerInfo
}

func newImageSide(o *source.Manifest) (*imageSide, error) {
	raw, parsed, err := o.ReadConfig()
	if err != nil && raw == nil {
		return nil, err
	}
	one := &imageSide{Manifest: o, config: raw}
	for i, l := range o.Parsed.Layers {
		layer := LayerInfo{Layer: i + 1, MediaType: l.MediaType, Digest: l.Digest, Size: l.Size}
		if parsed != nil && len(parsed.RootFS.DiffIDs) == len(o.Parsed.Layers) {
			layer.DiffID = parsed.RootFS.DiffIDs[i]
		}
		one.layers = append(one.layers, layer)
	}
	return one, nil
}
