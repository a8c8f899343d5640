package push

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// confirmations is how often a tag is read that does not stand for what it was moved to: some registries need a moment.
const confirmations = 3

// confirm reads all tags back. Every release does so after it has moved its last tag. So of two that move the same tags
// at the same time, the one that is last to move any of them finds the tags of the other.
func (p *push) confirm(ctx context.Context) error {
	if !slices.ContainsFunc(p.all, delivery.moved) {
		return nil // all tags were right a moment ago
	}
	var mu sync.Mutex
	var e OverwrittenError
	work := lanes{}
	for _, d := range p.all {
		for _, t := range d.tags {
			work.add(d.repo, func(ctx context.Context) error {
				now, err := p.settled(ctx, t)
				if err != nil {
					return fmt.Errorf("%s: %w", d.describe(), &ReadBackError{t.Artifact, err})
				}
				if now == t.Digest {
					return nil
				}
				t.state = overtaken
				mu.Lock()
				defer mu.Unlock()
				e.Tags = append(e.Tags, OverwrittenTag{t.Artifact, now})
				if t.onto != (v1.Hash{}) || t.new {
					change := t.change()
					change.Before = now
					e.changed = &ChangedError{change, t.onto}
				}
				return nil
			})
		}
	}
	if err := p.run(ctx, work); err != nil {
		return err
	}
	if len(e.Tags) == 0 {
		return nil
	}
	slices.SortFunc(e.Tags, func(a, b OverwrittenTag) int { return strings.Compare(a.Reference, b.Reference) })
	for _, d := range p.all {
		e.Mixed = e.Mixed || slices.ContainsFunc(d.tags, func(t *pointer) bool { return t.state != overtaken })
	}
	return &e
}

// moved tells whether this push moved a tag of d.
func (d delivery) moved() bool {
	return slices.ContainsFunc(d.tags, func(t *pointer) bool { return t.state == moved })
}

// settled is what t stands for, the zero hash if it does not exist. It is read again if it is not what it should be.
func (p *push) settled(ctx context.Context, t *pointer) (v1.Hash, error) {
	for attempt := 1; ; attempt++ {
		now, err := p.standing(ctx, t.ref)
		if missing(err) {
			now, err = v1.Hash{}, nil
		}
		if err != nil || now == t.Digest || attempt == confirmations {
			return now, err
		}
		select {
		case <-time.After(p.client.Backoff.Pause()):
		case <-ctx.Done():
			return v1.Hash{}, ctx.Err()
		}
	}
}

// ReadBackError is returned for a tag that was moved and then could not be read.
type ReadBackError struct {
	Tag Artifact
	Err error
}

func (e *ReadBackError) Error() string {
	return fmt.Sprintf("all tags were moved, but %s cannot be read back: %v", e.Tag.Reference, e.Err)
}

// Unwrap returns the reason.
func (e *ReadBackError) Unwrap() error { return e.Err }

// Overwritten is a tag that this push moved and what it stands for now, the zero hash if it does not exist any more.
type OverwrittenTag struct {
	Artifact
	Now v1.Hash
}

// OverwrittenError is returned if another release has moved tags that this push moved as well.
type OverwrittenError struct {
	Tags []OverwrittenTag
	// Mixed is that other tags stand for what this push moved them to.
	Mixed   bool
	changed *ChangedError
}

func (e *OverwrittenError) Error() string {
	parts := make([]string, len(e.Tags))
	for i, t := range e.Tags {
		now := "does not exist any more"
		if t.Now != (v1.Hash{}) {
			now = "is now " + t.Now.String()
		}
		parts[i] = fmt.Sprintf("%s %s, not %s", t.Reference, now, t.Digest)
	}
	if len(parts) > few {
		parts = append(parts[:few-1], fmt.Sprintf("and %d others", len(parts)-few+1))
	}
	return "another release came in between: " + strings.Join(parts, ", ")
}

// Unwrap returns a *ChangedError if one of the tags is that of a target's Expect.
func (e *OverwrittenError) Unwrap() error {
	if e.changed == nil {
		return nil
	}
	return e.changed
}

// Hint says what to do about it.
func (e *OverwrittenError) Hint() string {
	if e.changed != nil {
		return e.changed.Hint()
	}
	if e.Mixed {
		return "the tags are those of two releases: run the release again whose images are wanted, and let one release run at a time"
	}
	return "run this release again if its images are the wanted ones, and let one release run at a time"
}
