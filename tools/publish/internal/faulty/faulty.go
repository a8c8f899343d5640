// Package faulty makes a registry fail in tests as real registries do. It wraps a handler, records the requests, and
// lets chosen ones fail.
package faulty

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"sync"
)

// Request is a recorded request.
type Request struct {
	// Number counts from one.
	Number int
	// Name is the method and path, without the random identifier of an upload, so that repeated requests have the same
	// name.
	Name string
}

// Fault handles a request instead of next, which it may call.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Handler passes requests on to Next, except those that Choose makes fail.
type Handler struct {
	Next http.Handler

	mu       sync.Mutex
	pick     func(Request) Fault
	requests []Request
}

var uploadID = regexp.MustCompile(`(/blobs/uploads/).+$`)

// Choose sets which requests fail from now on: those for which pick returns a fault. pick is called for one request at
// a time. If it is nil, no request fails.
func (h *Handler) Choose(pick func(Request) Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pick = pick
}

// ServeHTTP records r and serves it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	request := Request{len(h.requests) + 1, r.Method + " " + uploadID.ReplaceAllString(r.URL.Path, "$1")}
	h.requests = append(h.requests, request)
	var fault Fault
	if h.pick != nil {
		fault = h.pick(request)
	}
	h.mu.Unlock()
	if fault == nil {
		h.Next.ServeHTTP(w, r)
		return
	}
	fault(w, r, h.Next)
}

// Requests returns the requests received so far.
func (h *Handler) Requests() []Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Request(nil), h.requests...)
}

// Forget empties the record. Numbers start at one again.
func (h *Handler) Forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = nil
}

// Nth picks the request with a number, for faults that go away.
func Nth(number int, fault Fault) func(Request) Fault {
	return func(r Request) Fault {
		if r.Number == number {
			return fault
		}
		return nil
	}
}

// Every picks all requests with a name, for faults that remain.
func Every(name string, fault Fault) func(Request) Fault {
	return func(r Request) Fault {
		if r.Name == name {
			return fault
		}
		return nil
	}
}

// Status answers with the status and headers (name, value, ...) and does not pass the request on.
func Status(code int, headers ...string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		http.Error(w, http.StatusText(code), code)
	}
}

// Reset breaks the connection with a TCP reset before the request is passed on.
func Reset(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	drop(w, nil)
}

// Lost passes the request on and breaks the connection instead of answering.
func Lost(w http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	drop(w, nil)
}

// Truncated passes the request on and sends half of the response: half of its body, or half of its headers if it has no
// body.
func Truncated(w http.ResponseWriter, r *http.Request, next http.Handler) {
	recorded := httptest.NewRecorder()
	next.ServeHTTP(recorded, r)
	body := recorded.Body.Bytes()
	if r.Method != http.MethodHead {
		recorded.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	var head bytes.Buffer
	fmt.Fprintf(&head, "HTTP/1.1 %d %s\r\n", recorded.Code, http.StatusText(recorded.Code))
	_ = recorded.Header().Write(&head)
	head.WriteString("\r\n")
	if r.Method == http.MethodHead || len(body) == 0 {
		drop(w, head.Bytes()[:head.Len()/2])
		return
	}
	drop(w, append(head.Bytes(), body[:len(body)/2]...))
}

// drop sends raw bytes and closes the connection: with a FIN if there were any, so that they arrive, otherwise with a
// reset.
func drop(w http.ResponseWriter, raw []byte) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: the stream is reset
	}
	defer conn.Close()
	if len(raw) > 0 {
		_, _ = conn.Write(raw)
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}
