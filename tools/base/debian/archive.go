// Package debian reads Debian archives, and makes layers of their packages: a release whose signature is checked, the
// index of an architecture, what a list of packages depends on, the packages themselves, and the files that are in
// them. No package is installed: no program of it runs, so that a machine of any architecture makes the layer of any
// other. What the scripts of the packages that bases are made of would have done is done here instead: see Merge.
package debian

import (
	"bytes"
	"cmp"
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

// Archive is one suite of a Debian archive: where its mirrors are, and whose signature its Release must carry.
type Archive struct {
	// Mirrors are base URLs, such as http://deb.debian.org/debian. They are asked in turn until one has what is wanted
	// and it checks.
	Mirrors []string
	// Snapshots are base URLs of the archive as it was at the time of a lock. Fetch asks them after the mirrors.
	Snapshots []string
	// Suite is the name of a suite, or its codename: stable, trixie.
	Suite string
	// Components are those of the suite that count. None means main.
	Components []string
	// Keyring holds OpenPGP public keys, armored or not. None means the keys of the Debian archive.
	Keyring []byte
	// AnyDate accepts a Release after its Valid-Until, from any mirror.
	AnyDate bool
	// Frozen are the mirrors of which a Release is accepted after its Valid-Until.
	Frozen []string
	// Transport makes the requests; none means http.DefaultTransport.
	Transport http.RoundTripper
	// Notify, if it is set, is called before a download is tried again. Calls may overlap.
	Notify func(message string)

	stall time.Duration    // how long a mirror may be silent; 0 means a minute
	pause time.Duration    // before the second attempt; 0 means firstPause
	now   func() time.Time // nil means time.Now
}

func (a *Archive) components() []string {
	if len(a.Components) == 0 {
		return []string{"main"}
	}
	return a.Components
}

// statusError is an answer that is not what was asked for.
type statusError struct {
	url   string
	code  int
	after time.Duration // that the server asks to wait
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s: %d %s", e.url, e.code, http.StatusText(e.code))
}

// each calls use with one mirror after the other until it succeeds. Mirrors whose errors are temporary are asked again
// after a pause. If no mirror has it, the error is an *UnavailableError; if one has something wrong, the error tells what.
func (a *Archive) each(ctx context.Context, what string, mirrors []string, use func(mirror string) error) error {
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
				return fmt.Errorf("%s: %w", what, ctx.Err())
			case temporary(failed[i]):
				retry = failed[i]
				var status *statusError
				if errors.As(retry, &status) {
					pause = max(pause, status.after)
				}
			}
		}
		if retry == nil || attempt == attempts-1 {
			break
		}
		a.notify("%s: %s; trying again", what, oneLine(retry))
		if err := a.wait(ctx, attempt, pause); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	var gone []error
	for i, err := range failed {
		if isWrong(err) {
			return fmt.Errorf("%s: %s: %w", what, redacted(mirrors[i]), err)
		}
		gone = append(gone, err)
	}
	out := &UnavailableError{What: what, Err: errors.Join(gone...)}
	for _, mirror := range mirrors {
		out.Mirrors = append(out.Mirrors, redacted(mirror))
	}
	return out
}

// open asks a mirror for a file below its base URL, from an offset on. Where the mirror sends it from the start, from
// is 0. What was asked for may not be all that comes: the reader of body counts.
func (a *Archive) open(ctx context.Context, mirror, file string, offset int64) (body io.ReadCloser, from int64, err error) {
	// Every element is escaped on its own: a version may hold a %, a + or a colon.
	elem := strings.Split(file, "/")
	for i := range elem {
		elem[i] = url.PathEscape(elem[i])
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, mirror+"/"+strings.Join(elem, "/"), nil)
	if err != nil {
		return nil, 0, fmt.Errorf("%s is not the address of a mirror: %w", redacted(mirror), err)
	}
	request.Header.Set("Accept-Encoding", "identity") // What is hashed are the bytes as they are stored.
	request.Header.Set("User-Agent", "multiarch")
	if offset > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	silence := cmp.Or(a.stall, time.Minute)
	transport := &httplimit.Transport{Inner: a.Transport, Idle: silence, Lookup: silence}
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
		// There is less than what is here already, so that one of the two is wrong.
		_ = body.Close()
		return a.open(ctx, mirror, file, 0)
	}
	_ = body.Close()
	return nil, 0, &statusError{request.URL.Redacted(), response.StatusCode, retryAfter(response.Header)}
}

// rangeStart reads where an answer starts: RFC 9110, 14.4.
func rangeStart(header string) (int64, error) {
	first, _, _ := strings.Cut(strings.TrimPrefix(header, "bytes "), "-")
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil || from < 0 {
		return 0, fmt.Errorf("an answer with the range %q", header)
	}
	return from, nil
}

// followAll leaves it to the transport how often a request is redirected.
func followAll(*http.Request, []*http.Request) error { return nil }

// read reads a file of at most so many bytes from a mirror. have is what an earlier attempt has read: the rest is asked
// for. If reading fails, what has been read by then is returned with the error.
func (a *Archive) read(ctx context.Context, mirror, file string, have []byte, limit int64) ([]byte, error) {
	body, from, err := a.open(ctx, mirror, file, int64(len(have)))
	if err != nil {
		return have, err
	}
	defer body.Close()
	if from != int64(len(have)) {
		if from != 0 {
			return nil, fmt.Errorf("%s/%s: asked from byte %d, and got it from byte %d", redacted(mirror), file, len(have), from)
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

// redacted leaves the password out of a URL.
func redacted(mirror string) string {
	u, err := url.Parse(mirror)
	if err != nil {
		return "a mirror whose address is none"
	}
	return u.Redacted()
}
