package verify

import (
	"context"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// isExternal reports whether the content of a layer is outside the registry. It is never fetched from there.
func isExternal(d v1.Descriptor) bool { return !d.MediaType.IsDistributable() || len(d.URLs) > 0 }

// readLayers reads the layers of an image. Layers that require a download are nil unless a check depends on them.
func (c *childCheck) readLayers(ctx context.Context, cache *layerCache,
	config *v1.ConfigFile) ([]*layerContents, error) {
	descriptors := c.manifest.Parsed.Layers
	all := make([]*layerContents, len(descriptors))
	var away []int
	for i, d := range descriptors {
		switch {
		case isExternal(d):
		case cache.isRemote(d):
			away = append(away, i)
		default:
			var err error
			if all[i], err = cache.get(ctx, c.manifest.Image, d); err != nil {
				return nil, err
			}
		}
	}
	if len(away) == 0 || c.provenBy(all, config) {
		return all, nil
	}
	for _, i := range away {
		var err error
		if all[i], err = cache.get(ctx, c.manifest.Image, descriptors[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// provenBy reports whether the layers that were read prove that the image can be started: the entrypoint is a complete
// program that needs no other file, and the user is a number. Runtimes create a missing working directory.
func (c *childCheck) provenBy(read []*layerContents, config *v1.ConfigFile) bool {
	row, known := findRow(c.Platform)
	if !known || row.OS != "linux" {
		return false
	}
	root := &rootfs{partial: true}
	for i, content := range read {
		if content == nil {
			continue
		}
		if content.readError != nil || content.DecompressError != nil || content.TarError != nil {
			return false
		}
		root.add(i, c.manifest.Parsed.Layers[i], content)
	}
	root.findRedirects()
	for _, l := range root.layers {
		for _, p := range l.programs {
			if !p.isScript() && p.header == row.Header && !p.selfContained() {
				return false
			}
		}
	}
	settings := config.Config
	argv := settings.Entrypoint
	if len(argv) == 0 {
		argv = settings.Cmd
	}
	if len(argv) == 0 || !isNumericUser(settings.User) {
		return false
	}
	main, ok := root.resolveCertain(argv[0])
	if !ok || main.kind != regular || !main.executable || main.program == nil {
		return false
	}
	return !main.program.isScript() && main.program.header == row.Header && main.program.selfContained()
}

// selfContained reports whether a binary is complete and needs no interpreter and no library.
func (p *program) selfContained() bool {
	return p.truncated == "" && p.unreadable == "" && p.interpreter == "" && (p.links == nil || len(p.links.needed) == 0)
}

// resolveCertain resolves a path whose result no lower layer can change: all of its directories have their own entries.
func (r *rootfs) resolveCertain(name string) (resolved, bool) {
	if !path.IsAbs(name) || path.Clean(name) != name {
		return resolved{}, false
	}
	at := r.resolve(name)
	if !at.found || at.path != name && name != "/" || at.implied {
		return resolved{}, false
	}
	for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
		if above := r.resolve(dir); !above.found || above.path != dir || above.kind != directory || above.implied {
			return resolved{}, false
		}
	}
	return at, true
}
