package publish

import (
	"context"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// patience is how long tags may take to be given back.
const patience = time.Minute

// undo gives tags back that have moved, or may have, where not all of them did: to what they stood for before, and those
// that did not exist are deleted, where a registry allows it. What cannot be given back stays as it is, and pusherror says
// so. Whoever interrupts a push wants this done as well.
func (p *push) undo(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	for _, d := range p.all {
		for _, t := range d.tags {
			if t.sent && !t.hidden && t.state != unmoved && p.giveBack(ctx, t, d.Digest) == nil {
				t.state = unmoved
			}
		}
	}
}

// giveBack makes t stand for what it stood for before it stood for ours. Whoever has moved it since is left alone.
func (p *push) giveBack(ctx context.Context, t *pointer, ours v1.Hash) error {
	return p.client.Retry(ctx, func(ctx context.Context) error {
		now, err := p.current(ctx, t.ref)
		switch {
		case missing(err) && t.before == (v1.Hash{}), err == nil && now != ours:
			return nil
		case err != nil && !missing(err):
			return err
		case t.before == (v1.Hash{}):
			return p.pusher.Delete(ctx, t.ref)
		}
		old, err := p.puller.Get(ctx, t.ref.Context().Digest(t.before.String()))
		if err != nil {
			return fmt.Errorf("reading what %s stood for: %w", t.Reference, err)
		}
		return p.pusher.Put(ctx, t.ref, old)
	})
}
