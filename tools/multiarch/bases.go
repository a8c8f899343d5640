package main

import (
	"context"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/base/pull"
	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/plan"
)

// bases opens the bases from registries that a build stands on, and remembers where they are from.
type bases struct {
	puller *pull.Puller

	mu     sync.Mutex
	opened []*pull.Image
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

// sources says where the layers of the bases stand.
func (b *bases) sources() map[v1.Hash]name.Repository {
	from := map[v1.Hash]name.Repository{}
	for _, i := range b.opened {
		for _, l := range i.Layers {
			from[l.Digest] = i.Repository
		}
	}
	return from
}

// fetch downloads all layers at once, for whoever will read them anyway.
func (b *bases) fetch(ctx context.Context) error { return b.puller.Fetch(ctx, b.opened) }
