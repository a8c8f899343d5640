package build

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"

	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/base"
	"github.com/multiarch-build/multiarch/tools/base/debian"
	"github.com/multiarch-build/multiarch/tools/image"
	"github.com/multiarch-build/multiarch/tools/layer"
	"github.com/multiarch-build/multiarch/tools/plan"
)

// packages makes the layer of a base of Debian packages. The layer is known by its packages, so that nothing is
// fetched, nor unpacked, where it is in the store.
func (l *layers) packages(ctx context.Context, c plan.Child, mirrors []string) (Base, error) {
	b := c.Base.Debian
	if b.Mirror != "" {
		mirrors = []string{b.Mirror}
	}
	archive := &debian.Archive{Mirrors: mirrors, Suite: b.Suite}
	options := optionsOf(c)
	recipe, err := json.Marshal([]any{debian.Format, layer.Format, b.Packages, b.Slim, options})
	if err != nil {
		return Base{}, err
	}
	key := string(recipe)
	made, err := l.kept(key, image.CreatedByBase+c.Base.Name,
		func() (layer.Descriptor, error) { return l.merge(ctx, archive, key, b, options) },
		func() (layer.Descriptor, error) { return l.merge(l.life, archive, key, b, options) })
	if err != nil {
		return Base{}, err
	}
	return Base{Env: base.PackagesEnv(b.Packages), Layers: []image.Layer{*made}}, nil
}

// merge fetches packages and writes their layer. It starts again if the cache is removed meanwhile.
func (l *layers) merge(ctx context.Context, archive *debian.Archive, key string, b *plan.BaseDebian, o layer.Options) (d layer.Descriptor, err error) {
	for range attempts {
		if d, err = l.mergeOnce(ctx, archive, key, b, o); !errors.Is(err, fs.ErrNotExist) || ctx.Err() != nil {
			break
		}
	}
	return d, err
}

// mergeOnce fetches all packages at once.
func (l *layers) mergeOnce(ctx context.Context, archive *debian.Archive, key string, b *plan.BaseDebian, o layer.Options) (d layer.Descriptor, err error) {
	fetching, fetchCtx := errgroup.WithContext(ctx)
	fetching.SetLimit(8)
	debs := make([]debian.Deb, len(b.Packages))
	for i, p := range b.Packages {
		fetching.Go(func() (err error) {
			debs[i], err = archive.Fetch(fetchCtx, l.store, debian.Package(p))
			return err
		})
	}
	if err := fetching.Wait(); err != nil {
		return d, err
	}
	tree, err := l.unpack(ctx, debs, b.Slim)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, tree.Close()) }()
	return l.write(ctx, key, tree.Entries, o)
}

func (l *layers) unpack(ctx context.Context, debs []debian.Deb, slim bool) (*debian.Tree, error) {
	l.slots <- struct{}{}
	defer func() { <-l.slots }()
	dir, err := l.store.Folder("tmp")
	if err != nil {
		return nil, err
	}
	return debian.Merge(ctx, debs, debian.Options{Slim: slim, Spill: dir})
}
