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

// putBackWithin bounds how long moved tags are being put back.
const putBackWithin = 2 * time.Minute

// moveWithin bounds how long a request that moves a tag may take once nobody wants it any more.
const moveWithin = 30 * time.Second

// tags moves all tags, those of intermediate images first, or else none.
func (p *push) tags(ctx context.Context) error {
	for _, whole := range []bool{false, true} {
		if err := p.move(ctx, whole); err != nil {
			p.putBack(ctx)
			return err
		}
	}
	return nil
}

// move moves the tags of whole indexes, or those of intermediate images. None is tried after one has failed, and those
// under way are waited for.
func (p *push) move(ctx context.Context, whole bool) error {
	var failed atomic.Bool
	work := lanes{}
	for _, d := range p.all {
		if d.whole() != whole {
			continue
		}
		for _, t := range d.tags {
			if t.state == already {
				continue
			}
			// Another tag that fails is no reason to lose the answer to this one: its context is not that of the lanes.
			work.add(d.repo, func(context.Context) error {
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
	return p.run(ctx, work)
}

// tag makes t stand for m, and knows afterwards whether it does.
func (p *push) tag(ctx context.Context, t *pointer, m content.Manifest) error {
	look, doubt := t.immutable, false
	err := p.client.Retry(ctx, func(ctx context.Context) error {
		if look {
			now, err := p.current(ctx, t.ref)
			switch {
			case err == nil && now == m.Digest:
				return nil
			case err == nil && t.immutable:
				return &ImmutableError{[]TagChange{{Artifact: t.Artifact, Before: now, Immutable: true}}}
			case err != nil && t.immutable && hidden(err):
				return &HiddenError{t.Artifact, err}
			case err != nil && !absent(err) && !(t.unreadable && broken(err)):
				return err
			}
		}
		look = true
		// A request that is cut off could be carried out at any time after, also after the tag has been put back.
		whole, cancel := outliving(ctx)
		defer cancel()
		err := p.pusher.Put(whole, t.ref, m.Object)
		doubt = doubt || err != nil && !hidden(err)
		return err
	})
	if err == nil {
		t.state = moved
		return nil
	}
	if !doubt {
		return err // nobody was let in, or nothing was sent
	}
	// A request may have been carried out although its answer was an error or was lost.
	after, cancel := outliving(ctx)
	defer cancel()
	switch now, lookErr := p.current(after, t.ref); {
	case lookErr != nil && !missing(lookErr):
		t.state = inDoubt
	case lookErr == nil && now == m.Digest:
		t.state = moved
		return nil
	}
	return err
}

// outliving returns a context that ends a while after ctx does.
func outliving(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(moveWithin, cancel) })
	return longer, func() { stop(); cancel() }
}

// RollbackFailure is a tag that was moved, and could not be put back when another one could not be moved.
type RollbackFailure struct {
	TagChange
	Err error
}

// putBack makes the tags that were moved stand for what they stood for. What cannot be put back is in p.stuck.
func (p *push) putBack(ctx context.Context) {
	// The end of ctx may be what keeps the others from being moved.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), putBackWithin)
	defer cancel()
	var mu sync.Mutex
	left := map[*pointer]error{}
	work := lanes{}
	for _, d := range p.all {
		for _, t := range d.tags {
			if t.state == unmoved || t.state == already {
				continue
			}
			left[t] = errors.New("there was no time left for it")
			work.add(d.repo, func(ctx context.Context) error {
				err := p.restore(ctx, t)
				mu.Lock()
				defer mu.Unlock()
				left[t] = err
				return nil
			})
		}
	}
	_ = p.run(ctx, work) // the work itself never fails; what time has run out for has not begun
	for t, err := range left {
		if err != nil {
			p.stuck = append(p.stuck, RollbackFailure{t.change(), err})
		}
	}
}

// restore makes t stand for what it stood for, unless somebody else has moved it meanwhile.
func (p *push) restore(ctx context.Context, t *pointer) error {
	return p.client.Retry(ctx, func(ctx context.Context) error {
		now, err := p.current(ctx, t.ref)
		switch {
		case err != nil && !missing(err):
			return fmt.Errorf("asking what it stands for: %w", err)
		case err != nil && t.before == (v1.Hash{}), err == nil && now != t.Digest:
			t.state = unmoved
			return nil
		}
		// It stands for what was pushed, or has vanished.
		t.state = moved
		switch {
		case t.hidden, t.unreadable:
			return errors.New("the registry would not say what it stood for")
		case t.before == (v1.Hash{}):
			err = p.remove(ctx, t)
		default:
			err = p.replace(ctx, t)
		}
		if err == nil {
			t.state = unmoved
		}
		return err
	})
}

// replace puts the manifest that t stood for under it again.
func (p *push) replace(ctx context.Context, t *pointer) error {
	old, err := p.puller.Get(ctx, t.ref.Context().Digest(t.before.String()))
	if err != nil {
		return fmt.Errorf("reading what it stood for: %w", err)
	}
	return p.pusher.Put(ctx, t.ref, old)
}

// remove deletes a tag that did not exist. Distribution spec, "Deleting tags"; a registry need not allow it.
func (p *push) remove(ctx context.Context, t *pointer) error {
	if err := p.pusher.Delete(ctx, t.ref); err != nil && !missing(err) {
		return fmt.Errorf("deleting it, which did not exist before: %w", err)
	}
	return nil
}
