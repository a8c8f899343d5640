package verify

import (
	"context"
	"errors"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/blob"
	"github.com/multiarch-build/multiarch/tools/oci/source"
	"github.com/multiarch-build/multiarch/tools/spec/finding"
)

// verify looks at everything below the descriptor of a child.
func (c *childState) verify(ctx context.Context, s *source.Source, cache *layerCache) error {
	if c.opened == nil {
		return nil
	}
	o := c.opened
	c.bytes("the manifest", o.Raw, c.Descriptor)
	c.kind("the manifest", o.Raw, c.Descriptor.MediaType)
	raw, config, err := o.ReadConfig()
	if err != nil && !s.IsDefect(ctx, err) {
		return err
	}
	if raw != nil {
		c.bytes("the config", raw, o.Parsed.Config)
	}
	if err != nil {
		c.damage(place{}, "%s", complaint("the config", err))
	}
	if c.AttestationOf != "" {
		return c.blobs(ctx, s)
	}
	if err == nil && !o.Parsed.Config.MediaType.IsConfig() {
		c.damage(place{}, "the media type of the config is %q, which is no image config", o.Parsed.Config.MediaType)
		config = nil
	}
	if config == nil {
		return c.blobs(ctx, s)
	}
	c.platforms(config)
	root, err := c.layers(ctx, s, cache, config)
	if err != nil {
		return err
	}
	c.executables(root, config)
	return nil
}

// platforms compares descriptor and config.
func (c *childState) platforms(config *v1.ConfigFile) {
	said := arch.Canonical(config.OS, config.Architecture, config.Variant)
	switch {
	case config.OS == "" || config.Architecture == "":
		c.damage(place{}, "the config says no platform")
	case c.Descriptor.Platform == nil:
		c.Platform = said
		c.child = said.String()
	case c.Platform != said:
		c.problem(finding.WrongPlatform, place{}, "its descriptor says %s, its config %s", c.Platform, said)
	case c.Descriptor.Platform.OSVersion != "" && config.OSVersion != "" && c.Descriptor.Platform.OSVersion != config.OSVersion:
		c.problem(finding.WrongPlatform, place{}, "its descriptor says os.version %s, its config %s", c.Descriptor.Platform.OSVersion, config.OSVersion)
	}
}

// blobs checks the blobs of something that is no image, whose content means nothing here.
func (c *childState) blobs(ctx context.Context, s *source.Source) error {
	for i, d := range c.opened.Parsed.Layers {
		content, err := readLayer(ctx, s, c.opened.Image, d, nil)
		if err != nil {
			return err
		}
		c.stored(at(i, d), d, content)
	}
	return nil
}

func at(i int, d v1.Descriptor) place { return place{layer: i + 1, digest: d.Digest.String()} }

// layers checks the layers one by one, and puts the file system of the image together.
func (c *childState) layers(ctx context.Context, s *source.Source, cache *layerCache, config *v1.ConfigFile) (*rootfs, error) {
	descriptors, diffIDs := c.opened.Parsed.Layers, config.RootFS.DiffIDs
	if len(descriptors) != len(diffIDs) {
		c.damage(place{}, "the manifest has %d layers, the config %d diffIDs", len(descriptors), len(diffIDs))
	}
	read, err := c.readLayers(ctx, cache, config)
	if err != nil {
		return nil, err
	}
	root := &rootfs{windows: c.Platform.OS == "windows"}
	for i, d := range descriptors {
		content := read[i]
		switch {
		case elsewhere(d):
			c.note(at(i, d), "comes from outside of the registry: not examined")
			root.partial = true
			continue
		case content == nil:
			c.note(at(i, d), "not examined: it is not downloaded, and no check depends on it")
			c.away++
			root.partial = true
			continue
		}
		var diffID v1.Hash
		if i < len(diffIDs) {
			diffID = diffIDs[i]
		}
		if !c.layer(at(i, d), d, diffID, content) {
			root.partial = true
			continue
		}
		root.add(i, d, content)
	}
	return root, nil
}

// stored compares a blob with its descriptor. Where it returns false the content cannot be trusted.
func (c *childState) stored(at place, d v1.Descriptor, got *contents) bool {
	if got.fault != nil {
		if source.IsMissing(got.fault) {
			c.damage(at, "the blob is missing")
		} else {
			c.damage(at, "%v", got.fault)
		}
		return false
	}
	if got.Size != d.Size {
		c.damage(at, "the blob has %d bytes, the manifest says %d", got.Size, d.Size)
	}
	if got.Digest != d.Digest {
		c.damage(at, "the digest of the blob is %s", got.Digest)
		return false
	}
	return true
}

// layer compares a layer with what manifest and config say of it. diffID is zero where the config says nothing. Where
// layer returns false its files cannot be examined.
func (c *childState) layer(at place, d v1.Descriptor, diffID v1.Hash, got *contents) bool {
	if !c.stored(at, d, got) {
		return false
	}
	if got.DecompressError != nil {
		c.damage(at, "cannot be decompressed: %v", got.DecompressError)
		return false
	}
	if said, known := blob.CompressionOf(d.MediaType); !known {
		c.damage(at, "its media type %q is not that of a layer", d.MediaType)
	} else if said != got.Compression {
		c.damage(at, "its media type says %s, its bytes are %s", said, got.Compression)
	}
	switch {
	case diffID == v1.Hash{}:
	case diffID.Algorithm != got.DiffID.Algorithm:
		c.note(at, "its diffID is a %s, which is not checked", diffID.Algorithm)
	case diffID != got.DiffID:
		c.damage(at, "its diffID is %s, the config says %s", got.DiffID, diffID)
	}
	if errors.Is(got.TarError, errCrowded) {
		c.problem(finding.NotExamined, at, "its files are not examined: %v", got.TarError)
		return false
	}
	if got.TarError != nil {
		c.damage(at, "is not a readable tar archive: %v", got.TarError)
		return false
	}
	return true
}

// executables looks at the programs in the image.
func (c *childState) executables(root *rootfs, config *v1.ConfigFile) {
	root.settle()
	row, known := rowOf(c.Platform)
	if !known {
		c.note(place{}, "%s is no platform of the architecture table: its executables are not examined", c.Platform)
		return
	}
	p := programs{
		findings: &c.findings, root: root, row: row, platform: c.Platform,
		config: config.Config, started: map[*program]bool{}, loading: newLibraries(root, row, config.Config),
	}
	if c.Platform.Architecture == "arm" && c.Platform.Variant == "" {
		c.problem(finding.WrongPlatform, place{}, "%s has no variant, and means v5, v6 or v7 to different tools", c.Platform)
	}
	p.entrypoint(config.Config)
	p.user(config.Config.User)
	p.workdir(config.Config.WorkingDir)
	for _, l := range root.layers {
		for _, e := range l.programs {
			p.check(l, e)
		}
	}
	for _, l := range root.layers {
		for _, e := range l.libraries {
			p.plugin(l, e)
		}
	}
	p.summarise()
	if root.exhausted() {
		c.problem(finding.NotExamined, place{}, "its links are too involved to be followed: not all files are examined")
	}
}

// rowOf finds the row of a platform. For a variant that is not in the table, and for none, it is one without a level:
// what is true for all variants can still be checked.
func rowOf(p arch.Platform) (arch.Row, bool) {
	if row, ok := arch.Find(p); ok {
		return row, true
	}
	for _, row := range arch.Table() {
		if row.OS == p.OS && row.Architecture == p.Architecture {
			row.Go.Level = arch.EnvVar{}
			return row, true
		}
	}
	return arch.Row{}, false
}
