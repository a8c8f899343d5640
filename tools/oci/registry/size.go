package registry

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/multiarch-build/multiarch/tools/oci/manifest"
)

// errorPage is the number of bytes read of an error response. go-containerregistry rejects more
// than 64 KiB and then loses the status code.
const errorPage = 32 << 10

// sizes limits the size of responses except blobs, whose size is known to their readers: manifests,
// indexes and tag lists longer than manifest.Limit are rejected, and error pages are truncated.
// Manifests are validated as well.
type sizes struct{ inner http.RoundTripper }

func (s sizes) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := s.inner.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	first := firstRequest(req)
	switch {
	case resp.StatusCode >= 300:
		resp.Body = bounded{io.LimitReader(resp.Body, errorPage), resp.Body}
	case first.Method != http.MethodGet || !strings.HasPrefix(first.URL.Path, "/v2/") ||
		strings.Contains(first.URL.Path, "/blobs/"):
	case strings.Contains(first.URL.Path, "/manifests/"):
		raw, err := manifest.Read(resp.Body)
		_ = resp.Body.Close()
		if err == nil {
			err = manifest.Check(raw)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the manifest: %w", err)
		}
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
	default:
		resp.Body = bounded{&refusing{resp.Body, manifest.Limit}, resp.Body}
	}
	return resp, nil
}

// firstRequest returns the request that req was redirected from, or req itself.
func firstRequest(req *http.Request) *http.Request {
	for req.Response != nil && req.Response.Request != nil {
		req = req.Response.Request
	}
	return req
}

type bounded struct {
	io.Reader
	io.Closer
}

// refusing fails after left bytes have been read.
type refusing struct {
	inner io.Reader
	left  int64
}

func (r *refusing) Read(p []byte) (int, error) {
	n, err := r.inner.Read(p)
	if r.left -= int64(n); r.left < 0 {
		return n, &manifest.TooLargeError{}
	}
	return n, err
}
