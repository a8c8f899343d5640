package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Backoff says how often and how patiently something is tried again. Fields that are zero take the value in brackets.
type Backoff struct {
	// Attempts is how often it is tried in all [5].
	Attempts int
	// First is the wait before the second attempt [500ms]. Every further wait is twice the one before, and up to a
	// quarter longer by chance, so that parallel requests do not come back together.
	First time.Duration
	// Most is the longest wait [1m]. A registry that asks for a longer one by Retry-After is asked again after Most all the
	// same, and given up after Attempts: a limit that lasts for longer than four minutes or so ends what is being done.
	Most time.Duration
}

func (b Backoff) withDefaults() Backoff {
	if b.Attempts <= 0 {
		b.Attempts = 5
	}
	if b.First <= 0 {
		b.First = 500 * time.Millisecond
	}
	if b.Most <= 0 {
		b.Most = time.Minute
	}
	return b
}

// Pause is the wait before something is looked at again that may change by itself: First, and up to as much more by chance.
func (b Backoff) Pause() time.Duration {
	first := b.withDefaults().First
	return first + rand.N(first+1)
}

// refusals is how often a connection that is refused is tried in all: a registry that restarts is back soon, and one that
// is not there will not come.
const refusals = 4

// attempts is how often something that failed is tried in all.
func (b Backoff) attempts(err error) int {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return min(b.Attempts, refusals)
	}
	return b.Attempts
}

// wait sleeps after the failed attempt of the given number, counted from one, or until ctx ends.
func (b Backoff) wait(ctx context.Context, attempt int) error {
	d := b.First
	for ; attempt > 1 && d < b.Most; attempt-- {
		d *= 2
	}
	d = min(d, b.Most)
	return sleep(ctx, d+rand.N(d/4+1))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Retry runs op until it succeeds, fails for good or has been tried often enough, and returns its last error. What is
// tried again: 408, 429 and 5xx answers, uploads the registry has lost track of, timeouts, connections that break or,
// fewer times, are refused.
// op may be run again after it has been half done, so it has to begin from the start, with the context it is given.
//
// A read through Options is retried without this; Retry is for what takes several requests, or sends something.
func (c Client) Retry(ctx context.Context, op func(context.Context) error) error {
	backoff := c.Backoff.withDefaults()
	for attempt := 1; ; attempt++ {
		err := op(Once(ctx))
		if err == nil || attempt >= backoff.attempts(err) || ctx.Err() != nil || !temporary(err) {
			return err
		}
		if stopped := backoff.wait(ctx, attempt); stopped != nil {
			return fmt.Errorf("%w, before another attempt after: %w", stopped, err)
		}
	}
}

// insideRetry marks the context of an operation that is repeated as a whole, so that its requests are not.
type insideRetry struct{}

// Once returns a context whose requests are not repeated.
func Once(ctx context.Context) context.Context { return context.WithValue(ctx, insideRetry{}, true) }

// Temporary tells whether trying again may help.
func Temporary(err error) bool { return err != nil && temporary(err) }

// retryReads repeats GET and HEAD requests. go-containerregistry's own retries sleep without an eye on the context and
// know nothing of Retry-After, so Options turns them off.
type retryReads struct {
	inner   http.RoundTripper
	backoff Backoff
}

func (t retryReads) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if ctx.Value(insideRetry{}) != nil || req.Method != http.MethodGet && req.Method != http.MethodHead {
		return t.inner.RoundTrip(req)
	}
	for attempt := 1; ; attempt++ {
		resp, err := t.inner.RoundTrip(req)
		again := err != nil && temporary(err) || err == nil && temporaryStatus(resp.StatusCode)
		if !again || attempt >= t.backoff.attempts(err) || ctx.Err() != nil {
			return resp, err
		}
		if resp != nil {
			// Read to its end, so that the connection can be used again; an error page is short.
			_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
			_ = resp.Body.Close()
		}
		if err := t.backoff.wait(ctx, attempt); err != nil {
			return nil, err
		}
	}
}

func temporaryStatus(code int) bool {
	return code == http.StatusRequestTimeout || code == http.StatusTooManyRequests ||
		code >= 500 && code != http.StatusNotImplemented && code != http.StatusHTTPVersionNotSupported && code != http.StatusInsufficientStorage
}

// forgotten tells whether a registry does not know the upload any more that a request goes on with, and does not say so
// by an error code: distribution spec, "Pushing a blob in chunks".
func forgotten(answer *transport.Error) bool {
	return answer.StatusCode == http.StatusNotFound && answer.Request != nil && (answer.Request.Method == http.MethodPatch ||
		answer.Request.Method == http.MethodPut && !strings.Contains(answer.Request.URL.Path, "/manifests/"))
}

// temporary tells whether trying again may help.
func temporary(err error) bool {
	var answer *transport.Error
	if errors.As(err, &answer) {
		if answer.StatusCode < 500 && answer.StatusCode != http.StatusTooManyRequests &&
			(largeWords.MatchString(answer.Error()) || quotaWords.MatchString(answer.Error())) {
			return false // whatever code it has
		}
		return temporaryStatus(answer.StatusCode) || forgotten(answer) || slices.ContainsFunc(answer.Errors, func(d transport.Diagnostic) bool {
			// The upload has been committed by a request whose answer was lost, or has been forgotten. Either way a
			// fresh start finds out.
			return d.Code == transport.BlobUploadUnknownErrorCode || d.Code == transport.BlobUploadInvalidErrorCode
		})
	}
	for _, broken := range []error{
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE,
		syscall.ECONNREFUSED, // while it restarts
	} {
		if errors.Is(err, broken) {
			return true
		}
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return dns.IsTemporary || dns.IsTimeout
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return true
	}
	text := err.Error()
	for _, broken := range []string{
		// net/http exports no type for these: HTTP/2 streams and connections that the other side gave up.
		"stream error: ", "http2: ",
		"transport connection broken",
		// go-containerregistry sends a request once more with a new token when the old one has run out, but not its
		// body, which has been read by then.
		"http: ContentLength=",
	} {
		if strings.Contains(text, broken) {
			return true
		}
	}
	return false
}
