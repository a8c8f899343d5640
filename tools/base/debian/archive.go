// Package debian makes image layers from packages of Debian archives. Locker verifies the signature of a suite, reads
// its package indexes, resolves the dependencies of a list of packages, and records the result for the lock file.
// Fetcher downloads locked packages, and Merge unpacks them into the entries of a layer. No package is installed, and
// no program or maintainer script runs, so any machine can make layers for any architecture. Merge itself creates what
// the scripts of common packages would create.
package debian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/multiarch-build/multiarch/tools/internal/httplimit"
)

// Archive reads one suite of a Debian archive from its mirrors.
type Archive struct {
	// Mirrors are base URLs, such as http://deb.debian.org/debian. They are tried in order until one has the requested
	// file with valid content.
	Mirrors []string
	// Snapshots are base URLs of the archive at the time of a lock. Fetch tries them after the mirrors.
	Snapshots []string
	// Suite is the name or the codename of the suite: stable, trixie.
	Suite string
	// Components are the components to read (default: main).
	Components []string
	// Keyring contains OpenPGP public keys, armored or binary (default: the keys of the Debian archive).
	Keyring []byte
	// IgnoreValidUntil accepts expired Release files from any mirror.
	IgnoreValidUntil bool
	// Frozen lists the mirrors whose expired Release files are accepted.
	Frozen []string
	// Transport sends the requests (default: http.DefaultTransport).
	Transport http.RoundTripper
	// Notify, if it is set, is called before a download is retried. Calls may overlap.
	Notify func(message string)

	pause time.Duration    // pause before the second attempt (default: firstPause)
	now   func() time.Time // default: time.Now
}

// mirrorTimeout limits how long a mirror may be silent.
const mirrorTimeout = time.Minute

func (a *Archive) components() []string {
	if len(a.Components) == 0 {
		return []string{"main"}
	}
	return a.Components
}

// statusError is returned for a response with an unexpected status.
type statusError struct {
	url        string
	code       int
	retryAfter time.Duration
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s: %d %s", e.url, e.code, http.StatusText(e.code))
}

// tryMirrors calls use with each mirror until it succeeds. Mirrors with temporary errors are retried after a pause. If
// a mirror has invalid content, its error is returned, else an *UnavailableError.
func (a *Archive) tryMirrors(ctx context.Context, what string, mirrors []string, use func(mirror string) error) error {
	failed := make([]error, len(mirrors)) // the last error of each mirror
	for attempt := 0; ; attempt++ {
		var retry error
		var pause time.Duration
		for i, mirror := range mirrors {
			if attempt > 0 && !temporary(failed[i]) {
				continue
			}
			failed[i] = use(strings.TrimRight(mirror, "/"))
			switch {
			case failed[i] == nil:
				return nil
			case ctx.Err() != nil:
				return fmt.Errorf("downloading %s: %w", what, ctx.Err())
			case temporary(failed[i]):
				retry = failed[i]
				var status *statusError
				if errors.As(retry, &status) {
					pause = max(pause, status.retryAfter)
				}
			}
		}
		if retry == nil || attempt == attempts-1 {
			break
		}
		a.notify("downloading %s: %s; retrying", what, oneLine(retry))
		if err := a.wait(ctx, attempt, pause); err != nil {
			return fmt.Errorf("downloading %s: %w", what, err)
		}
	}
	for i, err := range failed {
		if isInvalidContent(err) {
			return fmt.Errorf("downloading %s from %s: %w", what, redacted(mirrors[i]), err)
		}
	}
	out := &UnavailableError{What: what, Err: errors.Join(failed...)}
	for _, mirror := range mirrors {
		out.Mirrors = append(out.Mirrors, redacted(mirror))
	}
	return out
}

// open requests a file of a mirror, starting at offset. It returns the offset from of the response, which is 0 if the
// mirror does not support ranges. The caller must limit how much it reads.
func (a *Archive) open(
	ctx context.Context, mirror, file string, offset int64,
) (body io.ReadCloser, from int64, err error) {
	// Elements are escaped one by one, because versions may contain %, + and colons.
	elem := strings.Split(file, "/")
	for i := range elem {
		elem[i] = url.PathEscape(elem[i])
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, mirror+"/"+strings.Join(elem, "/"), nil)
	if err != nil {
		return nil, 0, fmt.Errorf("mirror %s: %w", redacted(mirror), err)
	}
	request.Header.Set("Accept-Encoding", "identity") // checksums apply to the stored bytes
	request.Header.Set("User-Agent", "multiarch")
	if offset > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	transport := &httplimit.Transport{Inner: a.Transport, IdleTimeout: mirrorTimeout, LookupTimeout: mirrorTimeout}
	response, err := (&http.Client{Transport: transport, CheckRedirect: followAll}).Do(request)
	if err != nil {
		return nil, 0, err
	}
	body = response.Body
	switch {
	case response.StatusCode == http.StatusOK:
		return body, 0, nil
	case response.StatusCode == http.StatusPartialContent && offset > 0:
		from, err := rangeStart(response.Header.Get("Content-Range"))
		if err != nil {
			_ = body.Close()
			return nil, 0, fmt.Errorf("%s: %w", request.URL.Redacted(), err)
		}
		return body, from, nil
	case response.StatusCode == http.StatusRequestedRangeNotSatisfiable && offset > 0:
		// The file is shorter than the part that exists locally, so one of the two is wrong: start again.
		_ = body.Close()
		return a.open(ctx, mirror, file, 0)
	}
	_ = body.Close()
	return nil, 0, &statusError{request.URL.Redacted(), response.StatusCode, parseRetryAfter(response.Header)}
}

// rangeStart parses the start of a Content-Range header (RFC 9110, section 14.4).
func rangeStart(header string) (int64, error) {
	first, _, _ := strings.Cut(strings.TrimPrefix(header, "bytes "), "-")
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil || from < 0 {
		return 0, fmt.Errorf("invalid Content-Range %q", header)
	}
	return from, nil
}

// followAll follows every redirect. The transport limits their number.
func followAll(*http.Request, []*http.Request) error { return nil }

// readFile reads a file of at most limit bytes from a mirror. It resumes after the bytes in have, which an earlier
// attempt has read. If reading fails, it returns the bytes read so far with the error.
func (a *Archive) readFile(ctx context.Context, mirror, file string, have []byte, limit int64) ([]byte, error) {
	body, from, err := a.open(ctx, mirror, file, int64(len(have)))
	if err != nil {
		return have, err
	}
	defer body.Close()
	if from != int64(len(have)) {
		if from != 0 {
			return nil, fmt.Errorf("%s/%s: requested offset %d, got offset %d", redacted(mirror), file, len(have), from)
		}
		have = nil
	}
	content := bytes.NewBuffer(have)
	if _, err := content.ReadFrom(io.LimitReader(body, limit-from+1)); err != nil {
		return content.Bytes(), fmt.Errorf("%s/%s: %w", redacted(mirror), file, err)
	}
	if int64(content.Len()) > limit {
		return nil, &ChecksumError{What: file, Want: fmt.Sprintf("at most %d bytes", limit), Got: "more"}
	}
	return content.Bytes(), nil
}

// redacted returns a URL without its password.
func redacted(mirror string) string {
	u, err := url.Parse(mirror)
	if err != nil {
		return "(invalid URL)"
	}
	return u.Redacted()
}
