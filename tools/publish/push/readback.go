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

// tagReads is how often a moved tag is read until it has its new digest: some registries need a moment.
const tagReads = 3

// readBackTags reads all tags after the last one has moved. Every release does this, so of two releases that move the
// same tags, the one that moves the last tag detects the other.
func (p *pusher) readBackTags(ctx context.Context) error {
	if !slices.ContainsFunc(p.images, imageUpload.hasMovedTags) {
		return nil // all tags were up to date a moment ago
	}
	var mu sync.Mutex
	var e OverwrittenError
	work := hostQueues{}
	for _, u := range p.images {
		for _, t := range u.tags {
			work.add(u.repo, func(ctx context.Context) error {
				now, err := p.readMovedTag(ctx, t)
				if err != nil {
					return fmt.Errorf("%s: %w", u.label(), &ReadBackError{t.Artifact, err})
				}
				if now == t.Digest {
					return nil
				}
				t.state = overwritten
				mu.Lock()
				defer mu.Unlock()
				e.Tags = append(e.Tags, OverwrittenTag{t.Artifact, now})
				if t.expect != (v1.Hash{}) || t.expectMissing {
					change := t.change()
					change.Before = now
					e.changed = &ChangedError{change, t.expect}
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
	for _, u := range p.images {
		e.Mixed = e.Mixed || slices.ContainsFunc(u.tags, func(t *tagUpdate) bool { return t.state != overwritten })
	}
	return &e
}

func (u imageUpload) hasMovedTags() bool {
	return slices.ContainsFunc(u.tags, func(t *tagUpdate) bool { return t.state == moved })
}

// readMovedTag returns the digest of t, zero if it does not exist. It reads again while the digest is a different one.
func (p *pusher) readMovedTag(ctx context.Context, t *tagUpdate) (v1.Hash, error) {
	for attempt := 1; ; attempt++ {
		now, err := p.digestOf(ctx, t.ref)
		if notFound(err) {
			now, err = v1.Hash{}, nil
		}
		if err != nil || now == t.Digest || attempt == tagReads {
			return now, err
		}
		select {
		case <-time.After(p.client.Backoff.Pause()):
		case <-ctx.Done():
			return v1.Hash{}, ctx.Err()
		}
	}
}

// ReadBackError is returned if a tag was moved and then could not be read.
type ReadBackError struct {
	Tag Artifact
	Err error
}

func (e *ReadBackError) Error() string {
	return fmt.Sprintf("all tags were moved, but %s cannot be read back: %v", e.Tag.Reference, e.Err)
}

func (e *ReadBackError) Unwrap() error { return e.Err }

// OverwrittenTag is a tag that this push moved, and its digest now, zero if it no longer exists.
type OverwrittenTag struct {
	Artifact
	Now v1.Hash
}

// OverwrittenError is returned if another release has moved tags that this push had moved.
type OverwrittenError struct {
	Tags []OverwrittenTag
	// Mixed reports whether other tags still have the digests of this push.
	Mixed   bool
	changed *ChangedError
}

func (e *OverwrittenError) Error() string {
	parts := make([]string, len(e.Tags))
	for i, t := range e.Tags {
		now := "no longer exists"
		if t.Now != (v1.Hash{}) {
			now = "is now " + t.Now.String()
		}
		parts[i] = fmt.Sprintf("%s %s, not %s", t.Reference, now, t.Digest)
	}
	if len(parts) > maxListed {
		parts = append(parts[:maxListed-1], fmt.Sprintf("and %d others", len(parts)-maxListed+1))
	}
	return "another release moved the same tags: " + strings.Join(parts, ", ")
}

// Unwrap returns a *ChangedError if one of the tags has an expected digest.
func (e *OverwrittenError) Unwrap() error {
	if e.changed == nil {
		return nil
	}
	return e.changed
}

// Hint suggests to run one release at a time.
func (e *OverwrittenError) Hint() string {
	if e.changed != nil {
		return e.changed.Hint()
	}
	if e.Mixed {
		return "the tags now belong to two releases: run the release again whose images you want, " +
			"and run one release at a time"
	}
	return "run this release again if you want its images, and run one release at a time"
}
