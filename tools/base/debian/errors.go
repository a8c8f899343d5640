package debian

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/agext/levenshtein"

	"github.com/multiarch-build/multiarch/tools/build/cache"
	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// UnknownError is returned for an architecture, a component or a package that an archive does not have.
type UnknownError struct {
	What  string   // architecture, component or package
	Name  string   // that was asked for
	In    string   // where it is not
	Known []string // those there are; of packages the nearest only
	// Providers are the packages that provide a virtual package of this name.
	Providers []string
}

func (e *UnknownError) Error() string {
	if len(e.Providers) > 0 {
		return fmt.Sprintf("%s %q is virtual in %s", e.What, e.Name, e.In)
	}
	return fmt.Sprintf("%s %q is not in %s", e.What, e.Name, e.In)
}

// Class classifies the error for the exit code.
func (e *UnknownError) Class() fault.Class { return fault.Base }

// Hint names the nearest that is there, or those that provide it.
func (e *UnknownError) Hint() string {
	if len(e.Providers) > 0 {
		return "ask for a package that provides it: " + strings.Join(e.Providers, ", ")
	}
	return suggest.Hint(e.Name, e.Known)
}

// nearestOf returns the few of all that need the fewest letters changed to become name: a suite has too many packages
// for a hint to name them all.
func nearestOf(name string, all []string) []string {
	const few = 5
	type near struct {
		name     string
		distance int
	}
	var found []near
	for _, one := range all {
		if max(len(one)-len(name), len(name)-len(one)) > max(2, len(name)/3) {
			continue
		}
		if d := levenshtein.Distance(name, one, nil); d <= max(2, len(name)/3) {
			found = append(found, near{one, d})
		}
	}
	slices.SortFunc(found, func(a, b near) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name))
	})
	var out []string
	for _, f := range found[:min(few, len(found))] {
		out = append(out, f.name)
	}
	return out
}

// UnsatisfiableError is returned for a dependency that no package of a suite fulfils.
type UnsatisfiableError struct {
	// Wants leads from a package that was asked for to the one that has the dependency.
	Wants    []string
	Relation string // as the package has it: libc6 (>= 2.41)
	Found    string // what there is instead; "" for nothing
}

func (e *UnsatisfiableError) Error() string {
	found := cmp.Or(e.Found, "there is none")
	who := e.Wants[0]
	if len(e.Wants) > 1 {
		who += " (wanted by " + strings.Join(e.Wants[1:], ", by ") + ")"
	}
	return fmt.Sprintf("%s depends on %s: %s", who, e.Relation, found)
}

// Hint says how it can be resolved.
func (e *UnsatisfiableError) Hint() string {
	return "mirrors that are being updated can be so for a while; else exclude " + e.Wants[0] +
		", or what it depends on, or take another suite"
}

// IncompatibleError is returned for two packages that must not be in one system.
type IncompatibleError struct {
	Package  string
	Relation string // what it conflicts with, or breaks, in its own words
	With     string // the package that is so, with its version
}

func (e *IncompatibleError) Error() string {
	return fmt.Sprintf("%s conflicts with %s, and there is %s", e.Package, e.Relation, e.With)
}

// Hint says how it can be resolved.
func (e *IncompatibleError) Hint() string {
	return "ask for one of the two only, or exclude one"
}

// ResolveError holds every problem of one list of packages.
type ResolveError struct{ Problems []error }

func (e *ResolveError) Error() string {
	var lines []string
	for _, p := range e.Problems {
		lines = append(lines, p.Error())
	}
	return strings.Join(lines, "\n")
}

// Class classifies the error for the exit code.
func (e *ResolveError) Class() fault.Class { return fault.Base }

// Unwrap returns the problems.
func (e *ResolveError) Unwrap() []error { return e.Problems }

// Hint joins the hints of the problems.
func (e *ResolveError) Hint() string {
	var hints []string
	for _, p := range e.Problems {
		if hint := fault.HintOf(p); hint != "" && !slices.Contains(hints, hint) {
			hints = append(hints, hint)
		}
	}
	return strings.Join(hints, "\n")
}

// SignatureError is returned for a Release that nobody has signed whose key is known.
type SignatureError struct {
	Suite string
	Keys  []string // the IDs of the keys it is signed with, in hexadecimal
	Err   error
}

func (e *SignatureError) Error() string {
	by := "nobody"
	if len(e.Keys) > 0 {
		by = "key " + strings.Join(e.Keys, ", ")
	}
	return fmt.Sprintf("the Release of suite %s, signed by %s: %s", e.Suite, by, e.Err)
}

// Class classifies the error for the exit code.
func (e *SignatureError) Class() fault.Class { return fault.Base }

// Unwrap returns what is wrong with the signature.
func (e *SignatureError) Unwrap() error { return e.Err }

// Hint says where the key may come from.
func (e *SignatureError) Hint() string {
	return "nothing of it was used; an archive other than Debian's needs its own keyring, and a suite that is newer than " +
		"this program a newer program"
}

// WrongSuiteError is returned for a mirror that has the signed Release of another suite where one was asked for.
type WrongSuiteError struct{ Suite, Got string }

func (e *WrongSuiteError) Error() string {
	return fmt.Sprintf("the Release of suite %s is that of %s", e.Suite, e.Got)
}

// Class classifies the error for the exit code.
func (e *WrongSuiteError) Class() fault.Class { return fault.Base }

// Hint says what the suite is called.
func (e *WrongSuiteError) Hint() string {
	return "write it as the archive does, or take another mirror"
}

// ExpiredError is returned for a Release that must not be used any more: whoever serves it may hold back updates.
type ExpiredError struct {
	Suite, Codename string
	ValidUntil      time.Time
}

func (e *ExpiredError) Error() string {
	return fmt.Sprintf("the Release of suite %s was valid until %s", e.Suite, e.ValidUntil.Format(time.RFC1123))
}

// Class classifies the error for the exit code.
func (e *ExpiredError) Class() fault.Class { return fault.Base }

// Hint says what may be behind it.
func (e *ExpiredError) Hint() string {
	return "check this machine's clock, or name a mirror that is up to date; for an archive that is frozen on purpose write " +
		"check_valid_until: false"
}

// ChecksumError is returned for a file that is not what a signed file says it is.
type ChecksumError struct{ What, Want, Got string }

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("%s is not what was signed: %s, but %s", e.What, e.Want, e.Got)
}

// Class classifies the error for the exit code.
func (e *ChecksumError) Class() fault.Class { return fault.Base }

// Hint says what may be behind it.
func (e *ChecksumError) Hint() string {
	return "nothing of it was used; a mirror that is being updated has this for some minutes, else something on the way " +
		"changes the content: name another mirror"
}

// UnavailableError is returned for what no mirror gives.
type UnavailableError struct {
	What    string
	Mirrors []string
	Err     error // what they said
	// Suite is set where it is the suite itself that is not there.
	Suite string

	snapshots bool // were asked as well
}

func (e *UnavailableError) Error() string {
	if len(e.Mirrors) == 0 {
		return e.What + ": no mirror is named"
	}
	return fmt.Sprintf("%s: not to be had from %s: %s", e.What, strings.Join(e.Mirrors, ", "),
		strings.ReplaceAll(e.Err.Error(), "\n", "; "))
}

// Class classifies the error for the exit code.
func (e *UnavailableError) Class() fault.Class { return fault.Base }

// Unwrap returns what the mirrors said.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Hint says where else it may be.
func (e *UnavailableError) Hint() string {
	var (
		unreachable *net.OpError
		answer      *statusError
	)
	const another = "name another: mirror: of the base, or MULTIARCH_DEBIAN_MIRROR"
	answered := errors.As(e.Err, &answer)
	switch {
	case len(e.Mirrors) == 0:
		return "name one: mirror: of the base, or MULTIARCH_DEBIAN_MIRROR"
	case e.Suite != "" && answered && answer.code == http.StatusNotFound:
		return suiteHint(e.Suite)
	case !answered && errors.As(e.Err, &unreachable) && unreachable.Op == "dial":
		return "see that the mirror is spelt right, runs and can be reached from here, or " + another
	case e.Suite != "":
		return "wait until the mirror is well again, or " + another
	}
	if e.snapshots {
		return relock
	}
	return "mirrors drop packages that newer ones have replaced; run: multiarch lock --update, or name a mirror that still has it"
}

// relock is what helps if a locked package cannot be had any more.
const relock = "take the packages of today instead; run: multiarch lock --update"

// OtherContentError is returned for a locked package that mirrors or the snapshot archive have with other content.
type OtherContentError struct{ Err error }

func (e *OtherContentError) Error() string { return e.Err.Error() }

// Class classifies the error for the exit code.
func (e *OtherContentError) Class() fault.Class { return fault.Base }

// Unwrap returns what there is.
func (e *OtherContentError) Unwrap() error { return e.Err }

// Hint says what to do instead.
func (e *OtherContentError) Hint() string {
	return "nothing of it was kept; name a mirror that has what was locked, or " + relock
}

// suites are those that a base may stand on. Others stand beside them: trixie-backports.
var suites = []string{"trixie", "bookworm", "bullseye", "forky", "stable", "oldstable", "testing", "unstable", "sid"}

// suiteHint says what a suite that no mirror has may have been meant to be.
func suiteHint(suite string) string {
	all := slices.Clone(suites)
	for _, beside := range []string{"-updates", "-backports", "-proposed-updates"} {
		for _, s := range suites {
			all = append(all, s+beside)
		}
	}
	if slices.Contains(all, suite) || debianSuite.MatchString(suite) {
		return "see that the mirror is an archive of Debian, such as " + DefaultMirror + "; old suites have moved to http://archive.debian.org/debian"
	}
	if near := nearestOf(suite, all); len(near) > 0 && !slices.Contains(suites, near[0]) {
		return suggest.Hint(suite, near)
	}
	return suggest.Hint(suite, suites)
}

// HostileError is returned for a package with something in it that a layer must not have, or that cannot be read.
type HostileError struct {
	Package string // name and version
	Path    string // in the package; "" for the package itself
	Reason  string
}

func (e *HostileError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("package %s: %s", e.Package, e.Reason)
	}
	return fmt.Sprintf("package %s: %q: %s", e.Package, e.Path, e.Reason)
}

// Hint says that it can be left out.
func (e *HostileError) Hint() string {
	return "no package of Debian is like this; exclude it, or find out where the mirror has it from"
}

// ConflictError is returned for two packages that do not agree on one path.
type ConflictError struct {
	Path string
	A, B string // who says what about it
}

func (e *ConflictError) Error() string { return fmt.Sprintf("%s: %s, but %s", e.Path, e.A, e.B) }

// Hint says how it can end.
func (e *ConflictError) Hint() string { return "exclude one of the two packages" }

// isWrong tells a file that is not what it should be from one that is not to be had.
func isWrong(err error) bool {
	var (
		content   *cache.WrongContentError
		sum       *ChecksumError
		signature *SignatureError
		suite     *WrongSuiteError
		format    *formatError
		unusable  *cache.UnusableError
		expired   *ExpiredError
	)
	return errors.As(err, &expired) || errors.As(err, &content) || errors.As(err, &sum) || errors.As(err, &signature) ||
		errors.As(err, &suite) || errors.As(err, &format) || errors.As(err, &unusable)
}

// formatError is returned for an index or a Release that cannot be understood.
type formatError struct {
	what string
	line int // 0 where it is about no line
	err  string
}

func (e *formatError) Error() string {
	if e.line == 0 {
		return e.what + ": " + e.err
	}
	return fmt.Sprintf("%s, line %d: %s", e.what, e.line, e.err)
}
