package push

import (
	"context"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// checkExisting reads every tag, and checks for every manifest by digest. A tag that is up to date implies its
// manifest.
func (p *pusher) checkExisting(ctx context.Context) error {
	if err := p.readTags(ctx); err != nil {
		return err
	}
	for _, u := range p.images {
		for _, t := range u.tags {
			if t.state == upToDate {
				u.manifests[len(u.manifests)-1].present = true
			}
		}
	}
	work := hostQueues{}
	for _, m := range p.manifests {
		if m.present {
			continue
		}
		work.add(m.ref.Context(), func(ctx context.Context) error {
			now, err := p.digestOf(ctx, m.ref)
			m.present = err == nil && now == m.Digest
			if err != nil && !absent(err) && !serverFailed(err) {
				return fmt.Errorf("%s: checking for %s: %w", m.Label, m.ref, err)
			}
			return nil
		})
	}
	if err := p.run(ctx, work); err != nil {
		return err
	}
	return p.checkPlatforms(ctx)
}

// readTags reads all tags.
func (p *pusher) readTags(ctx context.Context) error {
	work := hostQueues{}
	for _, u := range p.images {
		for _, t := range u.tags {
			work.add(u.repo, func(ctx context.Context) error {
				if err := p.readTag(ctx, t); err != nil {
					return fmt.Errorf("%s: reading %s: %w", u.label(), t.Reference, err)
				}
				return nil
			})
		}
	}
	return p.run(ctx, work)
}

// readTag reads a tag. One that the registry fails to read is overwritten, unless it is immutable.
func (p *pusher) readTag(ctx context.Context, t *tagUpdate) error {
	now, err := p.digestOf(ctx, t.ref)
	switch {
	case serverFailed(err) && t.immutable:
		return &HiddenError{t.Artifact, err}
	case err != nil && !absent(err) && !serverFailed(err):
		return err
	}
	// An immutable tag that is hidden is read again before it moves. By then its repository exists, and the registry no
	// longer has a reason to hide it.
	t.before, t.hidden, t.unreadable, t.state = now, unauthorized(err), serverFailed(err), unmoved
	if err == nil && now == t.Digest {
		t.state = upToDate
	}
	return nil
}

// recheckTags reads all tags after the uploads, which may have taken hours. Other processes may have moved them, and a
// rollback restores these newer digests.
func (p *pusher) recheckTags(ctx context.Context) error {
	if !p.uploadedManifests() && !slices.ContainsFunc(p.images, imageUpload.hasTagsToMove) {
		return nil // checkExisting has just read them
	}
	if err := p.readTags(ctx); err != nil {
		return err
	}
	for _, u := range p.images {
		for _, t := range u.tags {
			if (t.expect != (v1.Hash{}) || t.expectMissing) && t.before != t.expect && t.state != upToDate {
				return fmt.Errorf("%s: %w", u.label(), &ChangedError{t.change(), t.expect})
			}
		}
	}
	if err := p.checkImmutable(ctx); err != nil {
		return err
	}
	return p.checkPlatforms(ctx)
}

func (u imageUpload) hasTagsToMove() bool {
	return slices.ContainsFunc(u.tags, func(t *tagUpdate) bool { return t.state != upToDate })
}

// checkImmutable returns an *ImmutableError if an immutable tag would have to move.
func (p *pusher) checkImmutable(context.Context) error {
	var e ImmutableError
	for _, u := range p.images {
		for _, t := range u.tags {
			if change := t.change(); change.Refused() {
				e.Tags = append(e.Tags, change)
			}
		}
	}
	if len(e.Tags) == 0 {
		return nil
	}
	return &e
}

func (t *tagUpdate) change() TagChange {
	return TagChange{
		Artifact: t.Artifact, Before: t.before, Hidden: t.hidden, Unreadable: t.unreadable,
		Immutable: t.immutable, Lost: t.lost,
	}
}

// TagChange is a tag, and how it changes.
type TagChange struct {
	// Artifact is the tag and its new digest.
	Artifact
	// Before is the digest of the tag now, zero if it does not exist.
	Before v1.Hash `json:"before,omitzero"`
	// Hidden reports that the registry does not reveal whether the tag exists: the login may not read it, or the
	// repository does not exist.
	Hidden bool `json:"hidden,omitempty"`
	// Unreadable reports that the registry fails to read the tag, even after retries. The tag is overwritten.
	Unreadable bool `json:"unreadable,omitempty"`
	// Immutable reports that the tag must not move once it exists.
	Immutable bool `json:"immutable,omitempty"`
	// Lost are platforms that the tag would lose although its target keeps platforms.
	Lost []arch.Platform `json:"lost,omitempty"`
}

// Refused reports whether the tag is immutable and has another digest.
func (t TagChange) Refused() bool {
	return t.Immutable && t.Before != (v1.Hash{}) && t.Before != t.Digest
}

// ChangedError is returned if a tag does not have the digest that its target expects.
type ChangedError struct {
	Tag TagChange
	// Expected is zero if the tag was expected not to exist.
	Expected v1.Hash
}

func (e *ChangedError) Error() string {
	state := func(h v1.Hash) string {
		if h == (v1.Hash{}) {
			return "no tag"
		}
		return h.String()
	}
	return fmt.Sprintf("%s was changed by another process: expected %s, found %s",
		e.Tag.Reference, state(e.Expected), state(e.Tag.Before))
}

// Hint suggests to start from the current index.
func (e *ChangedError) Hint() string { return "run the command again to change the current index" }

// ImmutableError is returned for immutable tags that exist with another digest.
type ImmutableError struct{ Tags []TagChange }

func (e *ImmutableError) Error() string {
	var parts []string
	for _, t := range e.Tags {
		parts = append(parts, fmt.Sprintf("%s: the tag %s is immutable and points to %s, not to %s",
			t.label(), t.Reference, t.Before, t.Digest))
	}
	return strings.Join(slices.Compact(parts), "; ")
}

// Hint suggests another tag.
func (e *ImmutableError) Hint() string {
	return "release it under another tag (--tag), or change push.immutable in multiarch.yaml"
}

// HiddenError is returned for an immutable tag if the registry does not reveal whether it exists.
type HiddenError struct {
	Tag Artifact
	// Err is the response of the registry.
	Err error
}

func (e *HiddenError) Error() string {
	return fmt.Sprintf("checking whether the immutable tag exists: %v", e.Err)
}

func (e *HiddenError) Unwrap() error { return e.Err }
