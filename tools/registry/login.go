package registry

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Try asks the registry called host whether it takes a login, as docker login does: it answers GET /v2/ with 200 to
// those it knows (distribution spec, "Determining Support"). A registry that asks nobody who they are takes every login.
func (c Client) Try(ctx context.Context, host string, login authn.Authenticator) error {
	r, err := name.NewRegistry(host)
	if err == nil && c.insecure(host) {
		r, err = name.NewRegistry(host, name.Insecure)
	}
	if err != nil {
		return fmt.Errorf("registry %q: %w", host, err)
	}
	t, err := transport.NewWithContext(ctx, r, login, c.transport(), nil)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s://%s/v2/", r.Scheme(), r.RegistryStr()), nil)
	if err != nil {
		return err
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return transport.CheckError(resp, http.StatusOK)
}
