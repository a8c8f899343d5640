package registry

import (
	"bytes"
	"io"
	"net/http"
	"sync"
)

// pings caches the responses to GET /v2/, which go-containerregistry requests for each repository
// and each mount source to learn how to authenticate (distribution specification, "Determining
// Support"). The response depends only on the registry. Only the two status codes with a meaning
// are cached.
type pings struct {
	inner http.RoundTripper

	mu    sync.Mutex
	known map[string]*ping // by scheme and host
}

// ping is the cached response of a registry; status is 0 until there is one. mu is held while it is
// requested.
type ping struct {
	mu     sync.Mutex
	status int
	header http.Header
	body   []byte
}

func (p *pings) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet || req.URL.Path != "/v2/" || req.Header.Get("Authorization") != "" {
		return p.inner.RoundTrip(req)
	}
	known := p.of(req.URL.Scheme + "://" + req.URL.Host)
	known.mu.Lock()
	defer known.mu.Unlock()
	if known.status == 0 {
		resp, err := p.inner.RoundTrip(req)
		if err != nil || resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusUnauthorized {
			return resp, err
		}
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // the body has no meaning
		_ = resp.Body.Close()
		known.status, known.header, known.body = resp.StatusCode, resp.Header, body
	}
	return &http.Response{
		Status: http.StatusText(known.status), StatusCode: known.status, Proto: "HTTP/1.1", ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     known.header.Clone(), Body: io.NopCloser(bytes.NewReader(known.body)),
		ContentLength: int64(len(known.body)), Request: req,
	}, nil
}

func (p *pings) of(host string) *ping {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known[host] == nil {
		p.known[host] = &ping{}
	}
	return p.known[host]
}
