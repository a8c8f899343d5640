// Package push uploads image indexes to registries, all or nothing. Blobs come first, then the manifests of images,
// then indexes by their digests; tags move only after everything they refer to has been read back. If a tag cannot be
// moved, the tags moved before it are rolled back. Content that a registry already has is neither read nor sent, and
// NewPreview reports what Run would do without writing anything.
package push

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// Run pushes the targets and returns all tags in the order of the targets, those of an index before those of its
// single images. An index without tags is returned by its digest.
//
// Each step ends for all targets in all registries before the next one begins:
//
//  1. Check what the registries have: tags, manifests, and the blobs of missing manifests.
//  2. Upload blobs, then image manifests, then indexes by digest.
//  3. Read back all manifests, and the tags once more.
//  4. Move the tags of single images, then those of indexes.
//  5. Read back all tags.
//
// If a tag cannot be moved, moved tags are rolled back to what they were in step 3 and new ones are deleted, even if
// ctx has ended. If another release moved a tag in the meantime, the error wraps an *OverwrittenError, or a
// *ChangedError if that tag has an expected digest.
//
// A blob is sent at most once per registry: other repositories mount it. Failed requests are retried according to
// client.Backoff, and client.JobsOf limits the requests per registry (0: 96).
//
// Names, tags and platforms are checked before any request. Later errors are of type *Error. They wrap an
// *ImmutableError or a *ChangedError, before anything is uploaded, if a tag must not move.
//
// progress may be nil. It is called with the name of a target and the bytes of its blobs that its registries have and
// need. Calls do not overlap. A retried upload counts again from its start.
func Run(
	ctx context.Context, client registry.Client, targets []Target, progress func(target string, complete, total int64),
) ([]Artifact, error) {
	p, err := newPusher(ctx, client, targets)
	if err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{
		p.checkExisting,
		p.checkImmutable,
		func(ctx context.Context) error { return p.checkBlobs(ctx, progress) },
		p.uploadBlobs,
		p.uploadImages,
		p.uploadIndexes,
		p.readBackManifests,
		p.recheckTags,
		p.moveTags,
		p.readBackTags,
	} {
		if err := step(ctx); err != nil {
			return nil, p.fail(err)
		}
	}
	var pushed []Artifact
	for _, u := range p.images {
		if len(u.tags) == 0 {
			pushed = append(pushed, u.Artifact)
		}
		for _, t := range u.tags {
			pushed = append(pushed, t.Artifact)
		}
	}
	return pushed, nil
}

// pusher is one run of Run or NewPreview.
type pusher struct {
	client   registry.Client
	uploader *remote.Pusher
	// noMount is an uploader that never mounts, so that it never requests a token for another repository.
	noMount   *remote.Pusher
	puller    *remote.Puller
	targets   []Target
	images    []imageUpload
	manifests []*manifestUpload // each once per repository
	blobs     []*blobUpload     // set by checkBlobs
	progress  *progressMeter

	rollbackFailures []RollbackFailure
}

func newPusher(ctx context.Context, client registry.Client, targets []Target) (*pusher, error) {
	images, err := resolve(client, targets)
	if err != nil {
		return nil, err
	}
	client.Jobs = cmp.Or(client.Jobs, defaultJobs)
	options := client.Options(ctx)
	uploader, err1 := remote.NewPusher(options...)
	noMount, err2 := remote.NewPusher(options...)
	puller, err3 := remote.NewPuller(options...)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("preparing to push: %w", err)
	}
	p := &pusher{client: client, uploader: uploader, noMount: noMount, puller: puller, targets: targets, images: images}
	known := map[string]*manifestUpload{}
	for i := range images {
		u := &images[i]
		for _, m := range u.graph.Manifests {
			ref := u.repo.Digest(m.Digest.String())
			one := known[ref.Name()]
			if one == nil {
				one = &manifestUpload{Manifest: m, ref: ref}
				known[ref.Name()] = one
				p.manifests = append(p.manifests, one)
			}
			u.manifests = append(u.manifests, one)
		}
	}
	return p, nil
}

// uploadImages uploads all manifests except indexes, by digest.
func (p *pusher) uploadImages(ctx context.Context) error {
	work := hostQueues{}
	for _, m := range p.manifests {
		if !m.IsIndex() && !m.present {
			work.add(m.ref.Context(), func(ctx context.Context) error { return p.uploadManifest(ctx, m) })
		}
	}
	return p.run(ctx, work)
}

// uploadIndexes uploads indexes by digest, nested ones first.
func (p *pusher) uploadIndexes(ctx context.Context) error {
	work := hostQueues{}
	for _, u := range p.images {
		var missing []*manifestUpload
		for _, m := range u.manifests {
			if m.IsIndex() && !m.present {
				missing = append(missing, m)
			}
		}
		if len(missing) == 0 {
			continue
		}
		work.add(u.repo, func(ctx context.Context) error {
			for _, m := range missing {
				if err := p.uploadManifest(ctx, m); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return p.run(ctx, work)
}

// uploadManifest uploads a manifest by digest, unless another goroutine has done so.
func (p *pusher) uploadManifest(ctx context.Context, m *manifestUpload) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.present {
		return nil
	}
	err := p.client.Retry(ctx, func(ctx context.Context) error { return p.uploader.Put(ctx, m.ref, m.Object) })
	if status := statusOf(err); m.Foreign && status >= 400 && !unauthorized(err) {
		err = &registry.ForeignLayerError{Err: err}
	}
	if err != nil {
		return fmt.Errorf("%s: uploading the manifest to %s: %w", m.Label, m.ref, err)
	}
	m.present, m.uploaded = true, true
	return nil
}

// uploadedManifests reports whether any manifest was uploaded.
func (p *pusher) uploadedManifests() bool {
	return slices.ContainsFunc(p.manifests, func(m *manifestUpload) bool { return m.uploaded })
}

// readBackManifests checks that all manifests exist. A registry that collects garbage may have removed a manifest that
// existed before the uploads.
func (p *pusher) readBackManifests(ctx context.Context) error {
	if !p.uploadedManifests() {
		return nil // checkExisting has just found them
	}
	work := hostQueues{}
	for _, m := range p.manifests {
		work.add(m.ref.Context(), func(ctx context.Context) error {
			now, err := p.digestOf(ctx, m.ref)
			if err == nil && now != m.Digest {
				err = fmt.Errorf("the registry has %s instead", now)
			}
			if err != nil {
				m.present = false
				return fmt.Errorf("%s: reading back %s: %w", m.Label, m.ref, err)
			}
			return nil
		})
	}
	return p.run(ctx, work)
}

// digestOf returns the digest of a reference, with retries. If the registry fails to answer HEAD, it may still answer
// GET.
func (p *pusher) digestOf(ctx context.Context, ref name.Reference) (v1.Hash, error) {
	var now v1.Hash
	err := p.client.Retry(ctx, func(ctx context.Context) error {
		var err error
		now, err = p.headOrGet(ctx, ref)
		return err
	})
	if serverFailed(err) {
		if full, err := p.puller.Get(registry.WithoutRetries(ctx), ref); err == nil {
			return full.Digest, nil
		}
	}
	return now, err
}

// headOrGet returns the digest of a reference without retries.
func (p *pusher) headOrGet(ctx context.Context, ref name.Reference) (v1.Hash, error) {
	d, err := p.puller.Head(ctx, ref)
	if err == nil {
		return d.Digest, nil
	}
	var answer *transport.Error
	var request *url.Error
	if errors.As(err, &answer) || errors.As(err, &request) || ctx.Err() != nil {
		return v1.Hash{}, err
	}
	// The response lacks the digest or another header, which GET makes unnecessary.
	full, err := p.puller.Get(ctx, ref)
	if err != nil {
		return v1.Hash{}, err
	}
	return full.Digest, nil
}

// absent reports whether a registry answered that something does not exist. Some registries answer 401 or 403 for a
// missing repository; if permissions are the real cause, the upload fails for that reason.
func absent(err error) bool { return notFound(err) || unauthorized(err) }

// serverFailed reports whether a registry still failed after all retries, for example because a crash left an empty
// file. Content that it fails to read can be uploaded again.
func serverFailed(err error) bool { return statusOf(err) >= http.StatusInternalServerError }

func notFound(err error) bool { return statusOf(err) == http.StatusNotFound }

// unauthorized reports whether a registry does not reveal if something exists.
func unauthorized(err error) bool {
	return statusOf(err) == http.StatusUnauthorized || statusOf(err) == http.StatusForbidden
}

// statusOf returns the HTTP status of a registry's error response, or 0.
func statusOf(err error) int {
	var answer *transport.Error
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}
