package push

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// Error is a Push that failed on the way. It says exactly what is in the registries.
type Error struct {
	// Uploaded are the blobs that this push has sent, by repository. What was mounted or found is not among them.
	Uploaded []Uploaded
	// Stored are the manifests that are there by their digests with all that they consist of: of single images, and
	// the indexes of targets that are complete.
	Stored []Artifact
	// Standing are the tags that have stood for what was pushed before this push. Moved are those that do now, Unmoved those
	// that stand for what they did before, or still do not exist. InDoubt are tags for which an answer was lost and which
	// could not be asked for afterwards.
	UpToDate, Moved, Unmoved, Unknown []Artifact
	// Overwritten are tags that this push moved, and that another release has moved since.
	Overwritten []Artifact
	// RollbackFailures are those of Moved and InDoubt that were moved by this push and could not be put back.
	RollbackFailures []RollbackFailure
	// Preview is that nothing was to be sent anyway.
	Preview bool
	Err     error
}

// Uploaded sums up the blobs that a repository was sent.
type Uploaded struct {
	Repository string
	Blobs      int
	Bytes      int64
}

func (p *push) fail(err error) error {
	e := &Error{Uploaded: p.uploaded(), RollbackFailures: p.stuck, Err: err}
	slices.SortFunc(e.RollbackFailures, func(a, b RollbackFailure) int { return cmp.Compare(a.Reference, b.Reference) })
	seen := map[*record]bool{}
	for _, d := range p.all {
		for _, r := range d.stored() {
			if !seen[r] {
				seen[r] = true
				e.Stored = append(e.Stored, Artifact{d.Name, r.Platform, r.ref.String(), r.Digest})
			}
		}
	}
	slices.SortFunc(e.Stored, func(a, b Artifact) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(arch.Order(a.Platform), arch.Order(b.Platform)), cmp.Compare(a.Reference, b.Reference))
	})
	for _, d := range p.all {
		for _, t := range d.tags {
			switch t.state {
			case already:
				e.UpToDate = append(e.UpToDate, t.Artifact)
			case moved:
				e.Moved = append(e.Moved, t.Artifact)
			case unmoved:
				e.Unmoved = append(e.Unmoved, t.Artifact)
			case inDoubt:
				e.Unknown = append(e.Unknown, t.Artifact)
			case overtaken:
				e.Overwritten = append(e.Overwritten, t.Artifact)
			}
		}
	}
	return e
}

func (p *push) uploaded() []Uploaded {
	var all []Uploaded
	for _, c := range p.list {
		for _, to := range c.to {
			if !to.uploaded {
				continue
			}
			i := slices.IndexFunc(all, func(u Uploaded) bool { return u.Repository == to.repo.Name() })
			if i < 0 {
				i = len(all)
				all = append(all, Uploaded{Repository: to.repo.Name()})
			}
			all[i].Blobs++
			all[i].Bytes += c.Size
		}
	}
	slices.SortFunc(all, func(a, b Uploaded) int { return cmp.Compare(a.Repository, b.Repository) })
	return all
}

// stored are the manifests that the repository has with all that they consist of: an index counts once everything is
// there.
func (d delivery) stored() []*record {
	var there []*record
	for _, r := range d.records {
		if r.there && (!r.IsIndex() || len(there) == slices.Index(d.records, r)) {
			there = append(there, r)
		}
	}
	return there
}

func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *Error) Hint() string {
	purpose := registry.Pushing
	if e.Preview {
		purpose.Again = "ask again"
	}
	var at *locatedError
	if errors.As(e.Err, &at) {
		purpose.Host, purpose.Verb = at.registry, at.may
	}
	if errors.Is(e.Err, context.Canceled) && registry.Classify(e.Err) == registry.Unknown {
		return purpose.Again
	}
	return registry.Hint(e.Err, purpose)
}

// locatedError is an error about a registry. The request that failed may have been one to another host, such as that of
// its tokens.
type locatedError struct {
	registry string
	// may is what has to be allowed there.
	may string
	error
}

// What may be allowed in a registry.
const (
	mayPush = "push"
	mayRead = "read"
)

func (e *locatedError) Unwrap() error { return e.error }

// located says which registry err is about, unless that is known already.
func located(registry, may string, err error) error {
	var known *locatedError
	if err == nil || registry == "" || errors.As(err, &known) {
		return err
	}
	return &locatedError{registry, may, err}
}
