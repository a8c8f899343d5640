package push

import (
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/internal/format"
)

// maxListed is how many items of a kind a message lists. A release may have hundreds.
const maxListed = 8

func (e *Error) Error() string {
	// The text of a registry may have several lines.
	parts := []string{oneLine(e.Err)}
	if e.Preview {
		return parts[0]
	}
	if sent := tallies(e.Uploaded, Uploaded.tally); len(sent) > 0 {
		parts = append(parts, "uploaded before that: "+join(sent, tally.blobs))
	}
	switch {
	case len(e.Stored) == 0:
		parts = append(parts, "no manifest was uploaded")
	case len(e.Stored) <= maxListed:
		parts = append(parts, "stored by digest: "+join(e.Stored, referenceOf))
	default:
		parts = append(parts, "stored by digest: "+join(tallies(e.Stored, Artifact.tally), tally.manifests))
	}
	if len(e.Moved) > 0 {
		parts = append(parts, "tags moved: "+join(e.Moved, referenceOf))
	}
	if len(e.Unmoved) > 0 {
		parts = append(parts, "tags not moved: "+someOf(e.Unmoved))
	}
	if len(e.UpToDate) > 0 {
		parts = append(parts, "tags already up to date: "+someOf(e.UpToDate))
	}
	if len(e.Unknown) > 0 {
		parts = append(parts, "tags in an unknown state: "+join(e.Unknown, referenceOf))
	}
	for _, s := range e.RollbackFailures {
		before := "it did not exist before"
		if s.Before != (v1.Hash{}) {
			before = "it pointed to " + s.Before.String()
		}
		parts = append(parts, fmt.Sprintf("%s could not be rolled back (%s): %s", s.Reference, before, oneLine(s.Err)))
	}
	return strings.Join(parts, "; ")
}

// tally counts something in a repository, or in all repositories of a registry.
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

// tallies sums up per repository, or per registry if there are many repositories.
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
	if len(repositories) > maxListed {
		return registries
	}
	return repositories
}

// add adds t to the tally of its place, and reports whether the place is new.
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
	return t.at(fmt.Sprintf("%s of %s", format.Count(t.n, "blob"), format.Bytes(t.bytes)))
}

func (t tally) manifests() string { return t.at(format.Count(t.n, "manifest")) }

// at adds the place to a count.
func (t tally) at(what string) string {
	switch t.repositories {
	case 0:
	case 1:
		what += " in one repository"
	default:
		what += fmt.Sprintf(" in %d repositories", t.repositories)
	}
	return fmt.Sprintf("%s (%s)", t.place, what)
}

// someOf lists some of the tags.
func someOf(tags []Artifact) string {
	if n := len(tags); n > maxListed {
		return fmt.Sprintf("%s and %d others", join(tags[:maxListed-1], referenceOf), n-maxListed+1)
	}
	return join(tags, referenceOf)
}

func referenceOf(p Artifact) string { return p.Reference }

func join[T any](list []T, text func(T) string) string {
	words := make([]string, len(list))
	for i, one := range list {
		words[i] = text(one)
	}
	return strings.Join(words, ", ")
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
