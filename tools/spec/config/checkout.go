package config

import (
	"errors"
	"strings"
)

// Checkout answers queries about the checked-out commit. Implementations run a query only when a
// template uses its result.
type Checkout interface {
	// Head returns the checked-out commit.
	Head() (Head, error)
	// Tag returns the git tag of HEAD, or "" if HEAD has none. If there are several, it prefers the
	// one that the CI system is building, then the highest semantic version. Only tags with the
	// prefix count, and the prefix is removed.
	Tag(prefix string) (string, error)
	// Describe returns a version: the tag of HEAD; or the nearest earlier tag with the distance to
	// it, such as v1.0.0-3-gabcdef1; or the short commit if there is no tag. "-dirty" is appended
	// if there are uncommitted changes.
	Describe(prefix string) (string, error)
	// Dirty reports whether there are uncommitted changes.
	Dirty() (bool, error)
}

// Head is the checked-out commit.
type Head struct {
	Commit string // hexadecimal
	Branch string // "" if HEAD is detached
	Time   string // commit time in RFC 3339, UTC
}

// Git holds the values available to templates as {{.Git}}.
type Git struct {
	checkout Checkout
	prefix   string
}

// Commit returns the commit as 40 hexadecimal digits, or 64 in a SHA-256 repository.
func (g *Git) Commit() (string, error) {
	head, err := g.checkout.Head()
	return head.Commit, unavailable(err)
}

// ShortCommit returns the first seven digits of the commit.
func (g *Git) ShortCommit() (string, error) {
	commit, err := g.Commit()
	return commit[:min(7, len(commit))], err
}

// Branch returns the checked-out branch, or "" if HEAD is detached.
func (g *Git) Branch() (string, error) {
	head, err := g.checkout.Head()
	return head.Branch, unavailable(err)
}

// CommitTime returns the time of the commit in RFC 3339, UTC.
func (g *Git) CommitTime() (string, error) {
	head, err := g.checkout.Head()
	return head.Time, unavailable(err)
}

// Tag returns the tag of HEAD; see Checkout.
func (g *Git) Tag() (string, error) {
	tag, err := g.checkout.Tag(g.prefix)
	return tag, unavailable(err)
}

// Describe returns a version derived from the latest tag; see Checkout.
func (g *Git) Describe() (string, error) {
	version, err := g.checkout.Describe(g.prefix)
	return version, unavailable(err)
}

// Dirty reports whether there are uncommitted changes.
func (g *Git) Dirty() (bool, error) {
	dirty, err := g.checkout.Dirty()
	return dirty, unavailable(err)
}

func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return hinted(&UnavailableError{err}, hintOf(err))
}

// Git returns the values of {{.Git}}. It fails without a checkout.
func (v Vars) Git() (*Git, error) {
	if v.Checkout == nil {
		return nil, hinted(&UnavailableError{errors.New("no git commit is checked out")},
			"create a commit, or remove {{.Git}} and created: commit")
	}
	return &Git{v.Checkout, v.TagPrefix}, nil
}

// SampleCheckout is a Checkout with fixed sample values. It is used to validate templates.
type SampleCheckout struct{}

// Head returns a commit of zeros on main.
func (SampleCheckout) Head() (Head, error) {
	return Head{strings.Repeat("0", 40), "main", "1970-01-01T00:00:00Z"}, nil
}

// Tag returns v1.0.0.
func (SampleCheckout) Tag(string) (string, error) { return "v1.0.0", nil }

// Describe returns v1.0.0.
func (SampleCheckout) Describe(string) (string, error) { return "v1.0.0", nil }

// Dirty returns false.
func (SampleCheckout) Dirty() (bool, error) { return false, nil }
