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

// Run publishes the targets in registries, all or nothing, and returns all tags that it published, target by target in
// the given order, the index's tags before those of single images; for an index without tags its digest.
//
// It goes in steps, and none begins before the one before it is done for every target in every registry: what the
// registries have is asked for, blobs, the manifests of the images, the indexes by their digests, all of which are read
// back, what the tags stand for by now is asked for, the tags of single images, the tags of indexes. So no tag moves
// unless everything that all tags stand for is there. If a tag cannot be moved, those that have been are put back to
// what they stood for just before, and those that are new are deleted, also when ctx has ended. At last all tags are read
// back: if another release has moved one of them meanwhile, the error wraps an *OverwrittenError, or a *ChangedError if the
// tag is that of a target's Expect. Of two releases that mix their tags, the one that moves the last tag finds out.
//
// What a registry has is not sent again: one request for each tag and each manifest says so, and the blobs of a
// manifest that is there are not asked for. A blob is sent to a registry once, not at all where one of the repositories
// has it, and mounted in the others. NewPreview says all of this beforehand.
// Requests that fail are repeated as client.Backoff says. Content is streamed; client.JobsOf says how many requests are
// under way to a registry at a time (0: ninety-six).
//
// Names, tags and platforms are checked before anything is sent. After that, an error is a *Error. Tags that are
// immutable and stand for something else are found before anything is uploaded: then it wraps an *ImmutableError, and a
// *ChangedError where a target's Expect does not hold any more.
//
// progress may be nil. It is called with a target's name, the bytes of configs and layers that its registries have by
// now, and those they have to have in the end. Calls come one at a time, from any goroutine; a repeated upload counts
// again from its start.
func Run(ctx context.Context, client registry.Client, targets []Target, progress func(target string, complete, total int64)) ([]Artifact, error) {
	p, err := newPush(ctx, client, targets)
	if err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{
		p.survey,
		p.immutable,
		func(ctx context.Context) error { return p.stock(ctx, progress) },
		p.blobs,
		p.images,
		p.indexes,
		p.readBack,
		p.lookAgain,
		p.tags,
		p.confirm,
	} {
		if err := step(ctx); err != nil {
			return nil, p.fail(err)
		}
	}
	var pushed []Artifact
	for _, d := range p.all {
		if len(d.tags) == 0 {
			pushed = append(pushed, d.Artifact)
		}
		for _, t := range d.tags {
			pushed = append(pushed, t.Artifact)
		}
	}
	return pushed, nil
}

// push is one run of Push.
type push struct {
	client registry.Client
	pusher *remote.Pusher
	// sender is a pusher that never asks to mount, so that it never asks for a token that it may not have.
	sender  *remote.Pusher
	puller  *remote.Puller
	targets []Target
	all     []delivery
	// records are all manifests, each once a repository.
	records []*record
	// list are all blobs, once it is known which manifests are there.
	list  []*consignment
	meter *meter
	// stuck are the tags that could not be put back.
	stuck []RollbackFailure
}

func newPush(ctx context.Context, client registry.Client, targets []Target) (*push, error) {
	all, err := deliveries(client, targets)
	if err != nil {
		return nil, err
	}
	client.Jobs = cmp.Or(client.Jobs, jobs)
	options := client.Options(ctx)
	pusher, err1 := remote.NewPusher(options...)
	sender, err2 := remote.NewPusher(options...)
	puller, err3 := remote.NewPuller(options...)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("preparing to push: %w", err)
	}
	p := &push{client: client, pusher: pusher, sender: sender, puller: puller, targets: targets, all: all}
	known := map[string]*record{}
	for i := range all {
		d := &all[i]
		for _, m := range d.content.Manifests {
			ref := d.repo.Digest(m.Digest.String())
			r := known[ref.Name()]
			if r == nil {
				r = &record{Manifest: m, ref: ref}
				known[ref.Name()] = r
				p.records = append(p.records, r)
			}
			d.records = append(d.records, r)
		}
	}
	return p, nil
}

// images puts all manifests but those of indexes, each by its digest.
func (p *push) images(ctx context.Context) error {
	work := lanes{}
	for _, r := range p.records {
		if !r.IsIndex() && !r.there {
			work.add(r.ref.Context(), func(ctx context.Context) error { return p.put(ctx, r) })
		}
	}
	return p.run(ctx, work)
}

// indexes puts the indexes by their digests, each after those that it lists.
func (p *push) indexes(ctx context.Context) error {
	work := lanes{}
	for _, d := range p.all {
		var own []*record
		for _, r := range d.records {
			if r.IsIndex() && !r.there {
				own = append(own, r)
			}
		}
		if len(own) == 0 {
			continue
		}
		work.add(d.repo, func(ctx context.Context) error {
			for _, r := range own {
				if err := p.put(ctx, r); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return p.run(ctx, work)
}

// put puts a manifest by its digest, unless somebody else has done so.
func (p *push) put(ctx context.Context, r *record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.there {
		return nil
	}
	err := p.client.Retry(ctx, func(ctx context.Context) error { return p.pusher.Put(ctx, r.ref, r.Object) })
	if answer := statusOf(err); r.Foreign && answer >= 400 && !hidden(err) {
		err = &registry.ForeignLayerError{Err: err}
	}
	if err != nil {
		return fmt.Errorf("%s: putting its manifest to %s: %w", r.Label, r.ref, err)
	}
	r.there, r.put = true, true
	return nil
}

// sent tells whether anything was sent.
func (p *push) sent() bool {
	return slices.ContainsFunc(p.records, func(r *record) bool { return r.put })
}

// readBack makes sure that everything is there. What was found may have been removed again, by a registry that cleans up,
// while the rest was sent.
func (p *push) readBack(ctx context.Context) error {
	if !p.sent() {
		return nil // it was found a moment ago
	}
	work := lanes{}
	for _, r := range p.records {
		work.add(r.ref.Context(), func(ctx context.Context) error {
			now, err := p.standing(ctx, r.ref)
			if err == nil && now != r.Digest {
				err = fmt.Errorf("the registry has %s in its place", now)
			}
			if err != nil {
				r.there = false
				return fmt.Errorf("%s: reading %s back: %w", r.Label, r.ref, err)
			}
			return nil
		})
	}
	return p.run(ctx, work)
}

// standing is current, with retries. A registry whose answer to HEAD is an error of its own may still answer GET.
func (p *push) standing(ctx context.Context, ref name.Reference) (v1.Hash, error) {
	var now v1.Hash
	err := p.client.Retry(ctx, func(ctx context.Context) error {
		var err error
		now, err = p.current(ctx, ref)
		return err
	})
	if broken(err) {
		if full, err := p.puller.Get(registry.Once(ctx), ref); err == nil {
			return full.Digest, nil
		}
	}
	return now, err
}

// current is the digest of what the registry has under ref.
func (p *push) current(ctx context.Context, ref name.Reference) (v1.Hash, error) {
	d, err := p.puller.Head(ctx, ref)
	if err == nil {
		return d.Digest, nil
	}
	var answer *transport.Error
	var broken *url.Error
	if errors.As(err, &answer) || errors.As(err, &broken) || ctx.Err() != nil {
		return v1.Hash{}, err
	}
	// There is an answer, but without the digest or another header. The content says it as well.
	full, err := p.puller.Get(ctx, ref)
	if err != nil {
		return v1.Hash{}, err
	}
	return full.Digest, nil
}

// absent tells whether err is a registry's answer that something does not exist. Some answer 401 or 403 where a whole
// repository does not; if it is a question of permission, the upload will fail for that reason.
func absent(err error) bool { return missing(err) || hidden(err) }

// broken tells whether a registry still fails by itself after all retries, such as for a link that a crash has left
// empty. What it fails to read can be written again.
func broken(err error) bool { return statusOf(err) >= http.StatusInternalServerError }

// missing tells whether a registry says for certain that something does not exist.
func missing(err error) bool { return statusOf(err) == http.StatusNotFound }

// hidden tells whether a registry does not say whether something exists.
func hidden(err error) bool {
	return statusOf(err) == http.StatusUnauthorized || statusOf(err) == http.StatusForbidden
}

// statusOf is the status of an answer that is an error, else 0.
func statusOf(err error) int {
	var answer *transport.Error
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}
