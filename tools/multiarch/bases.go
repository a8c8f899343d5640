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

// bases opens the base images of a build and records the repositories of their blobs.
type bases struct {
	puller *pull.Puller

	mu     sync.Mutex
	opened []*pull.Image
	joined []*release.Joined
}

// opener returns a function that opens a base image. Its layers can be read until layerCtx ends, which is after the
// build.
func (b *bases) opener(layerCtx context.Context) func(context.Context, plan.Base) (build.Base, error) {
	return func(ctx context.Context, from plan.Base) (build.Base, error) {
		if err := ctx.Err(); err != nil {
			return build.Base{}, err
		}
		i, err := b.puller.Open(layerCtx, from.Name, from.Image.Reference, from.Image.Child)
		if err != nil {
			return build.Base{}, err
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.opened = append(b.opened, i)
		return build.Base{Config: i.Config, Layers: i.Layers}, nil
	}
}

// runEngine builds the images of a plan, and in parallel joins those that consist of existing images. The results are
// in the order of the plan. Layers can be read until ctx ends.
func (a *app) runEngine(ctx context.Context, p *plan.Plan, b *bases, client registry.Client,
	o build.Options) ([]build.Result, error) {
	built := &plan.Plan{}
	var existing []plan.Image
	for _, i := range p.Images {
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
	b.joined = joined
	return results, nil
}

// repositories returns the repositories of the layers of base images, and of the blobs of joined images.
func (b *bases) repositories() map[v1.Hash]name.Repository {
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

// fetch downloads all layers in parallel, for callers that read all of them.
func (b *bases) fetch(ctx context.Context) error { return b.puller.Fetch(ctx, b.opened) }
