package registry

import (
	"context"
	"io"
	"net/http"
	"strings"
)

// missingKey is the context key for a blob that a repository lacks.
type missingKey struct{}

// WithMissingBlob returns a context for uploading a blob that the repository is known to lack.
// go-containerregistry checks for the blob once more before the upload; that request is answered
// without contacting the registry.
func WithMissingBlob(ctx context.Context, digest string) context.Context {
	return context.WithValue(ctx, missingKey{}, digest)
}

// answerMissing answers the check for a blob that WithMissingBlob has marked as missing.
type answerMissing struct{ inner http.RoundTripper }

func (a answerMissing) RoundTrip(req *http.Request) (*http.Response, error) {
	digest, known := req.Context().Value(missingKey{}).(string)
	if !known || req.Method != http.MethodHead || !strings.HasSuffix(req.URL.Path, "/blobs/"+digest) {
		return a.inner.RoundTrip(req)
	}
	return &http.Response{
		Status: "404 Not Found", StatusCode: http.StatusNotFound, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: req,
	}, nil
}
