package debian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// attempts is the maximum number of requests per mirror and file.
	attempts = 4
	// firstPause is the pause before the second attempt. Each further pause is twice as long.
	firstPause = 250 * time.Millisecond
	// longestPause limits Retry-After.
	longestPause = time.Minute
)

// temporary reports whether a retry on the same mirror may help.
func temporary(err error) bool {
	var (
		status  *statusError
		dns     *net.DNSError
		timeout net.Error
	)
	switch {
	case isInvalidContent(err):
		return false
	case errors.As(err, &status):
		switch status.code {
		case http.StatusRequestTimeout, http.StatusTooManyRequests:
			return true
		case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
			return false
		}
		return status.code >= 500
	case errors.As(err, &dns):
		return dns.IsTemporary || dns.IsTimeout
	}
	for _, broken := range []error{
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
		syscall.ECONNRESET, syscall.ECONNABORTED, syscall.ECONNREFUSED, syscall.EPIPE,
	} {
		if errors.Is(err, broken) {
			return true
		}
	}
	return errors.As(err, &timeout) && timeout.Timeout()
}

// wait sleeps after the given attempt, counted from zero, and at least for retryAfter.
func (a *Archive) wait(ctx context.Context, attempt int, retryAfter time.Duration) error {
	first := a.pause
	if first == 0 {
		first = firstPause
	}
	d := first << attempt
	timer := time.NewTimer(min(max(d+rand.N(d/4+1), retryAfter), longestPause))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// parseRetryAfter parses a Retry-After header (RFC 9110, section 10.2.3), which is a number of seconds or a date.
func parseRetryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
		return time.Duration(min(seconds, 3600)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// oneLine joins the lines of an error.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// notify reports a retry or a fallback.
func (a *Archive) notify(format string, args ...any) {
	if a.Notify != nil {
		a.Notify(fmt.Sprintf(format, args...))
	}
}
