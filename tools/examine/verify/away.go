package verify

import (
	"context"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// elsewhere tells whether the bytes of a layer are where the image's author has chosen. Nothing is fetched from there.
func elsewhere(d v1.Descriptor) bool { return !d.MediaType.IsDistributable() || len(d.URLs) > 0 }

// readLayers reads the layers of an image. Those that would have to be downloaded are nil, unless a check depends on them.
func (c *childState) readLayers(ctx context.Context, cache *layerCache, config *v1.ConfigFile) ([]*contents, error) {
	descriptors := c.opened.Parsed.Layers
	all := make([]*contents, len(descriptors))
	var away []int
	for i, d := range descriptors {
		switch {
		case elsewhere(d):
		case cache.away(d):
			away = append(away, i)
		default:
			var err error
			if all[i], err = cache.get(ctx, c.opened.Image, d); err != nil {
				return nil, err
			}
		}
	}
	if len(away) == 0 || c.decided(all, config) {
		return all, nil
	}
	for _, i := range away {
		var err error
		if all[i], err = cache.get(ctx, c.opened.Image, descriptors[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// decided tells whether the layers that were read prove by themselves that the image can be started: its entrypoint is a
// complete program that needs no other file, and the user is a number. Runtimes create a working directory that is missing.
func (c *childState) decided(read []*contents, config *v1.ConfigFile) bool {
	row, known := rowOf(c.Platform)
	if !known || row.OS != "linux" {
		return false
	}
	root := &rootfs{partial: true}
	for i, content := range read {
		if content == nil {
			continue
		}
		if content.fault != nil || content.DecompressError != nil || content.TarError != nil {
			return false
		}
		root.add(i, c.opened.Parsed.Layers[i], content)
	}
	root.settle()
	for _, l := range root.layers {
		for _, p := range l.programs {
			if !p.script() && p.header == row.Header && !p.independent() {
				return false
			}
		}
	}
	settings := config.Config
	argv := settings.Entrypoint
	if len(argv) == 0 {
		argv = settings.Cmd
	}
	if len(argv) == 0 || !numericUser(settings.User) {
		return false
	}
	main, ok := root.certain(argv[0])
	if !ok || main.kind != regular || !main.executable || main.program == nil {
		return false
	}
	return !main.program.script() && main.program.header == row.Header && main.program.independent()
}

// independent tells whether a binary is complete and needs no interpreter and no library.
func (p *program) independent() bool {
	return p.cut == "" && p.unread == "" && p.interpreter == "" && (p.links == nil || len(p.links.needed) == 0)
}

// certain finds a path that no lower layer can change the meaning of: all of its directories have entries of their own.
func (r *rootfs) certain(name string) (located, bool) {
	if !path.IsAbs(name) || path.Clean(name) != name {
		return located{}, false
	}
	at := r.resolve(name)
	if !at.found || at.path != name && name != "/" || at.implied {
		return located{}, false
	}
	for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
		if above := r.resolve(dir); !above.found || above.path != dir || above.kind != directory || above.implied {
			return located{}, false
		}
	}
	return at, true
}
