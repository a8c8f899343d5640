package pull

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/build/cache"
	"github.com/multiarch-build/multiarch/tools/internal/memo"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// maxConfig limits the size of an image config, which is read into memory. Registries accept manifests of up to 4 MiB.
const maxConfig = 8 << 20

// Puller opens locked bases.
type Puller struct {
	// KeepLayers also stores layers that are streamed, for callers that read them again.
	KeepLayers bool

	client registry.Client
	store  *cache.Store
	slots  chan struct{} // limits parallel downloads

	repos memo.Map[string, *registry.Blobs] // by repository name
}

// NewPuller returns a Puller that keeps blobs in a store.
func NewPuller(client registry.Client, store *cache.Store) *Puller {
	return &Puller{client: client, store: store, slots: make(chan struct{}, max(client.Jobs, 4))}
}

// Image is a base for one platform. Its layers are downloaded when they are read, because a push to a registry that
// already has them does not need their content.
type Image struct {
	Config *image.BaseConfig
	Layers []image.Layer
	// Repository stores the layers.
	Repository name.Repository
}

// Open reads the config of the base at a reference, for the platform that c is locked for. Its layers are read later,
// until ctx ends. base is its name in multiarch.yaml. Errors are *UnavailableError.
func (p *Puller) Open(ctx context.Context, base, reference string, c lock.Child) (*Image, error) {
	fail := func(err error) error {
		hint := "update the lock file; run: multiarch lock --update " + base
		if isRequestError(err) {
			hint = "check that this machine can reach the registry and that the login may read it, then run it again"
		}
		return &UnavailableError{base, err, hint}
	}
	ref, err := p.client.Parse(lock.Pinned(reference, c.Manifest.Digest))
	if err != nil {
		return nil, fail(err)
	}
	repo := ref.Context()
	content, err := p.readConfig(ctx, repo, c.Config)
	if err != nil {
		return nil, fail(err)
	}
	layers := make([]v1.Descriptor, len(c.Layers))
	for n, l := range c.Layers {
		layers[n] = v1.Descriptor{MediaType: l.MediaType, Digest: l.Digest, Size: l.Size}
	}
	out := &Image{Repository: repo}
	if out.Config, out.Layers, err = image.BaseLayers(base, content, layers); err != nil {
		return nil, fail(err)
	}
	out.Config.OSVersion = cmp.Or(out.Config.OSVersion, c.OSVersion)
	if out.Config.OSFeatures == nil {
		out.Config.OSFeatures = c.OSFeatures
	}
	for n, l := range c.Layers {
		out.Layers[n].Blob = func() (io.ReadCloser, error) {
			r, err := p.blob(ctx, repo, l)
			if err != nil {
				return nil, fail(err)
			}
			return r, nil
		}
		out.Layers[n].Stream = func(read func(io.Reader) error) error {
			if err := p.stream(ctx, repo, l, read); err != nil {
				return fail(err)
			}
			return nil
		}
	}
	return out, nil
}

func (p *Puller) readConfig(ctx context.Context, repo name.Repository, b lock.Blob) ([]byte, error) {
	if b.Size > maxConfig {
		return nil, fmt.Errorf("config %s has %d bytes, more than %d", b.Digest, b.Size, maxConfig)
	}
	r, err := p.blob(ctx, repo, b)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(r)
	return content, errors.Join(err, r.Close())
}

// Fetch downloads those layers of images that are missing from the store, in parallel.
func (p *Puller) Fetch(ctx context.Context, images []*Image) error {
	group, _ := errgroup.WithContext(ctx)
	for _, i := range images {
		for _, l := range i.Layers {
			if p.store.Has(l.Digest, l.Size) {
				continue // readers verify it
			}
			group.Go(func() error {
				r, err := l.Blob()
				if err != nil {
					return err
				}
				return r.Close()
			})
		}
	}
	return group.Wait()
}

// attempts is the number of downloads of a blob that disappears from the store before it is opened.
const attempts = 3

// blob opens a verified blob. It downloads the blob if the store lacks it or has a damaged copy.
func (p *Puller) blob(ctx context.Context, repo name.Repository, b lock.Blob) (blob io.ReadCloser, err error) {
	if blob, ok := p.store.OpenChecked(b.Digest); ok {
		return blob, nil
	}
	open := func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
		blobs, err := p.blobs(ctx, repo)
		if err != nil {
			return nil, 0, err
		}
		return blobs.Open(ctx, b.Digest.String(), offset)
	}
	p.slots <- struct{}{}
	defer func() { <-p.slots }()
	for range attempts {
		err := p.client.Retry(ctx, func(ctx context.Context) error {
			return p.store.Fetch(ctx, b.Digest, b.Size, open)
		})
		if err != nil {
			return nil, fmt.Errorf("reading %s from %s: %w", b.Digest, repo, err)
		}
		if blob, err = p.store.Blob(b.Digest); err == nil {
			return blob, nil
		}
	}
	return nil, err
}

// blobs returns the blobs of a repository. It logs in to each repository once.
func (p *Puller) blobs(ctx context.Context, repo name.Repository) (*registry.Blobs, error) {
	return p.repos.Get(repo.Name(), func() (*registry.Blobs, error) { return p.client.Blobs(ctx, repo) })
}
