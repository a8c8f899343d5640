// Package httplimit limits how long an HTTP client waits for a server, and how many redirects it follows. It also
// keeps credentials from being forwarded to other hosts. Requests to registries and mirrors use it, so that a broken
// or hostile server causes an error and not a process that never ends.
package httplimit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Transport applies limits to the requests and responses of an inner http.RoundTripper. The default of each field is in
// brackets.
type Transport struct {
	// Inner sends the requests [http.DefaultTransport].
	Inner http.RoundTripper
	// MaxRedirects is the maximum number of redirects of a request [10].
	MaxRedirects int
	// IdleTimeout is the maximum time for the next kibibyte of a request or response body [1m]. A server that only sends
	// a byte from time to time counts as idle.
	IdleTimeout time.Duration
	// ResponseTimeout is the maximum time between the end of a request with a body and its response [10m]. Some
	// registries need minutes to assemble a large blob.
	ResponseTimeout time.Duration
	// LookupTimeout is the maximum time between a request without a body and its response [2m].
	LookupTimeout time.Duration
}

const (
	defaultMaxRedirects    = 10
	defaultIdleTimeout     = time.Minute
	defaultResponseTimeout = 10 * time.Minute
	defaultLookupTimeout   = 2 * time.Minute
	// smallBody is the maximum size of request bodies that are not wrapped, so that net/http can send bodies in memory
	// together with the header.
	smallBody = 256 << 10
	// progress is the number of bytes that restart the idle time.
	progress = 1 << 10
)

// RedirectError is returned for too many redirects, and for redirects that would disclose credentials.
type RedirectError struct{ From, Reason string }

func (e *RedirectError) Error() string { return fmt.Sprintf("%s: %s", e.From, e.Reason) }

// StalledError is returned if a server stops sending, receiving or answering. It implements net.Error.
type StalledError struct {
	Host  string
	Doing string
	After time.Duration
}

func (e *StalledError) Error() string {
	return fmt.Sprintf("%s: timeout: the server has not %s for %s", e.Host, e.Doing, e.After)
}

// Timeout is always true.
func (e *StalledError) Timeout() bool { return true }

// Temporary is always true, because a retry may succeed.
func (e *StalledError) Temporary() bool { return true }

// RoundTrip sends one request.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.checkRedirects(req); err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // as http.RoundTripper requires
		}
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	idle := orDefault(t.IdleTimeout, defaultIdleTimeout)
	answer := orDefault(t.ResponseTimeout, defaultResponseTimeout)
	lookup := orDefault(t.LookupTimeout, defaultLookupTimeout)
	dog := &watchdog{cancel: cancel, host: req.URL.Host}
	limited := req.WithContext(ctx)
	if limited.Header.Get("Authorization") != "" && hasForwardedCredentials(req) {
		limited = limited.Clone(ctx)
		limited.Header.Del("Authorization")
	}
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		dog.expect("answered", lookup)
	case 0 < req.ContentLength && req.ContentLength <= smallBody:
		dog.expect("answered", answer)
	default:
		dog.expect("accepted more of the request", idle)
		body := func(inner io.ReadCloser) io.ReadCloser { return &requestBody{inner, dog, idle, answer} }
		limited.Body = body(req.Body)
		if again := req.GetBody; again != nil { // net/http repeats some requests on another connection
			limited.GetBody = func() (io.ReadCloser, error) {
				dog.stop()
				inner, err := again()
				if err != nil {
					return nil, err
				}
				dog.expect("accepted more of the request", idle)
				return body(inner), nil
			}
		}
	}
	resp, err := t.inner().RoundTrip(limited)
	dog.end()
	if err != nil {
		err = dog.explain(ctx, err)
		cancel(nil)
		return nil, err
	}
	resp.Body = &responseBody{
		inner: resp.Body, ctx: ctx, dog: &watchdog{cancel: cancel, host: dog.host}, idle: idle, left: idle,
	}
	return resp, nil
}

func (t *Transport) inner() http.RoundTripper {
	if t.Inner == nil {
		return http.DefaultTransport
	}
	return t.Inner
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

// checkRedirects checks the redirects that led to a request. http.Client records the response that caused a request
// in its Response field. Unlike a CheckRedirect function, libraries cannot replace this check.
func (t *Transport) checkRedirects(req *http.Request) error {
	limit := t.MaxRedirects
	if limit <= 0 {
		limit = defaultMaxRedirects
	}
	if req.Response == nil {
		return nil
	}
	first, n := req, 0
	for ; first.Response != nil && first.Response.Request != nil; first = first.Response.Request {
		if n++; n > limit {
			for first.Response != nil && first.Response.Request != nil {
				first = first.Response.Request
			}
			return &RedirectError{first.Method + " " + first.URL.Redacted(), fmt.Sprintf("stopped after %d redirects", limit)}
		}
	}
	// After HTTP 307 the client repeats the body, which for OAuth 2 contains a refresh token or a password.
	form := strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
	if form && !sameOrigin(first, req) {
		reason := "refusing to follow a redirect with credentials to " + req.URL.Host
		return &RedirectError{first.Method + " " + first.URL.Redacted(), reason}
	}
	return nil
}

// hasForwardedCredentials reports whether a redirected request contains the credentials of another host.
func hasForwardedCredentials(req *http.Request) bool {
	login := req.Header.Get("Authorization")
	for r := req; r.Response != nil && r.Response.Request != nil; {
		r = r.Response.Request
		if r.Header.Get("Authorization") == login && !sameOrigin(r, req) {
			return true
		}
	}
	return false
}

// sameOrigin reports whether credentials for a may be sent to b. Sending them over HTTP instead of HTTPS is not
// allowed.
func sameOrigin(a, b *http.Request) bool {
	return strings.EqualFold(a.URL.Hostname(), b.URL.Hostname()) && port(a) == port(b) &&
		(a.URL.Scheme == b.URL.Scheme || b.URL.Scheme == "https")
}

func port(r *http.Request) string {
	if p := r.URL.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[r.URL.Scheme]
}

// watchdog cancels a request if an expected event takes too long.
type watchdog struct {
	cancel context.CancelCauseFunc
	host   string

	mu    sync.Mutex
	timer *time.Timer
	ended bool
}

// expect starts the timer for an event, which replaces the previous one.
func (d *watchdog) expect(doing string, within time.Duration) { d.expectRest(doing, within, within) }

// expectRest is like expect, but only part of the time is left.
func (d *watchdog) expectRest(doing string, left, within time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return
	}
	if d.timer != nil {
		d.timer.Stop()
	}
	d.timer = time.AfterFunc(left, func() { d.cancel(&StalledError{d.host, doing, within}) })
}

// stop stops the timer.
func (d *watchdog) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
}

// end stops the timer permanently, because net/http may read the rest of a request body after the response.
func (d *watchdog) end() {
	d.mu.Lock()
	d.ended = true
	d.mu.Unlock()
	d.stop()
}

// explain replaces the error of a canceled request with the reason if the watchdog canceled it.
func (d *watchdog) explain(ctx context.Context, err error) error {
	var stalled *StalledError
	if errors.As(context.Cause(ctx), &stalled) {
		return stalled
	}
	return err
}

// requestBody limits the time that the server takes to receive a body. Time spent in Read does not count, because the
// client needs it.
type requestBody struct {
	io.ReadCloser
	dog          *watchdog
	idle, answer time.Duration
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.dog.stop()
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.dog.expect("answered", b.answer)
	} else {
		b.dog.expect("accepted more of the request", b.idle)
	}
	return n, err
}

// responseBody limits the time that the server takes to send a body. Time between Reads does not count, because the
// client needs it.
type responseBody struct {
	inner io.ReadCloser
	ctx   context.Context
	dog   *watchdog
	idle  time.Duration
	left  time.Duration // until the next kibibyte must be complete
	bytes int           // of that kibibyte
}

func (b *responseBody) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	start := time.Now()
	b.dog.expectRest("sent more of the response", b.left, b.idle)
	n, err := b.inner.Read(p)
	b.dog.stop()
	if b.bytes += n; b.bytes >= progress {
		b.bytes, b.left = 0, b.idle
	} else if b.left -= time.Since(start); b.left <= 0 {
		b.left = 1
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.dog.explain(b.ctx, err)
	}
	return n, err
}

func (b *responseBody) Close() error {
	b.dog.stop()
	err := b.inner.Close()
	b.dog.cancel(nil)
	return err
}
