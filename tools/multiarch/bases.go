package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/base/pull"
	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/publish/release"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// bases opens the bases from registries that a build stands on, and remembers where they are from.
type bases struct {
	puller *pull.Puller

	mu     sync.Mutex
	opened []*pull.Image
	joined []*release.Joined
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

// runEngine builds the images of a plan, and joins those that consist of existing images beside the engine. The results
// are in the order of the plan. Layers are read until ctx ends.
func (a *app) runEngine(ctx context.Context, p *project, client registry.Client,
	o build.Options) ([]build.Result, error) {
	built := &plan.Plan{}
	var existing []plan.Image
	for _, i := range p.plan.Images {
		if len(i.From) > 0 {
			existing = append(existing, i)
		} else {
			built.Images = append(built.Images, i)
		}
	}
	// A failed join stops the build. Otherwise its context lasts as long as ctx, since the results read layers later.
	buildCtx, stop := context.WithCancel(ctx)
	context.AfterFunc(ctx, stop)
	joined := make([]*release.Joined, len(existing))
	var group errgroup.Group
	for n, i := range existing {
		group.Go(func() (err error) {
			if joined[n], err = release.JoinImage(ctx, client, i); err != nil {
				stop()
			}
			return err
		})
	}
	results, err := build.Run(buildCtx, built, o)
	if joinErr := group.Wait(); joinErr != nil {
		return nil, joinErr
	}
	if err != nil {
		stop()
		return nil, err
	}
	for n, i := range existing {
		for _, note := range joined[n].Notes {
			a.terminal.note("%s: %s", i.Name, note)
		}
		at, _ := slices.BinarySearchFunc(results, i.Name, func(r build.Result, name string) int {
			return strings.Compare(r.Name, name)
		})
		results = slices.Insert(results, at, build.Result{Name: i.Name, Index: joined[n].Index})
	}
	p.bases.joined = joined
	return results, nil
}

// sources returns the repositories of the layers of bases, and of the blobs of joined images.
func (b *bases) sources() map[v1.Hash]name.Repository {
	from := map[v1.Hash]name.Repository{}
	for _, i := range b.opened {
		for _, l := range i.Layers {
			from[l.Digest] = i.Repository
		}
	}
	for _, j := range b.joined {
		maps.Copy(from, j.Repositories)
	}
	return from
}

// fetch downloads all layers at once, for whoever will read them anyway.
func (b *bases) fetch(ctx context.Context) error { return b.puller.Fetch(ctx, b.opened) }
