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

// Backoff controls how often and at which intervals an operation is retried. Zero fields have the
// default in brackets.
type Backoff struct {
	// Attempts is the total number of attempts [5].
	Attempts int
	// First is the delay before the second attempt [500ms]. Every further delay is twice as long,
	// plus up to a quarter at random, so that parallel requests do not return at the same time.
	First time.Duration
	// Most is the maximum delay [1m]. If a registry requests a longer one with Retry-After, it is
	// retried after Most nevertheless, and the operation fails after Attempts: a limit that lasts
	// longer than about four minutes ends the operation.
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

// Pause returns the delay before checking again for a change: First, plus up to as much at random.
func (b Backoff) Pause() time.Duration {
	first := b.withDefaults().First
	return first + rand.N(first+1)
}

// refusals is the total number of attempts for refused connections: a restarting registry is back
// soon, and a missing one never.
const refusals = 4

// attempts returns the total number of attempts for a failed operation.
func (b Backoff) attempts(err error) int {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return min(b.Attempts, refusals)
	}
	return b.Attempts
}

// wait sleeps after the given failed attempt, counted from one, or until ctx ends.
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

// Retry runs op until it succeeds, fails permanently or has been attempted often enough, and
// returns its last error. It retries on status codes 408, 429 and 5xx, uploads that the registry
// has lost, timeouts, broken connections and, fewer times, refused connections. op may be run again
// after a partial execution, so it must start from the beginning, with the context that it is
// given.
//
// Reads through Options are retried without this. Use Retry for operations with several requests,
// and for uploads.
func (c Client) Retry(ctx context.Context, op func(context.Context) error) error {
	backoff := c.Backoff.withDefaults()
	for attempt := 1; ; attempt++ {
		err := op(WithoutRetries(ctx))
		if err == nil || attempt >= backoff.attempts(err) || ctx.Err() != nil || !temporary(err) {
			return err
		}
		if stopped := backoff.wait(ctx, attempt); stopped != nil {
			return fmt.Errorf("%w, while waiting to retry after: %w", stopped, err)
		}
	}
}

// insideRetry marks the context of an operation that is retried as a whole, so that its requests
// are not.
type insideRetry struct{}

// WithoutRetries returns a context whose requests are not retried.
func WithoutRetries(ctx context.Context) context.Context {
	return context.WithValue(ctx, insideRetry{}, true)
}

// Temporary reports whether a retry may succeed.
func Temporary(err error) bool { return err != nil && temporary(err) }

// retryReads retries GET and HEAD requests. The retries of go-containerregistry ignore the context
// and Retry-After, so Options disables them.
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
			// Read to the end, so that the connection can be reused; error pages are short.
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
		code >= 500 && code != http.StatusNotImplemented && code != http.StatusHTTPVersionNotSupported &&
			code != http.StatusInsufficientStorage
}

// forgotten reports whether a registry no longer knows the upload that a request continues, without
// an error code that says so; see "Pushing a blob in chunks" in the distribution specification.
func forgotten(answer *transport.Error) bool {
	return answer.StatusCode == http.StatusNotFound && answer.Request != nil &&
		(answer.Request.Method == http.MethodPatch ||
			answer.Request.Method == http.MethodPut && !strings.Contains(answer.Request.URL.Path, "/manifests/"))
}

// temporary reports whether a retry may succeed.
func temporary(err error) bool {
	var answer *transport.Error
	if errors.As(err, &answer) {
		if answer.StatusCode < 500 && answer.StatusCode != http.StatusTooManyRequests &&
			(largeWords.MatchString(answer.Error()) || quotaWords.MatchString(answer.Error())) {
			return false // whatever code it has
		}
		return temporaryStatus(answer.StatusCode) || forgotten(answer) || slices.ContainsFunc(answer.Errors,
			func(d transport.Diagnostic) bool {
				// The upload was committed by a request whose response was lost, or was dropped. In both cases a
				// new upload succeeds.
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
		// net/http exports no type for these: HTTP/2 streams and connections closed by the server.
		"stream error: ", "http2: ",
		"transport connection broken",
		// go-containerregistry repeats a request with a new token when the old one has expired, but not its
		// body, which has been read by then.
		"http: ContentLength=",
	} {
		if strings.Contains(text, broken) {
			return true
		}
	}
	return false
}
