package push

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/oci/content"
)

const (
	// rollbackTimeout limits the time for rolling back moved tags.
	rollbackTimeout = 2 * time.Minute
	// moveGrace limits the time of a request that moves a tag after its context has ended.
	moveGrace = 30 * time.Second
)

// moveTags moves all tags, those of single images first. After a failure it rolls back.
func (p *pusher) moveTags(ctx context.Context) error {
	for _, indexes := range []bool{false, true} {
		if err := p.moveTagsOf(ctx, indexes); err != nil {
			p.rollBack(ctx)
			return err
		}
	}
	return nil
}

// moveTagsOf moves the tags of indexes, or those of single images. It starts no request after one has failed, and waits
// for those that were started.
func (p *pusher) moveTagsOf(ctx context.Context, indexes bool) error {
	var failed atomic.Bool
	work := hostQueues{}
	for _, u := range p.images {
		if u.isIndex() != indexes {
			continue
		}
		for _, t := range u.tags {
			if t.state == upToDate {
				continue
			}
			// A failure of another tag must not cut off this request: its context is not that of the queue.
			work.add(u.repo, func(context.Context) error {
				if failed.Load() || ctx.Err() != nil {
					return ctx.Err()
				}
				if err := p.moveTag(ctx, t, u.graph.Root()); err != nil {
					failed.Store(true)
					return fmt.Errorf("%s: moving the tag %s: %w", u.label(), t.Reference, err)
				}
				return nil
			})
		}
	}
	return p.run(ctx, work)
}

// moveTag moves t to m and sets t.state, also after an error.
func (p *pusher) moveTag(ctx context.Context, t *tagUpdate, m content.Manifest) error {
	read, ambiguous := t.immutable, false
	err := p.client.Retry(ctx, func(ctx context.Context) error {
		if read {
			now, err := p.headOrGet(ctx, t.ref)
			switch {
			case err == nil && now == m.Digest:
				return nil
			case err == nil && t.immutable:
				return &ImmutableError{[]TagChange{{Artifact: t.Artifact, Before: now, Immutable: true}}}
			case err != nil && t.immutable && unauthorized(err):
				return &HiddenError{t.Artifact, err}
			case err != nil && !absent(err) && !(t.unreadable && serverFailed(err)):
				return err
			}
		}
		read = true
		// The registry could carry out a cancelled request later, even after the rollback.
		request, cancel := withGrace(ctx)
		defer cancel()
		err := p.uploader.Put(request, t.ref, m.Object)
		ambiguous = ambiguous || err != nil && !unauthorized(err)
		return err
	})
	if err == nil {
		t.state = moved
		return nil
	}
	if !ambiguous {
		return err // rejected, or never sent
	}
	// The registry may have carried out a request although its response was an error or was lost.
	after, cancel := withGrace(ctx)
	defer cancel()
	switch now, readErr := p.headOrGet(after, t.ref); {
	case readErr != nil && !notFound(readErr):
		t.state = unknown
	case readErr == nil && now == m.Digest:
		t.state = moved
		return nil
	}
	return err
}

// withGrace returns a context that ends moveGrace after ctx does.
func withGrace(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(moveGrace, cancel) })
	return longer, func() { stop(); cancel() }
}

// RollbackFailure is a tag that was moved and could not be rolled back after another tag had failed.
type RollbackFailure struct {
	TagChange
	Err error
}

// rollBack moves tags back to their previous digests. Failures are in p.rollbackFailures.
func (p *pusher) rollBack(ctx context.Context) {
	// ctx may have ended, which may be the reason for the rollback.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	var mu sync.Mutex
	failures := map[*tagUpdate]error{}
	work := hostQueues{}
	for _, u := range p.images {
		for _, t := range u.tags {
			if t.state == unmoved || t.state == upToDate {
				continue
			}
			failures[t] = errors.New("the time for rolling back ran out")
			work.add(u.repo, func(ctx context.Context) error {
				err := p.rollBackTag(ctx, t)
				mu.Lock()
				defer mu.Unlock()
				failures[t] = err
				return nil
			})
		}
	}
	_ = p.run(ctx, work) // work never fails; it may not have begun before the timeout
	for t, err := range failures {
		if err != nil {
			p.rollbackFailures = append(p.rollbackFailures, RollbackFailure{t.change(), err})
		}
	}
}

// rollBackTag moves t back, unless another process has moved it.
func (p *pusher) rollBackTag(ctx context.Context, t *tagUpdate) error {
	return p.client.Retry(ctx, func(ctx context.Context) error {
		now, err := p.headOrGet(ctx, t.ref)
		switch {
		case err != nil && !notFound(err):
			return fmt.Errorf("reading the tag: %w", err)
		case err != nil && t.before == (v1.Hash{}), err == nil && now != t.Digest:
			t.state = unmoved
			return nil
		}
		// The tag points to what was pushed, or has been deleted.
		t.state = moved
		switch {
		case t.hidden, t.unreadable:
			return errors.New("the registry did not reveal its previous digest")
		case t.before == (v1.Hash{}):
			err = p.deleteTag(ctx, t)
		default:
			err = p.restoreTag(ctx, t)
		}
		if err == nil {
			t.state = unmoved
		}
		return err
	})
}

func (p *pusher) restoreTag(ctx context.Context, t *tagUpdate) error {
	old, err := p.puller.Get(ctx, t.ref.Context().Digest(t.before.String()))
	if err != nil {
		return fmt.Errorf("reading the previous manifest: %w", err)
	}
	return p.uploader.Put(ctx, t.ref, old)
}

// deleteTag deletes a new tag. Registries need not support this (distribution spec, "Deleting tags").
func (p *pusher) deleteTag(ctx context.Context, t *tagUpdate) error {
	if err := p.uploader.Delete(ctx, t.ref); err != nil && !notFound(err) {
		return fmt.Errorf("deleting the new tag: %w", err)
	}
	return nil
}
