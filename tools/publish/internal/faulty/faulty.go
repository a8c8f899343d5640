// Package faulty makes a registry fail in the ways in which registries fail, for tests: it stands in front of a
// handler, records the requests, and lets chosen ones go wrong.
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

// Request is a request that came in.
type Request struct {
	// Number counts from one.
	Number int
	// Name is the method and path. The identifier of an upload, different every time, is left out of it, so that
	// repeated requests have the same name.
	Name string
}

// Fault is what happens to a request. It may pass it on to next.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Handler passes requests on to Next, except those that Choose makes fail.
type Handler struct {
	Next http.Handler

	mu       sync.Mutex
	pick     func(Request) Fault
	requests []Request
}

var uploadID = regexp.MustCompile(`(/blobs/uploads/).+$`)

// Choose says which requests fail from now on: those for which pick, called for one of them at a time, returns a fault.
// pick may be nil: then none does.
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

// Requests returns what has come in so far.
func (h *Handler) Requests() []Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Request(nil), h.requests...)
}

// Forget empties the record, so that numbers begin at one again.
func (h *Handler) Forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = nil
}

// Nth picks the request of that number for the fault: something that passes.
func Nth(number int, fault Fault) func(Request) Fault {
	return func(r Request) Fault {
		if r.Number == number {
			return fault
		}
		return nil
	}
}

// Every picks all requests of that name: something that does not pass.
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

// Truncated passes the request on and sends half of the answer: half of its body, or half of its headers where it has
// no body.
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

// drop sends raw bytes and ends the connection: with a FIN after something was sent, so that it arrives, else with a
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
