package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/base"
	"github.com/multiarch-build/multiarch/tools/base/debian"
	"github.com/multiarch-build/multiarch/tools/image"
	"github.com/multiarch-build/multiarch/tools/layer"
	"github.com/multiarch-build/multiarch/tools/lock"
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
	make := func(ctx context.Context) (layer.Descriptor, error) {
		return l.merge(ctx, archive, key, b, options)
	}
	d, err := once(&l.mu, l.done, key, func() (d layer.Descriptor, err error) {
		if l.store.Get(recordKind, key, &d) && l.store.Has(d.Digest, d.Size) {
			return d, nil
		}
		return make(ctx)
	})
	if err != nil {
		return Base{}, err
	}
	intact := sync.OnceValue(func() error {
		if l.store.Check(d.Digest) {
			return nil
		}
		again, err := make(l.life)
		if err == nil && again != d {
			err = fmt.Errorf("layer %s came out as %s when it was made again", d.Digest, again.Digest)
		}
		return err
	})
	made := image.Layer{Descriptor: d, CreatedBy: image.CreatedByBase + c.Base.Name, Blob: func() (io.ReadCloser, error) {
		if err := intact(); err != nil {
			return nil, err
		}
		return l.store.Blob(d.Digest)
	}}
	return Base{Env: envOf(b.Packages), Layers: []image.Layer{made}}, nil
}

// envOf is what programs on these packages find in their environment: what those on the static base find, as far as it
// is there.
func envOf(packages []lock.Package) []string {
	env := base.StaticEnv()
	if !slices.ContainsFunc(packages, func(p lock.Package) bool { return p.Name == "ca-certificates" }) {
		env = env[:1]
	}
	return env
}

// merge fetches packages, all at once, and writes their layer.
func (l *layers) merge(ctx context.Context, archive *debian.Archive, key string, b *plan.BaseDebian, o layer.Options) (d layer.Descriptor, err error) {
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
