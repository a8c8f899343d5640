package push

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// blobUpload is a blob and all repositories of one registry that need it.
type blobUpload struct {
	content.Blob
	destinations []*destination
	sources      []name.Repository // other repositories that have the blob
}

// destination is a repository that needs a blob.
type destination struct {
	repo name.Repository
	size int64
	// present reports whether the repository has the blob, by itself or through a manifest that refers to it. missing
	// reports that the repository answered that it does not.
	present, missing bool
	// targets are the indexes of the targets that need the blob here. Targets of one name count as the first of them.
	targets []int
	// counted is the number of bytes that count as complete, reader the upload that may change it.
	counted int64
	reader  *countedReader
	// uploaded reports whether the content was sent, as opposed to mounted.
	uploaded bool
}

// blobTransfer is the upload or mount of a blob into a repository that lacks it.
type blobTransfer struct {
	*blobUpload
	to *destination
	// mountFrom is a repository of the same registry to mount from, nil to upload.
	mountFrom *name.Repository
	// afterUpload reports that mountFrom is a destination of this push, which may receive the blob first.
	afterUpload bool
	// missing reports that the destination lacks the blob for certain. Some registries store blobs for all repositories
	// at once, so an upload to another repository makes this unknown.
	missing bool
}

// checkBlobs checks for every blob that no existing manifest guarantees. This costs no extra requests:
// go-containerregistry begins each upload with this check and skips it if the result is known.
func (p *pusher) checkBlobs(ctx context.Context, progress func(string, int64, int64)) error {
	p.blobs, p.progress = collectBlobs(p.images, p.targets, progress)
	work := hostQueues{}
	for _, b := range p.blobs {
		for _, to := range b.destinations {
			if to.present {
				continue
			}
			work.add(to.repo, func(ctx context.Context) error {
				err := p.client.Retry(ctx, func(ctx context.Context) error {
					layer, err := p.puller.Layer(ctx, to.repo.Digest(b.Digest.String()))
					if err == nil {
						to.present, err = partial.Exists(layer)
						to.missing = err == nil && !to.present
					}
					return err
				})
				if serverFailed(err) {
					to.missing = true // unreadable content is sent again
					return nil
				}
				if err != nil && !absent(err) {
					return fmt.Errorf("%s: checking for the blob in %s: %w", b.Label, to.repo, err)
				}
				return nil
			})
		}
	}
	return p.run(ctx, work)
}

// transfers returns how the blob reaches all repositories that lack it. Its content is sent to the registry at most
// once, and not at all if a repository has it or can mount it. Preview shows these transfers and Run executes them.
func (b *blobUpload) transfers() ([]blobTransfer, error) {
	var all []blobTransfer
	var holder *name.Repository
	held := slices.IndexFunc(b.destinations, func(to *destination) bool { return to.present })
	if held >= 0 {
		holder = &b.destinations[held].repo
	}
	for _, to := range b.destinations {
		switch {
		case to.present:
		case holder != nil:
			all = append(all, blobTransfer{
				blobUpload: b, to: to, mountFrom: holder, afterUpload: true, missing: to.missing && held >= 0,
			})
		default:
			t := blobTransfer{blobUpload: b, to: to, missing: to.missing}
			layer, err := b.Layer()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", b.Label, err)
			}
			if source, ok := b.mountSource(layer, to.repo); ok {
				t.mountFrom = &source
			}
			all = append(all, t)
			holder = &to.repo
		}
	}
	return all, nil
}

// uploadBlobs sends missing blobs, and then mounts them in the other repositories that need them.
func (p *pusher) uploadBlobs(ctx context.Context) error {
	uploads, mounts := hostQueues{}, hostQueues{}
	for _, b := range p.blobs {
		for _, to := range b.destinations {
			if to.present {
				p.progress.finish(to)
			}
		}
		transfers, err := b.transfers()
		if err != nil {
			return err
		}
		for _, t := range transfers {
			queue := uploads
			if t.afterUpload {
				queue = mounts
			}
			// A mount has the size of the blob too: a registry may refuse it, and the content is sent.
			queue.addSized(t.to.repo, t.Size, func(ctx context.Context) error { return p.transfer(ctx, t) })
		}
	}
	if err := p.run(ctx, uploads); err != nil {
		return err
	}
	return p.run(ctx, mounts)
}

// transfer uploads or mounts a blob. If the registry refuses to mount, the content is uploaded.
func (p *pusher) transfer(ctx context.Context, t blobTransfer) error {
	layer, err := t.Layer()
	if err != nil {
		return fmt.Errorf("%s: %w", t.Label, err)
	}
	counted := &countedLayer{Layer: unwrapMountable(layer), meter: p.progress, to: t.to}
	if sources := t.otherRepositories(layer); len(sources) > 0 {
		counted.source = sources[0].RegistryStr()
	}
	upload := v1.Layer(counted)
	if t.mountFrom != nil {
		upload = &remote.MountableLayer{Layer: upload, Reference: t.mountFrom.Digest(t.Digest.String())}
	}
	missing := t.missing
	err = p.retryUpload(ctx, func(ctx context.Context) error {
		if missing { // only for the first attempt: a failed one may have stored the blob
			ctx, missing = registry.WithMissingBlob(ctx, t.Digest.String()), false
		}
		return p.uploader.Upload(ctx, t.to.repo, upload)
	})
	if t.mountFrom != nil && unauthorized(err) && !sourceFailed(err) {
		// A token for mounting includes reading mountFrom. Without that permission, pushing may still be allowed.
		err = p.retryUpload(ctx, func(ctx context.Context) error { return p.noMount.Upload(ctx, t.to.repo, counted) })
	}
	if err != nil {
		return fmt.Errorf("%s: uploading to %s: %w", t.Label, t.to.repo, err)
	}
	p.progress.finish(t.to)
	return nil
}

// retryUpload retries an upload, unless reading its content from another registry failed: the reader has retried that.
func (p *pusher) retryUpload(ctx context.Context, upload func(context.Context) error) error {
	var unread error
	err := p.client.Retry(ctx, func(ctx context.Context) error {
		err := upload(ctx)
		if unread = nil; sourceFailed(err) {
			unread, err = err, nil
		}
		return err
	})
	return cmp.Or(err, unread)
}

// sourceFailed reports whether err is about reading content from another registry.
func sourceFailed(err error) bool {
	var at *registryError
	return errors.As(err, &at) && at.action == actionRead
}

// mountSource returns another repository of the same registry that has the blob.
func (b *blobUpload) mountSource(layer v1.Layer, to name.Repository) (name.Repository, bool) {
	from := b.otherRepositories(layer)
	i := slices.IndexFunc(from, func(r name.Repository) bool {
		return r.RegistryStr() == to.RegistryStr() && r.RepositoryStr() != to.RepositoryStr()
	})
	if i < 0 {
		return name.Repository{}, false
	}
	return from[i], true
}

// otherRepositories returns repositories that have the blob: those in Target.Sources, and the one that the layer is
// read from.
func (b *blobUpload) otherRepositories(layer v1.Layer) []name.Repository {
	if m, ok := layer.(*remote.MountableLayer); ok {
		return append(slices.Clip(b.sources), m.Reference.Context())
	}
	return b.sources
}

// unwrapMountable returns the layer without the repository that it is read from.
func unwrapMountable(layer v1.Layer) v1.Layer {
	if m, ok := layer.(*remote.MountableLayer); ok {
		return m.Layer
	}
	return layer
}
