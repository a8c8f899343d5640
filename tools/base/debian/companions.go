package debian

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/multiarch-build/multiarch/tools/internal/fault"
)

// suite is the suite that a base is of, under one of its names.
type suite struct {
	Archive
	release *Release
	broken  atomic.Bool // an index of it was not to be had
}

// suites returns the suite under the name that was asked for, and under its codename: on a mirror that is being updated,
// one of the two can be whole while the other is not, or has expired.
func (a *Archive) suites(ctx context.Context) ([]*suite, error) {
	var (
		found   []*suite
		expired *ExpiredError
	)
	r, err := a.Release(ctx)
	codename := ""
	switch {
	case err == nil:
		found = append(found, &suite{Archive: *a, release: r})
		codename = r.Codename
	case errors.As(err, &expired):
		codename = expired.Codename
	default:
		return nil, err
	}
	if codename == a.Suite || !validSuite(codename) {
		return found, err
	}
	named := *a
	named.Suite = codename
	if r, failed := named.Release(ctx); failed == nil {
		return append(found, &suite{Archive: named, release: r}), nil
	}
	return found, err // that the mirror has it under one name is enough
}

func validSuite(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == "" && name[0] >= 'a'
}

func (s *suite) add(ctx context.Context, x *Index, received func(int64)) error {
	err := s.addTo(ctx, x, s.release, "", s.components(), received)
	if err != nil && !errors.As(err, new(*UnknownError)) {
		s.broken.Store(true)
	}
	return err
}

// failed reports whether an index of the suite was not to be had.
func (s *suite) failed() bool { return s.broken.Load() }

// companion is a suite that belongs to another, and has newer versions of some of its packages.
type companion struct {
	base     Archive  // with the mirrors to ask
	names    []string // that it may have on them, the preferred one first
	codename string   // that its Release must have
	of       string   // the suite it belongs to
	security bool

	mu       sync.Mutex
	releases map[string]*Release // by name; nil for one that is not to be had
	errs     map[string]error
	used     map[string]*Release // those that packages were looked for in
	told     map[string]bool
}

// inFolder are the codenames whose security archive is in a folder: buster/updates.
var inFolder = []string{"buster", "stretch", "jessie", "wheezy", "squeeze", "lenny"}

// companions returns the suites that belong to s: its updates, then its security updates. Unstable has neither, and a
// suite that belongs to another one has none of its own.
func (s *suite) companions(securityMirrors []string, off bool) []*companion {
	r := s.release
	alone := []string{"unstable", "sid", "experimental", "rc-buggy"}
	name, ending, _ := strings.Cut(s.Suite, "-")
	belongs := slices.Contains([]string{"updates", "security", "backports", "backports-sloppy", "proposed-updates", "lts"}, ending)
	if off || belongs || strings.Contains(s.Suite, "/") || slices.Contains(alone, name) || slices.Contains(alone, r.Suite) || slices.Contains(alone, r.Codename) {
		return nil
	}
	names := func(ending string) []string {
		var out []string
		for _, stem := range []string{r.Codename, r.Suite} {
			if validSuite(stem) && !slices.Contains(out, stem+ending) {
				out = append(out, stem+ending)
			}
		}
		return out
	}
	updates := &companion{base: s.Archive, names: names("-updates"), codename: r.Codename + "-updates", of: s.Suite}
	security := &companion{base: s.Archive, names: names("-security"), codename: r.Codename + "-security", of: s.Suite, security: true}
	if slices.Contains(inFolder, r.Codename) {
		security.names, security.codename = []string{r.Codename + "/updates"}, r.Codename
	}
	security.base.Mirrors = securityMirrors
	for _, c := range []*companion{updates, security} {
		c.releases, c.errs = map[string]*Release{}, map[string]error{}
		c.used, c.told = map[string]*Release{}, map[string]bool{}
	}
	return []*companion{updates, security}
}

// archive returns the companion under one of its names.
func (c *companion) archive(name string) *Archive {
	a := c.base
	a.Suite = name
	return &a
}

// release reads the Release of the companion under one of its names, once.
func (c *companion) release(ctx context.Context, name string) (*Release, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, asked := c.releases[name]; asked {
		return r, c.errs[name]
	}
	r, err := c.archive(name).Release(ctx)
	// The alias of another release is signed as well.
	if err == nil && r.Codename != c.codename {
		r, err = nil, &WrongSuiteError{name, r.Suite + ", codename " + r.Codename}
	}
	c.releases[name], c.errs[name] = r, err
	return r, err
}

// open looks for the companion under its names until one is there. That there are no updates between point releases is
// no error, but that security updates are missing is.
func (c *companion) open(ctx context.Context) error {
	var errs []error
	for _, name := range c.names {
		if _, err := c.release(ctx, name); err == nil {
			return nil
		} else if ctx.Err() != nil {
			return err
		} else {
			errs = append(errs, err)
		}
	}
	// The error that tells most: that there is no file of some name tells little.
	slices.SortStableFunc(errs, func(a, b error) int { return missing(a) - missing(b) })
	if !c.security && (len(errs) == 0 || missing(errs[0]) == 1) {
		c.base.notify("suite %s has no updates between point releases on its mirrors: packages are taken without them", c.of)
		return nil
	}
	if len(errs) == 0 {
		errs = append(errs, errors.New("its Release gives no name that they could have"))
	}
	return &CompanionError{c.of, c.security, errs[0]}
}

// missing is 1 if all that mirrors say is that there is no such file.
func missing(err error) int {
	var gone *UnavailableError
	if !errors.As(err, &gone) || len(gone.Mirrors) == 0 {
		return 0
	}
	all, ok := gone.Err.(interface{ Unwrap() []error })
	if !ok {
		return 0
	}
	for _, one := range all.Unwrap() {
		var status *statusError
		if !errors.As(one, &status) || status.code != http.StatusNotFound && status.code != http.StatusForbidden && status.code != http.StatusGone {
			return 0
		}
	}
	return 1
}

// components returns those of the companion that have packages for an architecture.
func (c *companion) components(r *Release, arch string) []string {
	var out []string
	for _, component := range c.base.components() {
		if len(r.forms(component, arch)) > 0 {
			out = append(out, component)
		}
	}
	return out
}

// size is how many bytes the indexes of an architecture have under the first name that is there.
func (c *companion) size(arch string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range c.names {
		if r := c.releases[name]; r != nil {
			return r.size(c.components(r, arch), arch)
		}
	}
	return 0
}

// add adds the packages of the companion to those of its suite. If an index is not to be had under one name, since the
// mirror is being updated, it is looked for under the next.
func (c *companion) add(ctx context.Context, x *Index, received func(int64)) error {
	var first error
	there := false
	for _, name := range c.names {
		r, err := c.release(ctx, name)
		if err != nil {
			continue
		}
		there = true
		components := c.components(r, x.arch)
		if len(components) == 0 {
			c.tell("suite %s has nothing for %s: its packages come from suite %s alone", name, x.arch, c.of)
			return nil
		}
		if err = c.archive(name).addTo(ctx, x, r, name, components, received); err == nil {
			c.mu.Lock()
			c.used[name] = r
			c.mu.Unlock()
			return nil
		}
		if first == nil {
			first = err
		}
	}
	if !there {
		return nil // open has reported it
	}
	return &CompanionError{c.of, c.security, first}
}

// tell notifies once.
func (c *companion) tell(format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	c.mu.Lock()
	told := c.told[message]
	c.told[message] = true
	c.mu.Unlock()
	if !told {
		c.base.notify("%s", message)
	}
}

// CompanionError is returned for a suite whose security updates, or updates, are not to be had.
type CompanionError struct {
	Suite    string
	Security bool
	Err      error
}

func (e *CompanionError) what() string {
	if e.Security {
		return "security updates"
	}
	return "updates"
}

func (e *CompanionError) Error() string {
	return fmt.Sprintf("%s of suite %s: %s", e.what(), e.Suite, e.Err)
}

// Class classifies the error for the exit code.
func (e *CompanionError) Class() fault.Class { return fault.Base }

// Unwrap returns what is wrong.
func (e *CompanionError) Unwrap() error { return e.Err }

// Hint says what to do about it, and how to go without.
func (e *CompanionError) Hint() string {
	hint := fault.HintOf(e.Err)
	var gone *UnavailableError
	if e.Security && errors.As(e.Err, &gone) {
		hint = "name the mirror that has them: security: http://deb.debian.org/debian-security, or MULTIARCH_DEBIAN_SECURITY_MIRROR"
	}
	return hint + "; security: false locks the suite alone, without security updates"
}
