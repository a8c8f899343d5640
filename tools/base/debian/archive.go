// Package debian reads Debian archives, and makes layers of their packages: a release whose signature is checked, the
// index of an architecture, what a list of packages depends on, the packages themselves, and the files that are in
// them. No package is installed: no program of it runs, so that a machine of any architecture makes the layer of any
// other. What the scripts of the packages that bases are made of would have done is done here instead: see Merge.
package debian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Archive is one suite of a Debian archive: where its mirrors are, and whose signature its Release must carry.
type Archive struct {
	// Mirrors are base URLs, such as http://deb.debian.org/debian. The first that answers is used; where it fails, or
	// what it says does not check, the next.
	Mirrors []string
	// Suite is the name of a suite, or its codename: stable, trixie.
	Suite string
	// Components are those of the suite that count. None means main.
	Components []string
	// Keyring holds OpenPGP public keys, armored or not. None means the keys of the Debian archive.
	Keyring []byte
	// Transport makes the requests; none means http.DefaultTransport.
	Transport http.RoundTripper

	stall time.Duration // how long a mirror may be silent; 0 means silence
}

// silence is how long a mirror may send nothing before it counts as gone.
const silence = time.Minute

func (a *Archive) components() []string {
	if len(a.Components) == 0 {
		return []string{"main"}
	}
	return a.Components
}

// statusError is an answer that is not what was asked for.
type statusError struct {
	url  string
	code int
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s: %d %s", e.url, e.code, http.StatusText(e.code))
}

// each calls use with one mirror after the other until it succeeds. Where no mirror has or gives it, the error is an
// *UnavailableError; where one has something wrong, the error says what.
func (a *Archive) each(ctx context.Context, what string, use func(mirror string) error) error {
	var gone, wrong []error
	for _, mirror := range a.Mirrors {
		err := use(strings.TrimRight(mirror, "/"))
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case isWrong(err):
			wrong = append(wrong, fmt.Errorf("%s: %w", redacted(mirror), err))
		default:
			gone = append(gone, err)
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%s: %w", what, wrong[0])
	}
	out := &UnavailableError{What: what, Err: errors.Join(gone...)}
	for _, mirror := range a.Mirrors {
		out.Mirrors = append(out.Mirrors, redacted(mirror))
	}
	return out
}

// open asks a mirror for a file below its base URL, from an offset on. Where the mirror sends it from the start, from
// is 0. What was asked for may not be all that comes: the reader of body counts.
func (a *Archive) open(asked context.Context, mirror, file string, offset int64) (body io.ReadCloser, from int64, err error) {
	ctx, cancel := context.WithCancelCause(asked)
	defer func() {
		if err != nil {
			cancel(nil)
		}
	}()
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
	patience := a.stall
	if patience == 0 {
		patience = silence
	}
	timer := time.AfterFunc(patience, func() { cancel(errSilent) })
	response, err := (&http.Client{Transport: a.Transport}).Do(request)
	if err != nil {
		timer.Stop()
		if cause := context.Cause(ctx); errors.Is(cause, errSilent) {
			err = fmt.Errorf("%s: %w", request.URL.Redacted(), cause)
		}
		return nil, 0, err
	}
	body = &watched{response.Body, ctx, cancel, timer, patience}
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
		return a.open(asked, mirror, file, 0)
	}
	_ = body.Close()
	return nil, 0, &statusError{request.URL.Redacted(), response.StatusCode}
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

var errSilent = errors.New("the mirror has stopped sending")

// watched is a body that ends with an error when nothing has come for a while.
type watched struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	wait   time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.wait)
	n, err := w.ReadCloser.Read(p)
	w.timer.Stop() // What the reader does with it in between does not count.
	if cause := context.Cause(w.ctx); err != nil && errors.Is(cause, errSilent) {
		err = cause
	}
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	w.cancel(nil)
	return w.ReadCloser.Close()
}

// read reads a whole file from a mirror, of at most so many bytes.
func (a *Archive) read(ctx context.Context, mirror, file string, limit int64) ([]byte, error) {
	body, _, err := a.open(ctx, mirror, file, 0)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	content, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", redacted(mirror), file, err)
	}
	if int64(len(content)) > limit {
		return nil, &ChecksumError{What: file, Want: fmt.Sprintf("at most %d bytes", limit), Got: "more"}
	}
	return content, nil
}

// redacted leaves the password out of a URL.
func redacted(mirror string) string {
	u, err := url.Parse(mirror)
	if err != nil {
		return "a mirror whose address is none"
	}
	return u.Redacted()
}
