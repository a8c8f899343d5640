package publish

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// PushError is a Push that failed on the way. It says exactly what is in the registries.
type PushError struct {
	// Stored are the manifests that are there by their digests with all that they consist of: of single images, and
	// the indexes of targets that are complete.
	Stored []Pushed
	// Moved are the tags that stand for what was pushed, Unmoved those that stand for what they did before, or still do
	// not exist. InDoubt are tags for which an answer was lost and which could not be asked for afterwards.
	Moved, Unmoved, InDoubt []Pushed
	// Stuck are those of Moved and InDoubt that were moved by this push and could not be put back.
	Stuck []Stuck
	Err   error
}

func (p *push) fail(err error) error {
	e := &PushError{Stuck: p.stuck, Err: err}
	slices.SortFunc(e.Stuck, func(a, b Stuck) int { return cmp.Compare(a.Reference, b.Reference) })
	seen := map[*record]bool{}
	for _, d := range p.all {
		for _, r := range d.stored() {
			if !seen[r] {
				seen[r] = true
				e.Stored = append(e.Stored, Pushed{d.Name, r.platform, r.ref.String(), r.digest})
			}
		}
	}
	slices.SortFunc(e.Stored, func(a, b Pushed) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(arch.Order(a.Platform), arch.Order(b.Platform)), cmp.Compare(a.Reference, b.Reference))
	})
	for _, d := range p.all {
		for _, t := range d.tags {
			switch t.state {
			case moved:
				e.Moved = append(e.Moved, t.Pushed)
			case unmoved:
				e.Unmoved = append(e.Unmoved, t.Pushed)
			case inDoubt:
				e.InDoubt = append(e.InDoubt, t.Pushed)
			}
		}
	}
	return e
}

// stored are the manifests that the repository has with all that they consist of: an index counts once everything is
// there.
func (d delivery) stored() []*record {
	var there []*record
	for _, r := range d.records {
		if r.there && (!r.index() || len(there) == slices.Index(d.records, r)) {
			there = append(there, r)
		}
	}
	return there
}

func (e *PushError) Unwrap() error { return e.Err }

func (e *PushError) Error() string {
	// A registry's words may have several lines.
	parts := []string{strings.Join(strings.Fields(e.Err.Error()), " ")}
	if len(e.Stored) == 0 {
		parts = append(parts, "no manifest was stored")
	}
	for _, part := range []struct {
		title string
		list  []Pushed
	}{
		{"stored by digest", e.Stored},
		{"tags moved", e.Moved},
		{"tags not moved", e.Unmoved},
		{"tags in doubt", e.InDoubt},
	} {
		if len(part.list) > 0 {
			references := make([]string, len(part.list))
			for i, p := range part.list {
				references[i] = p.Reference
			}
			parts = append(parts, part.title+": "+strings.Join(references, ", "))
		}
	}
	for _, s := range e.Stuck {
		before := "it did not exist"
		if s.Before != (v1.Hash{}) {
			before = "it stood for " + s.Before.String()
		}
		parts = append(parts, fmt.Sprintf("%s could not be put back (%s): %s", s.Reference, before, strings.Join(strings.Fields(s.Err.Error()), " ")))
	}
	return strings.Join(parts, "; ")
}

// Hint says what to do about it.
func (e *PushError) Hint() string {
	var hinted interface{ Hint() string }
	if errors.As(e.Err, &hinted) {
		return hinted.Hint()
	}
	again := "push again: what is there is not sent a second time"
	var unreachable *net.OpError
	if errors.As(e.Err, &unreachable) && unreachable.Op == "dial" {
		return "see that the registry is spelt right, runs and can be reached from here, then " + again
	}
	var answer *transport.Error
	if errors.As(e.Err, &answer) && answer.Request != nil &&
		(answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden) {
		return fmt.Sprintf("log in with docker login %s as somebody who may push, then %s", answer.Request.URL.Host, again)
	}
	return again
}
