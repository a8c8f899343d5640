package registry

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
)

// Limits counts the concurrent requests to each registry. Clients with the same Limits share them.
// The zero value is ready to use.
type Limits struct {
	mu    sync.Mutex
	slots map[slot]chan struct{}
}

// slot identifies a limit.
type slot struct {
	host     string // with the scheme, so that a first attempt with HTTPS does not delay HTTP
	jobs     int
	download bool
}

// take waits for a slot and returns a function that releases it, which may be called more than
// once.
func (l *Limits) take(ctx context.Context, of slot) (func(), error) {
	l.mu.Lock()
	if l.slots == nil {
		l.slots = map[slot]chan struct{}{}
	}
	if l.slots[of] == nil {
		l.slots[of] = make(chan struct{}, of.jobs)
	}
	slots := l.slots[of]
	l.mu.Unlock()
	select {
	case slots <- struct{}{}:
		return sync.OnceFunc(func() { <-slots }), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// limited enforces the limit of each host on requests waiting for a response, and separately on
// blob downloads. They are counted separately because an upload may need a download: copied blobs
// are read while they are sent, possibly to the registry that they come from. A request holds its
// slot only until its response arrives, so that no cycle of waiting requests can occur.
type limited struct {
	inner http.RoundTripper
	jobs  func(host string) int // 0 for no limit
	*Limits
}

func (l limited) RoundTrip(req *http.Request) (*http.Response, error) {
	jobs := l.jobs(req.URL.Host)
	if jobs == 0 {
		return l.inner.RoundTrip(req)
	}
	of := slot{req.URL.Scheme + "://" + req.URL.Host, jobs, false}
	read := func() {}
	if req.Method == http.MethodGet && strings.Contains(req.URL.Path, "/blobs/") {
		var err error
		if read, err = l.take(req.Context(), slot{of.host, jobs, true}); err != nil {
			return nil, err
		}
	}
	resp, err := l.answered(req, of)
	if err != nil {
		read()
		return nil, err
	}
	resp.Body = &reading{resp.Body, read}
	return resp, nil
}

// answered sends a request and waits for its response, but not for the body.
func (l limited) answered(req *http.Request, of slot) (*http.Response, error) {
	done, err := l.take(req.Context(), of)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	defer func() { done() }()
	if again := req.GetBody; again != nil {
		// net/http retries some requests on another connection. Opening their body may be a request as well.
		req = req.WithContext(req.Context())
		req.GetBody = func() (io.ReadCloser, error) {
			done()
			body, err := again()
			if err != nil {
				return nil, err
			}
			if done, err = l.take(req.Context(), of); err != nil {
				done = func() {}
				_ = body.Close()
				return nil, err
			}
			return body, nil
		}
	}
	return l.inner.RoundTrip(req)
}

// reading is the body of a response.
type reading struct {
	io.ReadCloser
	done func()
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil {
		r.done()
	}
	return n, err
}

func (r *reading) Close() error {
	defer r.done()
	return r.ReadCloser.Close()
}
