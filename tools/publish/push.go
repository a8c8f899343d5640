package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/registry"
)

// Push publishes the targets in registries and returns all tags that it published, target by target in the given
// order, the index's tags before those of single images; for an index without tags its digest.
//
// It goes in steps, and none begins before the one before it is done for every target: blobs, the manifests of the
// images, the indexes by their digests, which are then read back, the tags of single images, the tags of indexes. So
// no tag moves unless everything it stands for is there; and where one cannot be moved, those that have moved are given
// back to what they stood for. What a registry has is not sent again, and what another
// repository of the same registry has been given is mounted from there. Requests that fail are repeated as
// client.Backoff says. Content is streamed, client.Jobs requests at a time (0: four).
//
// Names, tags and platforms are checked before anything is sent. After that, an error is a *PushError.
//
// progress may be nil. It is called with a target's name, the bytes of configs and layers that its registry has by now,
// and those it has to have in the end. Calls come one at a time, from any goroutine; a repeated upload counts again
// from its start.
func Push(ctx context.Context, client registry.Client, targets []Target, progress func(target string, complete, total int64)) ([]Pushed, error) {
	all, err := deliveries(client, targets)
	if err != nil {
		return nil, err
	}
	p, err := newPush(ctx, client, all)
	if err != nil {
		return nil, err
	}
	blobs, meter := consignments(all, targets, progress)
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return p.blobs(ctx, blobs, meter) },
		p.images,
		p.indexes,
		func(ctx context.Context) error { return p.tags(ctx, false) },
		func(ctx context.Context) error { return p.tags(ctx, true) },
	} {
		if err := step(ctx); err != nil {
			p.undo(ctx)
			return nil, p.fail(err)
		}
	}
	var pushed []Pushed
	for _, d := range all {
		if len(d.tags) == 0 {
			pushed = append(pushed, d.Pushed)
		}
		for _, t := range d.tags {
			pushed = append(pushed, t.Pushed)
		}
	}
	return pushed, nil
}

// push is one run of Push.
type push struct {
	client registry.Client
	jobs   int
	pusher *remote.Pusher
	puller *remote.Puller
	all    []delivery

	mu     sync.Mutex
	stored []Pushed
}

func newPush(ctx context.Context, client registry.Client, all []delivery) (*push, error) {
	options := client.Options(ctx)
	pusher, err1 := remote.NewPusher(options...)
	puller, err2 := remote.NewPuller(options...)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("preparing to push: %w", err)
	}
	return &push{client: client, jobs: cmp.Or(client.Jobs, 4), pusher: pusher, puller: puller, all: all}, nil
}

// blobs uploads every blob to every repository that needs it.
func (p *push) blobs(ctx context.Context, all []*consignment, m *meter) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.jobs)
	for _, c := range all {
		group.Go(func() error { return p.blob(ctx, c, m) })
	}
	return group.Wait()
}

// blob uploads one blob to the first of its repositories, from where the others can mount it.
func (p *push) blob(ctx context.Context, c *consignment, m *meter) error {
	layer, err := c.layer()
	if err != nil {
		return fmt.Errorf("%s: %w", c.where, err)
	}
	for i, to := range c.to {
		source, mount := c.mountable(layer, to.repo)
		if i > 0 {
			source, mount = c.to[0].repo, true
		}
		upload := v1.Layer(&countedLayer{bare(layer), m, to})
		if mount {
			upload = &remote.MountableLayer{Layer: upload, Reference: source.Digest(c.digest.String())}
		}
		err := p.client.Retry(ctx, func(ctx context.Context) error { return p.pusher.Upload(ctx, to.repo, upload) })
		if err != nil {
			return fmt.Errorf("%s: uploading it to %s: %w", c.where, to.repo, err)
		}
		m.finish(to)
	}
	return nil
}

// images puts all manifests but those of indexes, each by its digest.
func (p *push) images(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.jobs)
	seen := map[string]bool{}
	for _, d := range p.all {
		for _, m := range d.content.manifests {
			ref := d.repo.Digest(m.digest.String())
			if !m.index() && !seen[ref.Name()] {
				seen[ref.Name()] = true
				group.Go(func() error { return p.put(ctx, d, ref, m) })
			}
		}
	}
	return group.Wait()
}

// indexes puts the indexes by their digests, each after those that it lists.
func (p *push) indexes(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.jobs)
	for _, d := range p.all {
		group.Go(func() error {
			for _, m := range d.content.manifests {
				if !m.index() {
					continue
				}
				if err := p.put(ctx, d, d.repo.Digest(m.digest.String()), m); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// put puts a manifest unless it is there, and then makes sure that it is: what has been asked for once is not asked for
// again.
func (p *push) put(ctx context.Context, d delivery, ref name.Digest, m manifest) error {
	var doing string
	err := p.client.Retry(ctx, func(ctx context.Context) error {
		doing = "putting its manifest to"
		_, err := p.current(ctx, ref)
		if !absent(err) {
			return err
		}
		if err = p.pusher.Put(ctx, ref, m.Taggable); err != nil {
			return err
		}
		now, err := p.current(ctx, ref)
		if err != nil || now != m.digest {
			doing = "reading its manifest back from"
		}
		if err == nil && now != m.digest {
			err = fmt.Errorf("the registry has %s in its place", now)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %s %s: %w", m.where, doing, ref, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stored = append(p.stored, Pushed{d.Name, m.platform, ref.String(), m.digest})
	return nil
}

// tags moves the tags of whole indexes, or those of intermediate images. None is tried after one has failed.
func (p *push) tags(ctx context.Context, whole bool) error {
	var group errgroup.Group
	group.SetLimit(p.jobs)
	var failed atomic.Bool
	for _, d := range p.all {
		if d.whole() != whole {
			continue
		}
		for _, t := range d.tags {
			group.Go(func() error {
				if failed.Load() || ctx.Err() != nil {
					return ctx.Err()
				}
				if err := p.tag(ctx, t, d.top()); err != nil {
					failed.Store(true)
					return fmt.Errorf("%s: moving the tag %s: %w", d.describe(), t.Reference, err)
				}
				return nil
			})
		}
	}
	return group.Wait()
}

// tag makes t stand for m, and knows afterwards whether it does.
func (p *push) tag(ctx context.Context, t *pointer, m manifest) error {
	err := p.client.Retry(ctx, func(ctx context.Context) error {
		now, err := p.current(ctx, t.ref)
		if err == nil && now == m.digest {
			return nil
		}
		if err == nil || absent(err) {
			if !t.sent {
				t.sent, t.before, t.hidden = true, now, err != nil && !missing(err)
			}
			err = p.pusher.Put(ctx, t.ref, m.Taggable)
		}
		return err
	})
	if err == nil {
		t.state = moved
		return nil
	}
	if !t.sent {
		return err
	}
	// The request may have been carried out although its answer was an error or was lost.
	switch now, lookErr := p.current(ctx, t.ref); {
	case lookErr != nil && !absent(lookErr):
		t.state = inDoubt
	case lookErr == nil && now == m.digest:
		t.state = moved
		return nil
	}
	return err
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
func absent(err error) bool {
	return answers(err, http.StatusNotFound, http.StatusUnauthorized, http.StatusForbidden)
}

// missing is absent without a doubt.
func missing(err error) bool { return answers(err, http.StatusNotFound) }

func answers(err error, codes ...int) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && slices.Contains(codes, answer.StatusCode)
}
