package release

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// JoinParts returns the plan with every image joined from its parts instead of built. The parts are under these tags in
// the first repository of the image. All platforms are required, though not under every tag: a machine may have built
// only some of the images.
func JoinParts(ctx context.Context, client registry.Client, p *plan.Plan, tags []string) (*plan.Plan, error) {
	puller, err := remote.NewPuller(client.Options(ctx)...)
	if err != nil {
		return nil, fmt.Errorf("preparing to read parts: %w", err)
	}
	joined := &plan.Plan{Images: slices.Clone(p.Images)}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(client.Jobs, 8))
	for n := range joined.Images {
		i := &joined.Images[n]
		if len(i.Children) == 0 {
			continue // it joins other images anyway
		}
		i.Platforms = slices.Clone(i.Platforms)
		for _, c := range i.Children {
			i.Platforms = append(i.Platforms, c.Platform)
		}
		i.Children = nil
		group.Go(func() error {
			var err error
			if i.From, err = existingParts(ctx, client, puller, i.Push.Repository, tags); err != nil {
				return &SourceError{
					fmt.Errorf("image %s: %w", i.Name, err),
					"check that the registry is reachable and that your credentials allow reading it",
				}
			}
			return nil
		})
	}
	return joined, group.Wait()
}

// existingParts returns the parts that a repository has. If it has none, it returns all that it could have, so that
// joining them reports the error.
func existingParts(ctx context.Context, client registry.Client, puller *remote.Puller, repository string,
	tags []string) ([]plan.From, error) {
	var found, missing []plan.From
	for _, tag := range tags {
		part := plan.From{Reference: repository + ":" + tag}
		ref, err := client.Parse(part.Reference)
		if err != nil {
			return nil, err
		}
		var answer *transport.Error
		switch _, err := puller.Get(ctx, ref); {
		case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
			missing = append(missing, part)
		case err != nil:
			return nil, fmt.Errorf("looking up %s: %w", part.Reference, err)
		default:
			found = append(found, part)
		}
	}
	if len(found) == 0 {
		return missing, nil
	}
	return found, nil
}
