package build

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"

	"github.com/multiarch-build/multiarch/tools/base/debian"
	"github.com/multiarch-build/multiarch/tools/base/static"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// packages builds the layer of a Debian base. Its key consists of the packages, so that nothing is
// downloaded or unpacked if the store has it.
func (l *layers) packages(ctx context.Context, c plan.Child, fetcher debian.Fetcher) (Base, error) {
	b := c.Base.Debian
	options := optionsOf(c)
	recipe, err := json.Marshal([]any{debian.Format, layer.Format, b.Packages, b.Slim, options})
	if err != nil {
		return Base{}, err
	}
	key := string(recipe)
	debianLayer, err := l.cached(key, image.CreatedByBase+c.Base.Name,
		func() (layer.Descriptor, error) { return l.merge(ctx, fetcher, key, c, options) },
		func() (layer.Descriptor, error) { return l.merge(l.readContext, fetcher, key, c, options) })
	if err != nil {
		return Base{}, err
	}
	return Base{Env: static.PackagesEnv(b.Packages), Layers: []image.Layer{*debianLayer}}, nil
}

// merge downloads packages and writes their layer. It starts again if the cache is removed in the
// meantime.
func (l *layers) merge(ctx context.Context, fetcher debian.Fetcher, key string, c plan.Child,
	o layer.Options) (d layer.Descriptor, err error) {
	for range attempts {
		if d, err = l.mergeOnce(ctx, fetcher, key, c, o); !errors.Is(err, fs.ErrNotExist) || ctx.Err() != nil {
			break
		}
	}
	return d, err
}

// mergeOnce downloads all packages in parallel.
func (l *layers) mergeOnce(ctx context.Context, fetcher debian.Fetcher, key string, c plan.Child,
	o layer.Options) (d layer.Descriptor, err error) {
	b := c.Base.Debian
	step := func(stage Stage) Step { return Step{stage, c.Platform, []string{c.Base.Name}} }
	running := l.start(step(Download))
	debs, err := fetcher.Fetch(ctx, l.store, b.Locked, b.Packages, running.Bytes)
	running.Done()
	if err != nil {
		return d, err
	}
	tree, err := l.unpack(ctx, step(Package), debs, b.Slim)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, tree.Close()) }()
	return l.write(ctx, step(Compress), key, tree.Entries, o)
}

func (l *layers) unpack(ctx context.Context, step Step, debs []debian.Deb, slim bool) (*debian.Tree, error) {
	l.slots <- struct{}{}
	defer func() { <-l.slots }()
	running := l.start(step)
	defer running.Done()
	dir, err := l.store.Folder("tmp")
	if err != nil {
		return nil, err
	}
	return debian.Merge(ctx, debs, debian.Options{Slim: slim, TempDir: dir})
}
