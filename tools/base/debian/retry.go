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
	// attempts is how often a mirror is asked for something, as long as asking again may help.
	attempts = 4
	// firstPause is the wait before the second attempt. Each further wait is twice as long.
	firstPause = 250 * time.Millisecond
	// longestPause bounds what a mirror can ask for by Retry-After.
	longestPause = time.Minute
)

// temporary reports whether asking the same mirror again may help.
func temporary(err error) bool {
	var (
		status  *statusError
		dns     *net.DNSError
		timeout net.Error
	)
	switch {
	case isWrong(err):
		return false
	case errors.As(err, &status):
		return status.code == http.StatusRequestTimeout || status.code == http.StatusTooManyRequests || status.code >= 500 &&
			status.code != http.StatusNotImplemented && status.code != http.StatusHTTPVersionNotSupported
	case errors.As(err, &dns):
		return dns.IsTemporary || dns.IsTimeout
	}
	for _, broken := range []error{
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.ECONNREFUSED, syscall.EPIPE,
	} {
		if errors.Is(err, broken) {
			return true
		}
	}
	return errors.As(err, &timeout) && timeout.Timeout()
}

// wait sleeps before the given attempt, counted from zero, or for as long as the mirrors have asked for.
func (a *Archive) wait(ctx context.Context, attempt int, asked time.Duration) error {
	first := a.pause
	if first == 0 {
		first = firstPause
	}
	d := first << attempt
	timer := time.NewTimer(min(max(d+rand.N(d/4+1), asked), longestPause))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retryAfter reads a Retry-After header, in either of its forms: RFC 9110, 10.2.3.
func retryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
		return time.Duration(min(seconds, 3600)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// oneLine is an error for a line of text.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// notify reports what a user may wonder about: a retry, or something that is left out.
func (a *Archive) notify(format string, args ...any) {
	if a.Notify != nil {
		a.Notify(fmt.Sprintf(format, args...))
	}
}
