package config

import (
	"errors"
	"strings"
)

// Checkout finds out what is checked out. Each answer is found when a template asks for it, and no sooner.
type Checkout interface {
	// Head describes the commit that is checked out.
	Head() (Head, error)
	// Tag returns the tag that the commit itself has, "" if it has none: an older one would name what it is not. Of
	// several it is the one that the CI system builds, else the highest semantic version. Only tags with the prefix
	// count, and it is cut off.
	Tag(prefix string) (string, error)
	// Describe returns a version: the tag, or the nearest one before with the distance to it, v1.0.0-3-gabcdef1, or the
	// short commit if there is none; with -dirty if something is not committed.
	Describe(prefix string) (string, error)
	// Dirty tells whether something is not committed.
	Dirty() (bool, error)
}

// Head is the commit that is checked out.
type Head struct {
	Commit string // hexadecimal
	Branch string // "" if no branch is checked out
	Time   string // of the commit, RFC 3339, in UTC
}

// Git is what templates know as .Git.
type Git struct {
	checkout Checkout
	prefix   string
}

// Commit is {{.Git.Commit}}: 40 hexadecimal digits, or 64 in a SHA-256 repository.
func (g *Git) Commit() (string, error) {
	head, err := g.checkout.Head()
	return head.Commit, unavailable(err)
}

// ShortCommit is {{.Git.ShortCommit}}: the first seven digits of the commit.
func (g *Git) ShortCommit() (string, error) {
	commit, err := g.Commit()
	return commit[:min(7, len(commit))], err
}

// Branch is {{.Git.Branch}}: "" if no branch is checked out.
func (g *Git) Branch() (string, error) {
	head, err := g.checkout.Head()
	return head.Branch, unavailable(err)
}

// CommitTime is {{.Git.CommitTime}}: RFC 3339, in UTC.
func (g *Git) CommitTime() (string, error) {
	head, err := g.checkout.Head()
	return head.Time, unavailable(err)
}

// Tag is {{.Git.Tag}}; see Checkout.
func (g *Git) Tag() (string, error) {
	tag, err := g.checkout.Tag(g.prefix)
	return tag, unavailable(err)
}

// Describe is {{.Git.Describe}}; see Checkout.
func (g *Git) Describe() (string, error) {
	version, err := g.checkout.Describe(g.prefix)
	return version, unavailable(err)
}

// Dirty is {{.Git.Dirty}}; see Checkout.
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

// Git is what templates call it by. It is an error without a checkout.
func (v Vars) Git() (*Git, error) {
	if v.Checkout == nil {
		return nil, hinted(&UnavailableError{errors.New("there is no git checkout with a commit")}, "commit first, or do without {{.Git}} and created: commit")
	}
	return &Git{v.Checkout, v.TagPrefix}, nil
}

// SampleCheckout is a Checkout with made-up answers, for checks before anything is known.
type SampleCheckout struct{}

// Head is a commit of zeros on main.
func (SampleCheckout) Head() (Head, error) {
	return Head{strings.Repeat("0", 40), "main", "1970-01-01T00:00:00Z"}, nil
}

// Tag is v1.0.0.
func (SampleCheckout) Tag(string) (string, error) { return "v1.0.0", nil }

// Describe is v1.0.0.
func (SampleCheckout) Describe(string) (string, error) { return "v1.0.0", nil }

// Dirty is false.
func (SampleCheckout) Dirty() (bool, error) { return false, nil }
