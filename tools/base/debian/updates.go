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

// suite is the suite of a base, under one of its names.
type suite struct {
	Archive
	release     *Release
	indexFailed atomic.Bool
}

// suites returns the suite under the requested name and under its codename. On a mirror that is being updated, one of
// the two may be complete while the other is not, or has expired.
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
	return found, err // one name is enough
}

func validSuite(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == "" && name[0] >= 'a'
}

func (s *suite) add(ctx context.Context, x *Index, received func(int64)) error {
	err := s.readIndex(ctx, x, s.release, "", s.components(), received)
	if err != nil && !errors.As(err, new(*UnknownError)) {
		s.indexFailed.Store(true)
	}
	return err
}

// updateSuite is a suite with newer versions of packages of another suite: its updates or its security updates.
type updateSuite struct {
	base     Archive  // without a suite
	names    []string // possible names, in order of preference
	codename string   // required in its Release file
	parent   string   // the suite that it updates
	security bool

	mu       sync.Mutex
	releases map[string]*Release // by name; nil if unavailable
	errs     map[string]error    // by name
	used     map[string]*Release // Release files whose packages were read, by name
	notified map[string]bool     // messages that were reported
}

// updatesInSubdirectory lists the codenames whose security updates are in a subdirectory: buster/updates.
var updatesInSubdirectory = []string{"buster", "stretch", "jessie", "wheezy", "squeeze", "lenny"}

// updateSuites returns the updates of s and its security updates, in this order. If off is set, it returns none.
func (s *suite) updateSuites(securityMirrors []string, off bool) []*updateSuite {
	r := s.release
	if off || !s.hasUpdates() {
		return nil
	}
	names := func(suffix string) []string {
		var out []string
		for _, name := range []string{r.Codename, r.Suite} {
			if validSuite(name) && !slices.Contains(out, name+suffix) {
				out = append(out, name+suffix)
			}
		}
		return out
	}
	newSuite := func(suffix string) *updateSuite {
		return &updateSuite{
			base: s.Archive, names: names(suffix), codename: r.Codename + suffix, parent: s.Suite,
			releases: map[string]*Release{}, errs: map[string]error{},
			used: map[string]*Release{}, notified: map[string]bool{},
		}
	}
	updates, security := newSuite("-updates"), newSuite("-security")
	security.security, security.base.Mirrors = true, securityMirrors
	if slices.Contains(updatesInSubdirectory, r.Codename) {
		security.names, security.codename = []string{r.Codename + "/updates"}, r.Codename
	}
	return []*updateSuite{updates, security}
}

// hasUpdates reports whether Debian publishes updates for the suite. It does not for unstable, and for suites that
// themselves belong to another suite.
func (s *suite) hasUpdates() bool {
	without := []string{"unstable", "sid", "experimental", "rc-buggy"}
	suffixes := []string{"updates", "security", "backports", "backports-sloppy", "proposed-updates", "lts"}
	name, suffix, _ := strings.Cut(s.Suite, "-")
	if strings.Contains(s.Suite, "/") || slices.Contains(suffixes, suffix) {
		return false
	}
	for _, n := range []string{name, s.release.Suite, s.release.Codename} {
		if slices.Contains(without, n) {
			return false
		}
	}
	return true
}

// archive returns the archive of the suite under one of its names.
func (c *updateSuite) archive(name string) *Archive {
	a := c.base
	a.Suite = name
	return &a
}

// release reads the Release file under one of the names, once.
func (c *updateSuite) release(ctx context.Context, name string) (*Release, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, done := c.releases[name]; done {
		return r, c.errs[name]
	}
	r, err := c.archive(name).Release(ctx)
	// An alias may refer to another release, whose signature is valid, too.
	if err == nil && r.Codename != c.codename {
		r, err = nil, &WrongSuiteError{name, r.Suite + ", codename " + r.Codename}
	}
	c.releases[name], c.errs[name] = r, err
	return r, err
}

// open reads the Release file under the first name that is available. Missing security updates are an error, but
// missing updates between point releases are not.
func (c *updateSuite) open(ctx context.Context) error {
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
	// A missing file is the least informative error: any other is reported instead.
	err := errors.New("the Release file names neither a codename nor a suite")
	if len(errs) > 0 {
		err = errs[0]
		if i := slices.IndexFunc(errs, func(err error) bool { return !isNotFound(err) }); i >= 0 {
			err = errs[i]
		}
	}
	if !c.security && (len(errs) == 0 || isNotFound(err)) {
		c.base.notify("suite %s: no updates between point releases on its mirrors; locking without them", c.parent)
		return nil
	}
	return &UpdatesError{c.parent, c.security, err}
}

// isNotFound reports whether all mirrors lack a file.
func isNotFound(err error) bool {
	var unavailable *UnavailableError
	if !errors.As(err, &unavailable) || len(unavailable.Mirrors) == 0 {
		return false
	}
	all, ok := unavailable.Err.(interface{ Unwrap() []error })
	if !ok {
		return false
	}
	for _, err := range all.Unwrap() {
		var status *statusError
		if !errors.As(err, &status) {
			return false
		}
		switch status.code {
		case http.StatusNotFound, http.StatusForbidden, http.StatusGone:
		default:
			return false
		}
	}
	return true
}

// components returns the components with packages for an architecture.
func (c *updateSuite) components(r *Release, arch string) []string {
	var out []string
	for _, component := range c.base.components() {
		if len(r.indexFiles(component, arch)) > 0 {
			out = append(out, component)
		}
	}
	return out
}

// size returns the size of an architecture's indexes under the first available name.
func (c *updateSuite) size(arch string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range c.names {
		if r := c.releases[name]; r != nil {
			return r.indexSize(c.components(r, arch), arch)
		}
	}
	return 0
}

// add adds the packages of the suite to x. If an index is unavailable under one name, because the mirror is being
// updated, it tries the next name.
func (c *updateSuite) add(ctx context.Context, x *Index, received func(int64)) error {
	var first error
	available := false
	for _, name := range c.names {
		r, err := c.release(ctx, name)
		if err != nil {
			continue
		}
		available = true
		components := c.components(r, x.arch)
		if len(components) == 0 {
			c.notifyOnce("suite %s has no packages for %s; using suite %s only", name, x.arch, c.parent)
			return nil
		}
		if err = c.archive(name).readIndex(ctx, x, r, name, components, received); err == nil {
			c.mu.Lock()
			c.used[name] = r
			c.mu.Unlock()
			return nil
		}
		if first == nil {
			first = err
		}
	}
	if !available {
		return nil // reported by open
	}
	return &UpdatesError{c.parent, c.security, first}
}

// notifyOnce reports each message once, although several architectures may cause it.
func (c *updateSuite) notifyOnce(format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	c.mu.Lock()
	notified := c.notified[message]
	c.notified[message] = true
	c.mu.Unlock()
	if !notified {
		c.base.notify("%s", message)
	}
}

// UpdatesError is returned if the updates or the security updates of a suite are unavailable.
type UpdatesError struct {
	Suite    string
	Security bool
	Err      error
}

func (e *UpdatesError) what() string {
	if e.Security {
		return "security updates"
	}
	return "updates"
}

func (e *UpdatesError) Error() string {
	return fmt.Sprintf("%s of suite %s: %s", e.what(), e.Suite, e.Err)
}

// Class classifies the error for the exit code.
func (e *UpdatesError) Class() fault.Class { return fault.Base }

// Unwrap returns the reason.
func (e *UpdatesError) Unwrap() error { return e.Err }

// Hint suggests a remedy, and how to lock without security updates.
func (e *UpdatesError) Hint() string {
	hint := fault.HintOf(e.Err)
	var unavailable *UnavailableError
	if e.Security && errors.As(e.Err, &unavailable) {
		hint = "set the mirror of security updates: security: http://deb.debian.org/debian-security, " +
			"or MULTIARCH_DEBIAN_SECURITY_MIRROR"
	}
	return hint + "; to lock the suite without security updates, set security: false"
}
