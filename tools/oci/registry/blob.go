package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Blobs reads blobs of one repository.
type Blobs struct {
	repo name.Repository
	http *http.Client
}

// Blobs logs in to a repository for reading.
func (c Client) Blobs(ctx context.Context, repo name.Repository) (*Blobs, error) {
	auth, err := keychain{}.ResolveContext(ctx, repo)
	if err != nil {
		return nil, err
	}
	t, err := transport.NewWithContext(ctx, repo.Registry, auth, c.Connected().connections,
		[]string{repo.Scope(transport.PullScope)})
	if err != nil {
		return nil, fmt.Errorf("logging in to %s: %w", repo.Registry, err)
	}
	return &Blobs{repo, &http.Client{Transport: t}}, nil
}

// Open reads a blob starting at offset (RFC 9110, section 14.2, "Range"). If the registry sends the
// whole blob instead, from is 0. The content is not verified. See "Pulling blobs" in the
// distribution specification.
func (b *Blobs) Open(ctx context.Context, digest string, offset int64) (body io.ReadCloser, from int64, err error) {
	u := url.URL{Scheme: b.repo.Scheme(), Host: b.repo.RegistryStr(), Path: fmt.Sprintf("/v2/%s/blobs/%s",
		b.repo.RepositoryStr(), digest)}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, 0, err
	}
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := b.http.Do(req)
	if err != nil {
		return nil, 0, err
	}
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && offset > 0 {
		_ = resp.Body.Close()
		return b.Open(ctx, digest, 0)
	}
	if err := transport.CheckError(resp, http.StatusOK, http.StatusPartialContent); err != nil {
		_ = resp.Body.Close()
		return nil, 0, err
	}
	if resp.StatusCode == http.StatusOK {
		offset = 0
	}
	return resp.Body, offset, nil
}
