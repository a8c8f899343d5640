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

// verify checks the manifest, the config and the layers of a child.
func (c *childCheck) verify(ctx context.Context, s *source.Source, cache *layerCache) error {
	if c.manifest == nil {
		return nil
	}
	o := c.manifest
	c.checkDigest("the manifest", o.Raw, c.Descriptor)
	c.checkMediaType("the manifest", o.Raw, c.Descriptor.MediaType)
	raw, config, err := o.ReadConfig()
	if err != nil && !s.IsDefect(ctx, err) {
		return err
	}
	if raw != nil {
		c.checkDigest("the config", raw, o.Parsed.Config)
	}
	if err != nil {
		c.damage(location{}, "%s", describeDefect("the config", err))
	}
	if c.AttestationOf != "" {
		return c.checkBlobs(ctx, s)
	}
	if err == nil && !o.Parsed.Config.MediaType.IsConfig() {
		c.damage(location{}, "the media type of the config is %q, which is not that of an image", o.Parsed.Config.MediaType)
		config = nil
	}
	if config == nil {
		return c.checkBlobs(ctx, s)
	}
	c.checkPlatform(config)
	root, err := c.checkLayers(ctx, s, cache, config)
	if err != nil {
		return err
	}
	c.checkPrograms(root, config)
	return nil
}

// checkPlatform compares the platforms in the descriptor and in the config.
func (c *childCheck) checkPlatform(config *v1.ConfigFile) {
	inConfig := arch.Canonical(config.OS, config.Architecture, config.Variant)
	switch {
	case config.OS == "" || config.Architecture == "":
		c.damage(location{}, "the config has no platform")
	case c.Descriptor.Platform == nil:
		c.Platform = inConfig
		c.child = inConfig.String()
	case c.Platform != inConfig:
		c.problem(finding.WrongPlatform, location{}, "its descriptor has %s, its config %s", c.Platform, inConfig)
	case c.Descriptor.Platform.OSVersion != "" && config.OSVersion != "" &&
		c.Descriptor.Platform.OSVersion != config.OSVersion:
		c.problem(finding.WrongPlatform, location{}, "its descriptor has os.version %s, its config %s",
			c.Descriptor.Platform.OSVersion, config.OSVersion)
	}
}

// checkBlobs checks the digests of the blobs of an artifact. Its content is not examined.
func (c *childCheck) checkBlobs(ctx context.Context, s *source.Source) error {
	for i, d := range c.manifest.Parsed.Layers {
		content, err := readLayer(ctx, s, c.manifest.Image, d, nil)
		if err != nil {
			return err
		}
		c.checkStored(layerLocation(i, d), d, content)
	}
	return nil
}

func layerLocation(i int, d v1.Descriptor) location {
	return location{layer: i + 1, digest: d.Digest.String()}
}

// checkLayers checks each layer and assembles the file system of the image.
func (c *childCheck) checkLayers(ctx context.Context, s *source.Source, cache *layerCache,
	config *v1.ConfigFile) (*rootfs, error) {
	descriptors, diffIDs := c.manifest.Parsed.Layers, config.RootFS.DiffIDs
	if len(descriptors) != len(diffIDs) {
		c.damage(location{}, "the manifest has %d layers, the config %d diffIDs", len(descriptors), len(diffIDs))
	}
	read, err := c.readLayers(ctx, cache, config)
	if err != nil {
		return nil, err
	}
	root := &rootfs{windows: c.Platform.OS == "windows"}
	for i, d := range descriptors {
		content := read[i]
		switch {
		case isExternal(d):
			c.note(NoteLayer, layerLocation(i, d), "not examined: its content is outside the registry")
			root.partial = true
			continue
		case content == nil:
			c.note(NoteLayer, layerLocation(i, d), "not examined: it is not downloaded, and no check depends on it")
			c.skipped++
			root.partial = true
			continue
		}
		var diffID v1.Hash
		if i < len(diffIDs) {
			diffID = diffIDs[i]
		}
		if !c.checkLayer(layerLocation(i, d), d, diffID, content) {
			root.partial = true
			continue
		}
		root.add(i, d, content)
	}
	return root, nil
}

// checkStored compares a blob with its descriptor and reports whether the content can be trusted.
func (c *childCheck) checkStored(at location, d v1.Descriptor, got *layerContents) bool {
	if got.readError != nil {
		if source.IsMissing(got.readError) {
			c.damage(at, "the blob is missing")
		} else {
			c.damage(at, "%v", got.readError)
		}
		return false
	}
	if got.Size != d.Size {
		c.damage(at, "the blob has %d bytes, its descriptor %d", got.Size, d.Size)
	}
	if got.Digest != d.Digest {
		c.damage(at, "the digest of the blob is %s", got.Digest)
		return false
	}
	return true
}

// checkLayer compares a layer with its descriptor and its diffID, which is zero if the config has none. It reports
// whether the files of the layer can be examined.
func (c *childCheck) checkLayer(at location, d v1.Descriptor, diffID v1.Hash, got *layerContents) bool {
	if !c.checkStored(at, d, got) {
		return false
	}
	if got.DecompressError != nil {
		c.damage(at, "cannot be decompressed: %v", got.DecompressError)
		return false
	}
	if stated, known := blob.CompressionOf(d.MediaType); !known {
		c.damage(at, "media type %q is not that of a layer", d.MediaType)
	} else if stated != got.Compression {
		c.damage(at, "its media type is that of %s, its content is %s", stated, got.Compression)
	}
	switch {
	case diffID == v1.Hash{}:
	case diffID.Algorithm != got.DiffID.Algorithm:
		c.note(NoteLayer, at, "its diffID is a %s, which is not checked", diffID.Algorithm)
	case diffID != got.DiffID:
		c.damage(at, "its diffID is %s, in the config %s", got.DiffID, diffID)
	}
	if errors.Is(got.TarError, errTooManyFiles) {
		c.problem(finding.NotExamined, at, "its files are not examined: %v", got.TarError)
		return false
	}
	if got.TarError != nil {
		c.damage(at, "is not a readable tar archive: %v", got.TarError)
		return false
	}
	return true
}

// checkPrograms checks the entrypoint, the user, the working directory, and every program and library.
func (c *childCheck) checkPrograms(root *rootfs, config *v1.ConfigFile) {
	root.findRedirects()
	row, known := findRow(c.Platform)
	if !known {
		c.note(NoteProgram, location{}, "programs are not examined: %s is not in the architecture table", c.Platform)
		return
	}
	p := programChecks{
		findings: &c.findings, root: root, row: row, platform: c.Platform,
		config: config.Config, started: map[*program]bool{}, libraries: newLibraryFinder(root, row, config.Config),
	}
	if c.Platform.Architecture == "arm" && c.Platform.Variant == "" {
		c.problem(finding.WrongPlatform, location{}, "%s has no variant; tools take it for v5, v6 or v7", c.Platform)
	}
	p.checkEntrypoint(config.Config)
	p.checkUser(config.Config.User)
	p.checkWorkdir(config.Config.WorkingDir)
	for _, l := range root.layers {
		for _, e := range l.programs {
			p.checkProgram(l, e)
		}
	}
	for _, l := range root.layers {
		for _, e := range l.libraries {
			p.checkLibrary(l, e)
		}
	}
	p.noteUnproven()
	if root.overLimit() {
		c.problem(finding.NotExamined, location{}, "its symbolic links are too complex to follow: not all files are examined")
	}
}

// findRow returns the row of a platform in the architecture table. If only the variant is unknown, the row has no
// level, so that everything that holds for all variants can still be checked.
func findRow(p arch.Platform) (arch.Row, bool) {
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
