package debian

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/multiarch-build/multiarch/tools/build/cache"
	"github.com/multiarch-build/multiarch/tools/internal/fault"
)

// SignatureError is returned for a Release file without a valid signature by a key of the keyring.
type SignatureError struct {
	Suite string
	Keys  []string // IDs of the signing keys, in hexadecimal
	Err   error
}

func (e *SignatureError) Error() string {
	if len(e.Keys) == 0 {
		return fmt.Sprintf("verifying the signature of suite %s: %s", e.Suite, e.Err)
	}
	return fmt.Sprintf("verifying the signature of suite %s by key %s: %s", e.Suite, strings.Join(e.Keys, ", "), e.Err)
}

// Class classifies the error for the exit code.
func (e *SignatureError) Class() fault.Class { return fault.Base }

// Unwrap returns the reason.
func (e *SignatureError) Unwrap() error { return e.Err }

// Hint suggests where to get the key.
func (e *SignatureError) Hint() string {
	return "set keyring: of the base if the archive is not Debian's; upgrade multiarch if the suite is newer than it"
}

// WrongSuiteError is returned for a signed Release file of another suite than the requested one.
type WrongSuiteError struct{ Suite, Got string }

func (e *WrongSuiteError) Error() string {
	return fmt.Sprintf("the Release file of suite %s is for suite %s", e.Suite, e.Got)
}

// Class classifies the error for the exit code.
func (e *WrongSuiteError) Class() fault.Class { return fault.Base }

// Hint suggests a correction.
func (e *WrongSuiteError) Hint() string {
	return "spell the suite as the archive does, or use another mirror"
}

// ExpiredError is returned for a Release file after its Valid-Until. A mirror that still serves it may withhold
// updates.
type ExpiredError struct {
	Suite, Codename string
	ValidUntil      time.Time
}

func (e *ExpiredError) Error() string {
	return fmt.Sprintf("the Release file of suite %s expired on %s", e.Suite, e.ValidUntil.Format(time.RFC1123))
}

// Class classifies the error for the exit code.
func (e *ExpiredError) Class() fault.Class { return fault.Base }

// Hint suggests what to check.
func (e *ExpiredError) Hint() string {
	return "check this machine's clock, or use a mirror that is up to date; for a frozen archive, set " +
		"check_valid_until: false"
}

// ChecksumError is returned for a file that differs from its signed checksum or size.
type ChecksumError struct{ What, Want, Got string }

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("verifying %s: expected %s, got %s", e.What, e.Want, e.Got)
}

// Class classifies the error for the exit code.
func (e *ChecksumError) Class() fault.Class { return fault.Base }

// Hint suggests what to do.
func (e *ChecksumError) Hint() string {
	return "try again in a few minutes, in case the mirror is being updated; " +
		"if the file still differs, use another mirror"
}

// formatError is returned for an invalid index, Release file or stanza.
type formatError struct {
	what string
	line int // 0 if unknown
	err  string
}

func (e *formatError) Error() string {
	if e.line == 0 {
		return e.what + ": " + e.err
	}
	return fmt.Sprintf("%s, line %d: %s", e.what, e.line, e.err)
}

// isInvalidContent reports whether a mirror has the requested file, but its content is unusable.
func isInvalidContent(err error) bool {
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
