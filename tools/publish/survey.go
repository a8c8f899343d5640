package publish

import (
	"context"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// survey asks what is there: what each tag stands for, and whether each manifest is there by its digest. A tag that
// stands for what it is to stand for answers for its manifest as well.
func (p *push) survey(ctx context.Context) error {
	tags := lanes{}
	for _, d := range p.all {
		for _, t := range d.tags {
			tags.add(d.repo, func(ctx context.Context) error {
				if err := p.look(ctx, t); err != nil {
					return fmt.Errorf("%s: asking what %s is: %w", d.describe(), t.Reference, err)
				}
				return nil
			})
		}
	}
	if err := p.run(ctx, tags); err != nil {
		return err
	}
	for _, d := range p.all {
		for _, t := range d.tags {
			if t.state == moved {
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
			err := p.client.Retry(ctx, func(ctx context.Context) error {
				now, err := p.current(ctx, r.ref)
				r.there = err == nil && now == r.digest
				return err
			})
			if err != nil && !absent(err) {
				return fmt.Errorf("%s: asking for %s: %w", r.where, r.ref, err)
			}
			return nil
		})
	}
	return p.run(ctx, manifests)
}

// look finds out what t stands for.
func (p *push) look(ctx context.Context, t *pointer) error {
	err := p.client.Retry(ctx, func(ctx context.Context) error {
		var err error
		t.before, err = p.current(ctx, t.ref)
		return err
	})
	switch {
	case err == nil && t.before == t.Digest:
		t.state = moved
	case err != nil && !absent(err):
		return err
	case err != nil:
		// For an immutable tag this is not the last word: it is asked for again when it is to move, and by then its
		// repository exists, so that a registry that will not say so is no longer one that has nothing there.
		t.hidden = hidden(err)
	}
	return nil
}

// immutable refuses to go on where a tag that is immutable would have to move.
func (p *push) immutable(context.Context) error {
	var tags []TagChange
	for _, d := range p.all {
		for _, t := range d.tags {
			tags = append(tags, t.change())
		}
	}
	return Preview{Tags: tags}.Err()
}

func (t *pointer) change() TagChange { return TagChange{t.Pushed, t.before, t.immutable} }

// Refused tells whether the tag is immutable and stands for something else.
func (t TagChange) Refused() bool {
	return t.Immutable && t.Before != (v1.Hash{}) && t.Before != t.Digest
}

// TagChange is what happens to a tag.
type TagChange struct {
	// Pushed is the tag and what it is to stand for.
	Pushed
	// Before is what it stands for now, the zero hash where it does not exist.
	Before v1.Hash `json:"before,omitzero"`
	// Immutable is that it is declared not to move once it exists.
	Immutable bool `json:"immutable,omitempty"`
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
	Tag Pushed
	// Err is what the registry says instead.
	Err error
}

func (e *HiddenError) Error() string {
	return fmt.Sprintf("the tag is immutable, and whether it exists already cannot be known: %v", e.Err)
}

func (e *HiddenError) Unwrap() error { return e.Err }
