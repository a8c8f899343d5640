package main

import (
	"context"
	"maps"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/base/pull"
	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/oci/join"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// bases opens the bases from registries that a build stands on, and remembers where they are from.
type bases struct {
	puller *pull.Puller

	mu     sync.Mutex
	opened []*pull.Image
	joined []*joined // images that consist of existing ones
}

// opener returns what opens a base. Layers are read until life ends, which is after the build itself.
func (b *bases) opener(life context.Context) func(context.Context, plan.Base) (build.Base, error) {
	return func(ctx context.Context, from plan.Base) (build.Base, error) {
		if err := ctx.Err(); err != nil {
			return build.Base{}, err
		}
		i, err := b.puller.Open(life, from.Name, from.Image.Reference, from.Image.Child)
		if err != nil {
			return build.Base{}, err
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.opened = append(b.opened, i)
		return build.Base{Config: i.Config, Layers: i.Layers}, nil
	}
}

// joiner returns what joins existing images, and says which they are. Their layers are read until life ends.
func (b *bases) joiner(life context.Context, a *app, client registry.Client) func(context.Context, plan.Image) (v1.ImageIndex, error) {
	return func(ctx context.Context, i plan.Image) (v1.ImageIndex, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var wanted []existing
		for _, f := range i.From {
			e := existing{reference: f.Reference}
			if f.Platform != (arch.Platform{}) {
				e.platform = &v1.Platform{OS: f.Platform.OS, Architecture: f.Platform.Architecture, Variant: f.Platform.Variant}
			}
			wanted = append(wanted, e)
		}
		j, err := joinExisting(life, client, wanted, join.Options{Only: i.Platforms, Annotations: i.Annotations})
		if err != nil {
			return nil, err
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.joined = append(b.joined, j)
		for _, note := range j.Notes {
			a.terminal.note("%s: %s", i.Name, note)
		}
		return j.Index, nil
	}
}

// sources says where the layers of the bases, and the existing images that were joined, stand.
func (b *bases) sources() map[v1.Hash]name.Repository {
	from := map[v1.Hash]name.Repository{}
	for _, i := range b.opened {
		for _, l := range i.Layers {
			from[l.Digest] = i.Repository
		}
	}
	for _, j := range b.joined {
		maps.Copy(from, j.sources)
	}
	return from
}

// fetch downloads all layers at once, for whoever will read them anyway.
func (b *bases) fetch(ctx context.Context) error { return b.puller.Fetch(ctx, b.opened) }
