package registry

import (
	"context"
	"io"
	"net/http"
	"strings"
)

// missing is the key of a context that says which blob a repository lacks.
type missing struct{}

// Missing returns a context for an upload of a blob that its repository has just said it lacks. go-containerregistry asks
// once more before it begins, and is told so then without a request.
func Missing(ctx context.Context, digest string) context.Context {
	return context.WithValue(ctx, missing{}, digest)
}

// answerMissing answers the question whether a blob is there that Missing has answered.
type answerMissing struct{ inner http.RoundTripper }

func (a answerMissing) RoundTrip(req *http.Request) (*http.Response, error) {
	digest, known := req.Context().Value(missing{}).(string)
	if !known || req.Method != http.MethodHead || !strings.HasSuffix(req.URL.Path, "/blobs/"+digest) {
		return a.inner.RoundTrip(req)
	}
	return &http.Response{
		Status: "404 Not Found", StatusCode: http.StatusNotFound, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: req,
	}, nil
}
