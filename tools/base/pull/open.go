package pull

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/build/cache"
	"github.com/multiarch-build/multiarch/tools/internal/memo"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// maxConfig bounds an image config, which is read into memory. Registries take manifests of 4 MiB at most.
const maxConfig = 8 << 20

// Puller reads locked bases.
type Puller struct {
	// KeepLayers keeps layers that are only streamed as well, for a caller that reads them afterwards.
	KeepLayers bool

	client registry.Client
	store  *cache.Store
	slots  chan struct{} // as many as blobs may be downloaded at a time

	repos memo.Map[string, *registry.Blobs] // by name
}

// NewPuller returns a Puller that keeps what it reads in a store.
func NewPuller(client registry.Client, store *cache.Store) *Puller {
	return &Puller{client: client, store: store, slots: make(chan struct{}, max(client.Jobs, 4))}
}

// Image is a base for one platform. Layers are downloaded when they are read, and not before: pushing to the registry
// that has them needs none of their bytes.
type Image struct {
	Config *image.BaseConfig
	Layers []image.Layer
	// Repository is where the layers stand.
	Repository name.Repository
}

// Open reads what the base of a reference is on the platform that c is for: its config now, its layers later. base is its
// name in multiarch.yaml. ctx is the one that reading layers ends with. Errors are *UnavailableError.
func (p *Puller) Open(ctx context.Context, base, reference string, c lock.Child) (*Image, error) {
	fail := func(err error) error {
		hint := "the lock says what it was; run: multiarch lock --update " + base
		if asked(err) {
			hint = "see that the registry can be reached from here and lets this login read it, then run it again"
		}
		return &UnavailableError{base, err, hint}
	}
	ref, err := p.client.Parse(lock.Pinned(reference, c.Manifest.Digest))
	if err != nil {
		return nil, fail(err)
	}
	repo := ref.Context()
	if c.Config.Size > maxConfig {
		return nil, fail(fmt.Errorf("its config is %d bytes long", c.Config.Size))
	}
	raw, err := p.blob(ctx, repo, c.Config)
	if err != nil {
		return nil, fail(err)
	}
	content, err := io.ReadAll(raw)
	if err = errors.Join(err, raw.Close()); err != nil {
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

// asked tells whether err is one of asking a registry, and none of what it has: another lock would not help.
func asked(err error) bool {
	var answer *transport.Error
	if errors.As(err, &answer) {
		return answer.StatusCode != http.StatusNotFound
	}
	var broken *url.Error
	return errors.As(err, &broken)
}

// Fetch downloads the layers of images that are not in the store, all at once.
func (p *Puller) Fetch(ctx context.Context, images []*Image) error {
	group, _ := errgroup.WithContext(ctx)
	for _, i := range images {
		for _, l := range i.Layers {
			if p.store.Has(l.Digest, l.Size) {
				continue // whoever reads it checks it
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

// attempts is how often a blob is downloaded that disappears from the store before it is opened.
const attempts = 3

// blob opens a checked blob. It is downloaded if it is missing in the store or damaged there.
func (p *Puller) blob(ctx context.Context, repo name.Repository, b lock.Blob) (blob io.ReadCloser, err error) {
	if blob, ok := p.store.OpenChecked(b.Digest); ok {
		return blob, nil
	}
	p.slots <- struct{}{}
	defer func() { <-p.slots }()
	for range attempts {
		err := p.client.Retry(ctx, func(ctx context.Context) error {
			return p.store.Fetch(ctx, b.Digest, b.Size, func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
				blobs, err := p.blobs(ctx, repo)
				if err != nil {
					return nil, 0, err
				}
				return blobs.Open(ctx, b.Digest.String(), offset)
			})
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

// blobs logs in to each repository once.
func (p *Puller) blobs(ctx context.Context, repo name.Repository) (*registry.Blobs, error) {
	return p.repos.Get(repo.Name(), func() (*registry.Blobs, error) { return p.client.Blobs(ctx, repo) })
}
