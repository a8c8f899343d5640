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

// keychain is Docker's (config.json and its credential helpers) or podman's (auth.json).
type keychain struct{}

// Resolve returns the credentials for a registry or repository.
func (k keychain) Resolve(of authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), of)
}

// ResolveContext is Resolve with a context.
func (keychain) ResolveContext(ctx context.Context, of authn.Resource) (authn.Authenticator, error) {
	login, err := authn.Resolve(ctx, authn.DefaultKeychain, of)
	if err != nil {
		return nil, &KeychainError{of.RegistryStr(), err}
	}
	return login, nil
}

// KeychainError is returned if the credentials for a registry cannot be read.
type KeychainError struct {
	Host string
	Err  error
}

func (e *KeychainError) Error() string {
	return fmt.Sprintf("reading the credentials for %s: %v", e.Host, e.Err)
}

// Unwrap returns the cause.
func (e *KeychainError) Unwrap() error { return e.Err }

// Hint returns how to resolve the error.
func (e *KeychainError) Hint() string {
	return "check that Docker's config.json is readable and that its credential helper is installed and works, " +
		"or set DOCKER_CONFIG to another directory"
}

// CheckLogin checks credentials like docker login does: the registry must respond to GET /v2/ with
// 200 (distribution specification, "Determining Support"). Registries that need no login accept
// any.
func (c Client) CheckLogin(ctx context.Context, host string, login authn.Authenticator) error {
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
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s://%s/v2/", r.Scheme(),
		r.RegistryStr()), nil)
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
