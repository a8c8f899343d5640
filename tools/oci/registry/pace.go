package registry

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// pace delays all requests to a host that returned Retry-After, not only the one that received it:
// rate limits count all parallel uploads together.
type pace struct {
	inner http.RoundTripper
	// most limits the delay.
	most time.Duration

	mu    sync.Mutex
	until map[string]time.Time // by host
}

func (p *pace) RoundTrip(req *http.Request) (*http.Response, error) {
	host := req.URL.Host
	for {
		p.mu.Lock()
		left := time.Until(p.until[host])
		p.mu.Unlock()
		if left <= 0 {
			break
		}
		if err := sleep(req.Context(), left); err != nil {
			if req.Body != nil {
				_ = req.Body.Close()
			}
			return nil, err
		}
	}
	resp, err := p.inner.RoundTrip(req)
	if err == nil && (resp.StatusCode == http.StatusTooManyRequests ||
		resp.StatusCode == http.StatusServiceUnavailable) {
		if asked := retryAfter(resp.Header.Get("Retry-After")); asked > 0 {
			p.hold(host, time.Now().Add(min(asked, p.most)))
		}
	}
	return resp, err
}

func (p *pace) hold(host string, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if until.After(p.until[host]) {
		p.until[host] = until
	}
}

// retryAfter parses the header, in seconds or as a date (RFC 9110, section 10.2.3). It returns 0 if
// the header is missing or invalid.
func retryAfter(header string) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(header); err == nil {
		return time.Until(date)
	}
	return 0
}
