package registry

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/multiarch-build/multiarch/tools/oci/reference"
)

// keychain is docker's: config.json and its credential helpers, or podman's auth.json.
type keychain struct{}

// Resolve finds the login for a registry or repository.
func (k keychain) Resolve(of authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), of)
}

// ResolveContext is Resolve.
func (keychain) ResolveContext(ctx context.Context, of authn.Resource) (authn.Authenticator, error) {
	login, err := authn.Resolve(ctx, authn.DefaultKeychain, of)
	if err != nil {
		return nil, &KeychainError{of.RegistryStr(), err}
	}
	return login, nil
}

// KeychainError is returned where it cannot be found out who to be in a registry.
type KeychainError struct {
	Host string
	Err  error
}

func (e *KeychainError) Error() string {
	return fmt.Sprintf("finding the login for %s: %v", e.Host, e.Err)
}

// Unwrap returns the reason.
func (e *KeychainError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *KeychainError) Hint() string {
	return "see that docker's config.json can be read and that the credential helper it names is installed and works, or name another folder for it with DOCKER_CONFIG"
}

// Try asks the registry called host whether it takes a login, as docker login does: it answers GET /v2/ with 200 to
// those it knows (distribution spec, "Determining Support"). A registry that asks nobody who they are takes every login.
func (c Client) Try(ctx context.Context, host string, login authn.Authenticator) error {
	if err := reference.CheckHost(host); err != nil {
		return err
	}
	r, err := name.NewRegistry(host)
	if err == nil && c.insecure(host) {
		r, err = name.NewRegistry(host, name.Insecure)
	}
	if err != nil {
		return fmt.Errorf("registry %q: %w", host, err)
	}
	t, err := transport.NewWithContext(ctx, r, login, c.Connected().connections, nil)
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
