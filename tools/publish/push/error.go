package push

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// Error is a failed push. It lists what the registries have.
type Error struct {
	// Uploaded are the blobs that this push has sent, by repository, without those that it mounted or found.
	Uploaded []Uploaded
	// Stored are the manifests that exist by digest with everything they refer to.
	Stored []Artifact
	// UpToDate are tags that already had the right digest. Moved are tags that have it now, Unmoved tags that have their
	// previous digest or still do not exist. Unknown are tags for which a response was lost and that could not be read
	// afterwards.
	UpToDate, Moved, Unmoved, Unknown []Artifact
	// Overwritten are tags that this push moved and that another release has moved since.
	Overwritten []Artifact
	// RollbackFailures are tags of Moved and Unknown that this push could not roll back.
	RollbackFailures []RollbackFailure
	// Preview reports that the error is of NewPreview.
	Preview bool
	Err     error
}

// Uploaded counts the blobs that were sent to a repository.
type Uploaded struct {
	Repository string
	Blobs      int
	Bytes      int64
}

func (p *pusher) fail(err error) error {
	e := &Error{Uploaded: p.uploaded(), RollbackFailures: p.rollbackFailures, Err: err}
	slices.SortFunc(e.RollbackFailures, func(a, b RollbackFailure) int { return cmp.Compare(a.Reference, b.Reference) })
	seen := map[*manifestUpload]bool{}
	for _, u := range p.images {
		for _, m := range u.stored() {
			if !seen[m] {
				seen[m] = true
				e.Stored = append(e.Stored, Artifact{u.Name, m.Platform, m.ref.String(), m.Digest})
			}
		}
	}
	slices.SortFunc(e.Stored, func(a, b Artifact) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(arch.Order(a.Platform), arch.Order(b.Platform)),
			cmp.Compare(a.Reference, b.Reference))
	})
	for _, u := range p.images {
		for _, t := range u.tags {
			list := map[tagState]*[]Artifact{
				upToDate: &e.UpToDate, moved: &e.Moved, unmoved: &e.Unmoved, unknown: &e.Unknown, overwritten: &e.Overwritten,
			}[t.state]
			*list = append(*list, t.Artifact)
		}
	}
	return e
}

func (p *pusher) uploaded() []Uploaded {
	var all []Uploaded
	for _, b := range p.blobs {
		for _, to := range b.destinations {
			if !to.uploaded {
				continue
			}
			i := slices.IndexFunc(all, func(u Uploaded) bool { return u.Repository == to.repo.Name() })
			if i < 0 {
				i = len(all)
				all = append(all, Uploaded{Repository: to.repo.Name()})
			}
			all[i].Blobs++
			all[i].Bytes += b.Size
		}
	}
	slices.SortFunc(all, func(a, b Uploaded) int { return cmp.Compare(a.Repository, b.Repository) })
	return all
}

// stored returns the manifests that the repository has. An index counts if everything before it exists.
func (u imageUpload) stored() []*manifestUpload {
	var present []*manifestUpload
	for _, m := range u.manifests {
		if m.present && (!m.IsIndex() || len(present) == slices.Index(u.manifests, m)) {
			present = append(present, m)
		}
	}
	return present
}

func (e *Error) Unwrap() error { return e.Err }

// Class classifies the error for the exit code.
func (e *Error) Class() fault.Class { return fault.Push }

// Hint depends on the registry's response.
func (e *Error) Hint() string {
	purpose := registry.Pushing
	if e.Preview {
		purpose.Again = "ask again"
	}
	var at *registryError
	if errors.As(e.Err, &at) {
		purpose.Host, purpose.Verb = at.registry, at.action
	}
	if errors.Is(e.Err, context.Canceled) && registry.Classify(e.Err) == registry.Unknown {
		return purpose.Again
	}
	return registry.Hint(e.Err, purpose)
}

// registryError is an error of a registry. The failed request may have gone to another host, such as that of its
// tokens.
type registryError struct {
	registry string
	// action is what the login must permit.
	action string
	error
}

const (
	actionPush = "push"
	actionRead = "read"
)

func (e *registryError) Unwrap() error { return e.error }

// atRegistry adds the registry to err, unless it is known already.
func atRegistry(registry, action string, err error) error {
	var known *registryError
	if err == nil || registry == "" || errors.As(err, &known) {
		return err
	}
	return &registryError{registry, action, err}
}
