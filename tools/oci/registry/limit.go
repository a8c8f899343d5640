package registry

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
)

// Limits counts what is under way to each registry. Clients that have the same one keep their limits together. The zero
// value is ready to use.
type Limits struct {
	mu    sync.Mutex
	slots map[slot]chan struct{}
}

// slot is what so many at a time may have.
type slot struct {
	host     string // with the scheme: that a host is tried by HTTPS first is no reason to wait
	jobs     int
	download bool
}

// take waits for a slot, and returns what gives it back; that may be called more than once.
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

// limited keeps the limit of each host: so many requests wait for its answer at a time, and so many blobs are read from
// it. These are counted apart because one may need the other: what is copied is read while it is sent, possibly to the
// registry that it comes from, and in two directions at once. Whoever has a request under way waits for nothing but its
// answer, so that nobody waits in a circle.
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

// answered sends a request and waits for its answer, but not for the answer's body.
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
		// net/http begins some requests again on another connection. Opening what they send may be a request as well.
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

// reading is the body of an answer.
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
