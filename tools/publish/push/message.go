package push

import (
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/internal/format"
)

// few is how many things of a kind a message names one by one. A release may have hundreds.
const few = 8

func (e *Error) Error() string {
	// A registry's words may have several lines.
	parts := []string{oneLine(e.Err)}
	if e.Preview {
		return parts[0]
	}
	if sent := tallies(e.Uploaded, Uploaded.tally); len(sent) > 0 {
		parts = append(parts, "uploaded by then: "+enumerate(sent, tally.blobs))
	}
	switch {
	case len(e.Stored) == 0:
		parts = append(parts, "no manifest was stored")
	case len(e.Stored) <= few:
		parts = append(parts, "stored by digest: "+enumerate(e.Stored, referenceOf))
	default:
		parts = append(parts, "stored by digest: "+enumerate(tallies(e.Stored, Artifact.tally), tally.manifests))
	}
	if len(e.Moved) > 0 {
		parts = append(parts, "tags moved: "+enumerate(e.Moved, referenceOf))
	}
	if len(e.Unmoved) > 0 {
		parts = append(parts, "tags not moved: "+someOf(e.Unmoved))
	}
	if len(e.UpToDate) > 0 {
		parts = append(parts, "tags that were right before: "+someOf(e.UpToDate))
	}
	if len(e.Unknown) > 0 {
		parts = append(parts, "tags in doubt: "+enumerate(e.Unknown, referenceOf))
	}
	for _, s := range e.RollbackFailures {
		before := "it did not exist"
		if s.Before != (v1.Hash{}) {
			before = "it stood for " + s.Before.String()
		}
		parts = append(parts, fmt.Sprintf("%s could not be put back (%s): %s", s.Reference, before, oneLine(s.Err)))
	}
	return strings.Join(parts, "; ")
}

// tally is how much of something there is in a repository, or in all of a registry.
type tally struct {
	place        string
	repositories int // of a registry, 0 for a repository
	n            int
	bytes        int64
}

func (u Uploaded) tally() tally { return tally{u.Repository, 0, u.Blobs, u.Bytes} }

func (p Artifact) tally() tally {
	repository, _, _ := strings.Cut(p.Reference, "@")
	return tally{repository, 0, 1, 0}
}

// tallies adds up all by repository, or by registry where the repositories are many.
func tallies[T any](all []T, of func(T) tally) []tally {
	var repositories, registries []tally
	for _, one := range all {
		t := of(one)
		if add(&repositories, t) {
			t.repositories = 1
		}
		t.place, _, _ = strings.Cut(t.place, "/")
		add(&registries, t)
	}
	if len(repositories) > few {
		return registries
	}
	return repositories
}

// add adds t to what list has for its place, and tells whether the place is new.
func add(list *[]tally, t tally) bool {
	i := slices.IndexFunc(*list, func(l tally) bool { return l.place == t.place })
	if i < 0 {
		*list = append(*list, t)
		return true
	}
	to := &(*list)[i]
	to.repositories, to.n, to.bytes = to.repositories+t.repositories, to.n+t.n, to.bytes+t.bytes
	return false
}

func (t tally) blobs() string {
	return t.in(fmt.Sprintf("%s of %s", format.Count(t.n, "blob"), format.Bytes(t.bytes)))
}

func (t tally) manifests() string { return t.in(format.Count(t.n, "manifest")) }

// in says where what there is, is.
func (t tally) in(what string) string {
	switch t.repositories {
	case 0:
	case 1:
		what += " in one repository"
	default:
		what += fmt.Sprintf(" in %d repositories", t.repositories)
	}
	return fmt.Sprintf("%s (%s)", t.place, what)
}

// someOf names a few of many.
func someOf(tags []Artifact) string {
	if n := len(tags); n > few {
		return fmt.Sprintf("%s and %d others", enumerate(tags[:few-1], referenceOf), n-few+1)
	}
	return enumerate(tags, referenceOf)
}

func referenceOf(p Artifact) string { return p.Reference }

func enumerate[T any](list []T, say func(T) string) string {
	words := make([]string, len(list))
	for i, one := range list {
		words[i] = say(one)
	}
	return strings.Join(words, ", ")
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
