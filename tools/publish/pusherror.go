package publish

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// PushError is a Push that failed on the way. It says exactly what is in the registries.
type PushError struct {
	// Stored are the manifests that are there by their digests with all that they consist of: of single images, and
	// the indexes of targets that are complete.
	Stored []Pushed
	// Moved are the tags that stand for what was pushed, since they did so before or could not be given back; Unmoved those
	// that stand for what they did before, or do not exist. InDoubt are tags for which an answer was lost and which could not be asked for afterwards.
	Moved, Unmoved, InDoubt []Pushed
	Err                     error
}

func (p *push) fail(err error) error {
	e := &PushError{Stored: p.stored, Err: err}
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
	return strings.Join(parts, "; ")
}

// Hint says what to do about it.
func (e *PushError) Hint() string {
	var hinted interface{ Hint() string }
	if errors.As(e.Err, &hinted) {
		return hinted.Hint()
	}
	again := "push again: what is there is not sent a second time"
	var answer *transport.Error
	if errors.As(e.Err, &answer) && answer.Request != nil &&
		(answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden) {
		return fmt.Sprintf("log in with docker login %s as somebody who may push, then %s", answer.Request.URL.Host, again)
	}
	return again
}
