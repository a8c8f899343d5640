package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/base/pull"
	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// list caches the directory trees of bases that were just locked, so that builds need not read their layers. A build
// that finds no cached tree reads the layers itself.
func (a *app) list(ctx context.Context, o buildFlags, hosts map[string]registry.Host,
	found map[string]lock.Base) error {
	var images []string
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if found[name].Image != nil {
			images = append(images, name)
		}
	}
	if len(images) == 0 {
		return nil
	}
	cache, err := store()
	if err != nil {
		return err
	}
	progress := a.terminal.progress()
	defer progress.finish()
	client := a.client(o.insecure, o.jobs)
	client.Hosts = hosts
	puller := pull.NewPuller(client.Connected(), cache)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(client.Jobs, 4))
	for _, name := range images {
		image := found[name].Image
		for platform, child := range image.Platforms {
			if strings.HasPrefix(platform, "windows/") {
				continue // builds do not need the tree
			}
			group.Go(func() error {
				task := progress.start(platform+" "+name, string(build.Download))
				defer task.Done()
				base, err := puller.Open(ctx, name, image.Reference, child)
				if err == nil {
					_, err = build.Tree(cache, base.Layers, task.Bytes)
				}
				return err
			})
		}
	}
	return group.Wait()
}
