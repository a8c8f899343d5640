// Package httplimit bounds what a server can make an HTTP client do: how often it is redirected, how long it waits, and
// how much it reads. Registries and mirrors are reached through it, so that a broken or hostile one costs an error and
// not a process that never ends.
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

// Transport applies limits to every request and response of an inner http.RoundTripper. Fields that are zero take the
// value in brackets.
type Transport struct {
	// Inner sends the requests [http.DefaultTransport].
	Inner http.RoundTripper
	// Redirects is how often one request may be redirected [10].
	Redirects int
	// Idle is how long a body, of a request or a response, may take for its next kibibyte [1m]. A peer that sends a
	// byte now and then is idle, too.
	Idle time.Duration
	// Answer is how long a server may take to answer once it has the whole request [10m]. Some registries need minutes
	// to put a large blob together.
	Answer time.Duration
	// Lookup is Answer for requests that have no body [2m].
	Lookup time.Duration
}

const (
	defaultRedirects = 10
	defaultIdle      = time.Minute
	defaultAnswer    = 10 * time.Minute
	defaultLookup    = 2 * time.Minute
	// small is the size of bodies that are left to net/http as they are: it sends what it knows to be in memory together
	// with the header.
	small = 256 << 10
	// progress is how many bytes count as a sign of life.
	progress = 1 << 10
)

// RedirectError reports a request that was redirected too often, or to where it must not go.
type RedirectError struct{ From, Reason string }

func (e *RedirectError) Error() string { return fmt.Sprintf("%s: %s", e.From, e.Reason) }

// StalledError reports a server that stopped sending, receiving or answering. It is a timeout as net.Error defines it.
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

// Temporary is always true: another attempt may reach a server that works.
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
	idle, answer, lookup := orDefault(t.Idle, defaultIdle), orDefault(t.Answer, defaultAnswer), orDefault(t.Lookup, defaultLookup)
	dog := &watchdog{cancel: cancel, host: req.URL.Host}
	limited := req.WithContext(ctx)
	if limited.Header.Get("Authorization") != "" && forwarded(req) {
		limited = limited.Clone(ctx)
		limited.Header.Del("Authorization")
	}
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		dog.expect("answered", lookup)
	case 0 < req.ContentLength && req.ContentLength <= small:
		dog.expect("answered", answer)
	default:
		dog.expect("accepted more of the request", idle)
		body := func(inner io.ReadCloser) io.ReadCloser { return &requestBody{inner, dog, idle, answer} }
		limited.Body = body(req.Body)
		if again := req.GetBody; again != nil { // net/http starts some requests again on another connection
			limited.GetBody = func() (io.ReadCloser, error) {
				dog.rest()
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
	resp.Body = &responseBody{inner: resp.Body, ctx: ctx, dog: &watchdog{cancel: cancel, host: dog.host}, idle: idle, left: idle}
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

// checkRedirects counts how often a request was redirected. http.Client records the response that caused each request
// in its Response field, so the count does not depend on a CheckRedirect function, which libraries replace.
func (t *Transport) checkRedirects(req *http.Request) error {
	most := t.Redirects
	if most <= 0 {
		most = defaultRedirects
	}
	if req.Response == nil {
		return nil
	}
	first, n := req, 0
	for ; first.Response != nil && first.Response.Request != nil; first = first.Response.Request {
		if n++; n > most {
			for first.Response != nil && first.Response.Request != nil {
				first = first.Response.Request
			}
			return &RedirectError{first.Method + " " + first.URL.Redacted(), fmt.Sprintf("stopped after %d redirects", most)}
		}
	}
	// A 307 repeats the body, which for OAuth 2 is a refresh token or a password.
	if isForm := strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded"); isForm && !sameOrigin(first, req) {
		return &RedirectError{first.Method + " " + first.URL.Redacted(), "refusing to send credentials to " + req.URL.Host + ", to which it was redirected"}
	}
	return nil
}

// forwarded tells whether a request carries the credentials of another host that it was redirected from.
func forwarded(req *http.Request) bool {
	login := req.Header.Get("Authorization")
	for r := req; r.Response != nil && r.Response.Request != nil; {
		r = r.Response.Request
		if r.Header.Get("Authorization") == login && !sameOrigin(r, req) {
			return true
		}
	}
	return false
}

// sameOrigin tells whether credentials that were meant for a may be sent to b, which must not be less secure.
func sameOrigin(a, b *http.Request) bool {
	return strings.EqualFold(a.URL.Hostname(), b.URL.Hostname()) && port(a) == port(b) && (a.URL.Scheme == b.URL.Scheme || b.URL.Scheme == "https")
}

func port(r *http.Request) string {
	if p := r.URL.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[r.URL.Scheme]
}

// watchdog cancels a request when what it waits for takes too long.
type watchdog struct {
	cancel context.CancelCauseFunc
	host   string

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

// expect starts the clock, in place of what was expected before.
func (d *watchdog) expect(doing string, within time.Duration) { d.expectAt(doing, within, within) }

// expectAt is expect for what is left of a longer time.
func (d *watchdog) expectAt(doing string, left, within time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	if d.timer != nil {
		d.timer.Stop()
	}
	d.timer = time.AfterFunc(left, func() { d.cancel(&StalledError{d.host, doing, within}) })
}

// rest stops the clock.
func (d *watchdog) rest() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
}

// end stops the clock for good: net/http may read the rest of a request's body after the answer.
func (d *watchdog) end() {
	d.mu.Lock()
	d.over = true
	d.mu.Unlock()
	d.rest()
}

// explain replaces the error of a request that the watchdog has canceled by its reason.
func (d *watchdog) explain(ctx context.Context, err error) error {
	var stalled *StalledError
	if errors.As(context.Cause(ctx), &stalled) {
		return stalled
	}
	return err
}

// requestBody watches how fast the server takes a body. Time that passes inside Read is the source's own.
type requestBody struct {
	io.ReadCloser
	dog          *watchdog
	idle, answer time.Duration
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.dog.rest()
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.dog.expect("answered", b.answer)
	} else {
		b.dog.expect("accepted more of the request", b.idle)
	}
	return n, err
}

// responseBody fails when too little arrives. Time that passes between two Reads is the reader's own.
type responseBody struct {
	inner io.ReadCloser
	ctx   context.Context
	dog   *watchdog
	idle  time.Duration
	left  time.Duration // until the next kibibyte has to be complete
	bytes int           // of that kibibyte
}

func (b *responseBody) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	start := time.Now()
	b.dog.expectAt("sent more of the response", b.left, b.idle)
	n, err := b.inner.Read(p)
	b.dog.rest()
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
	b.dog.rest()
	err := b.inner.Close()
	b.dog.cancel(nil)
	return err
}
