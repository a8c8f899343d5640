package debian

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// UnavailableError is returned for a file that no mirror has.
type UnavailableError struct {
	What    string
	Mirrors []string
	Err     error // joins the errors of the mirrors
	// Suite is set if the Release file of a suite is unavailable.
	Suite string

	triedSnapshots bool
}

func (e *UnavailableError) Error() string {
	if len(e.Mirrors) == 0 {
		return fmt.Sprintf("downloading %s: no mirror configured", e.What)
	}
	return fmt.Sprintf("downloading %s from %s: %s", e.What, strings.Join(e.Mirrors, ", "), oneLine(e.Err))
}

// Class classifies the error for the exit code.
func (e *UnavailableError) Class() fault.Class { return fault.Base }

// Unwrap returns the errors of the mirrors.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Hint suggests where to find the file.
func (e *UnavailableError) Hint() string {
	var (
		unreachable *net.OpError
		status      *statusError
	)
	const setMirror = "set mirror: of the base, or MULTIARCH_DEBIAN_MIRROR"
	answered := errors.As(e.Err, &status)
	switch {
	case len(e.Mirrors) == 0:
		return setMirror
	case e.Suite != "" && answered && status.code == http.StatusNotFound:
		return suiteHint(e.Suite)
	case !answered && errors.As(e.Err, &unreachable) && unreachable.Op == "dial":
		return "check the mirror's URL and that this machine can reach it; to use another mirror, " + setMirror
	case e.Suite != "":
		return "try again when the mirror works; to use another mirror, " + setMirror
	case e.triedSnapshots:
		return relockHint
	}
	return "use a mirror that still has the package, or " + relockHint
}

// relockHint applies to locked packages that are no longer available.
const relockHint = "lock the current packages; run: multiarch lock --update"

// ContentMismatchError is returned for a locked package that mirrors or the snapshot archive have with other content.
type ContentMismatchError struct{ Err error }

func (e *ContentMismatchError) Error() string { return e.Err.Error() }

// Class classifies the error for the exit code.
func (e *ContentMismatchError) Class() fault.Class { return fault.Base }

// Unwrap returns the reason.
func (e *ContentMismatchError) Unwrap() error { return e.Err }

// Hint suggests what to do.
func (e *ContentMismatchError) Hint() string {
	return "use a mirror that has the locked content, or " + relockHint
}

// knownSuites are suggested if a suite does not exist. Some also exist with a suffix: trixie-backports.
var knownSuites = []string{
	"trixie", "bookworm", "bullseye", "forky", "stable", "oldstable", "testing", "unstable", "sid",
}

// suiteHint suggests what to do if the mirrors lack a suite.
func suiteHint(suite string) string {
	known := slices.Clone(knownSuites)
	for _, suffix := range []string{"-updates", "-backports", "-proposed-updates"} {
		for _, s := range knownSuites {
			known = append(known, s+suffix)
		}
	}
	if slices.Contains(known, suite) || debianSuite.MatchString(suite) {
		return "check that the mirror is a Debian archive, such as " + DefaultMirror +
			"; old suites are at http://archive.debian.org/debian"
	}
	if near := similar(suite, known); len(near) > 0 && !slices.Contains(knownSuites, near[0]) {
		return suggest.Hint(suite, near)
	}
	return suggest.Hint(suite, knownSuites)
}
