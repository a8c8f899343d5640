package push

import (
	"context"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// survey asks what is there: what each tag stands for, and whether each manifest is there by its digest. A tag that
// stands for what it is to stand for answers for its manifest as well.
func (p *push) survey(ctx context.Context) error {
	if err := p.lookAll(ctx); err != nil {
		return err
	}
	for _, d := range p.all {
		for _, t := range d.tags {
			if t.state == already {
				d.records[len(d.records)-1].there = true
			}
		}
	}
	manifests := lanes{}
	for _, r := range p.records {
		if r.there {
			continue
		}
		manifests.add(r.ref.Context(), func(ctx context.Context) error {
			now, err := p.standing(ctx, r.ref)
			r.there = err == nil && now == r.Digest
			if err != nil && !absent(err) && !broken(err) {
				return fmt.Errorf("%s: asking for %s: %w", r.Label, r.ref, err)
			}
			return nil
		})
	}
	if err := p.run(ctx, manifests); err != nil {
		return err
	}
	return p.narrowing(ctx)
}

// lookAll finds out what all tags stand for.
func (p *push) lookAll(ctx context.Context) error {
	work := lanes{}
	for _, d := range p.all {
		for _, t := range d.tags {
			work.add(d.repo, func(ctx context.Context) error {
				if err := p.look(ctx, t); err != nil {
					return fmt.Errorf("%s: asking what %s is: %w", d.describe(), t.Reference, err)
				}
				return nil
			})
		}
	}
	return p.run(ctx, work)
}

// look finds out what t stands for. A tag that the registry fails to read is overwritten, unless it is immutable.
func (p *push) look(ctx context.Context, t *pointer) error {
	now, err := p.standing(ctx, t.ref)
	switch {
	case broken(err) && t.immutable:
		return &HiddenError{t.Artifact, err}
	case err != nil && !absent(err) && !broken(err):
		return err
	}
	// For an immutable tag that is hidden this is not the last word: it is asked for again when it is to move, and by then
	// its repository exists, so that a registry that will not say so is no longer one that has nothing there.
	t.before, t.hidden, t.unreadable, t.state = now, hidden(err), broken(err), unmoved
	if err == nil && now == t.Digest {
		t.state = already
	}
	return nil
}

// lookAgain finds out what tags stand for by the time when everything is there, which may be hours after the survey:
// others may have moved them meanwhile, and what is put back is what they stand for now.
func (p *push) lookAgain(ctx context.Context) error {
	if !p.sent() && !slices.ContainsFunc(p.all, delivery.moves) {
		return nil // the survey was a moment ago
	}
	if err := p.lookAll(ctx); err != nil {
		return err
	}
	for _, d := range p.all {
		for _, t := range d.tags {
			if (t.onto != (v1.Hash{}) || t.new) && t.before != t.onto && t.state != already {
				return fmt.Errorf("%s: %w", d.describe(), &ChangedError{t.change(), t.onto})
			}
		}
	}
	if err := p.immutable(ctx); err != nil {
		return err
	}
	return p.narrowing(ctx)
}

// moves tells whether any tag of d does not stand for it yet.
func (d delivery) moves() bool {
	return slices.ContainsFunc(d.tags, func(t *pointer) bool { return t.state != already })
}

// ChangedError is returned for a tag, or an entry of a layout, that another process has changed since what was to take
// its place was made from it.
type ChangedError struct {
	Tag TagChange
	// Expected is the digest that it had then, zero if it did not exist.
	Expected v1.Hash
}

func (e *ChangedError) Error() string {
	state := func(h v1.Hash) string {
		if h == (v1.Hash{}) {
			return "missing"
		}
		return h.String()
	}
	return fmt.Sprintf("%s was changed by another process meanwhile: it was %s, and is %s", e.Tag.Reference, state(e.Expected), state(e.Tag.Before))
}

// Hint says what to do about it.
func (e *ChangedError) Hint() string { return "run it again, to change what it is now" }

// immutable refuses to go on where a tag that is immutable would have to move.
func (p *push) immutable(context.Context) error {
	var e ImmutableError
	for _, d := range p.all {
		for _, t := range d.tags {
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

func (t *pointer) change() TagChange {
	return TagChange{Artifact: t.Artifact, Before: t.before, Hidden: t.hidden, Unreadable: t.unreadable, Immutable: t.immutable, Lost: t.lost}
}

// Refused tells whether the tag is immutable and stands for something else.
func (t TagChange) Refused() bool {
	return t.Immutable && t.Before != (v1.Hash{}) && t.Before != t.Digest
}

// TagChange is what happens to a tag.
type TagChange struct {
	// Artifact is the tag and what it is to stand for.
	Artifact
	// Before is what it stands for now, the zero hash where it does not exist.
	Before v1.Hash `json:"before,omitzero"`
	// Hidden is that the registry does not say whether it exists: whoever asks may not read there, or there is no such
	// repository yet.
	Hidden bool `json:"hidden,omitempty"`
	// Unreadable is that the registry fails to read it, also after retries. It is overwritten.
	Unreadable bool `json:"unreadable,omitempty"`
	// Immutable is that it is declared not to move once it exists.
	Immutable bool `json:"immutable,omitempty"`
	// Lost are the platforms that it has now and would not have any more, although its target keeps its platforms.
	Lost []arch.Platform `json:"lost,omitempty"`
}

// ImmutableError is returned for tags that exist, are declared immutable, and would have to stand for something else.
type ImmutableError struct{ Tags []TagChange }

func (e *ImmutableError) Error() string {
	var parts []string
	for _, t := range e.Tags {
		parts = append(parts, fmt.Sprintf("%s: the tag %s is immutable and stands for %s, not for %s", t.describe(), t.Reference, t.Before, t.Digest))
	}
	return strings.Join(slices.Compact(parts), "; ")
}

// Hint says what to do about it.
func (e *ImmutableError) Hint() string {
	return "release it under another tag (--tag), or change push.immutable in multiarch.yaml"
}

// HiddenError is returned for a tag that is declared immutable and of which a registry does not say whether it exists.
type HiddenError struct {
	Tag Artifact
	// Err is what the registry says instead.
	Err error
}

func (e *HiddenError) Error() string {
	return fmt.Sprintf("the tag is immutable, and whether it exists already cannot be known: %v", e.Err)
}

func (e *HiddenError) Unwrap() error { return e.Err }
