package main

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// TestLoginHint uses registries that refuse a login in different ways.
func TestLoginHint(t *testing.T) {
	answer := func(status int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(status)
		})
	}
	refusing, elsewhere := httptest.NewServer(answer(http.StatusUnauthorized)),
		httptest.NewServer(answer(http.StatusNotFound))
	defer refusing.Close()
	defer elsewhere.Close()
	for hint, at := range map[string]string{
		"check the name and the password": refusing.URL,
		"is a registry: it must respond":  elsewhere.URL,
		"is running and reachable":        "http://127.0.0.1:1",
	} {
		t.Run(hint, func(t *testing.T) {
			host := must(name.NewRegistry(strings.TrimPrefix(at, "http://")))
			err := registry.Client{}.CheckLogin(t.Context(), host.RegistryStr(),
				authn.FromConfig(authn.AuthConfig{Username: "ada", Password: "wrong"}))
			require.Error(t, err)
			assert.Contains(t, loginHint(host, err), hint)
		})
	}
	// Errors of registries that are not on loopback, where plain HTTP is allowed.
	for _, err := range []error{
		&registry.PlainHTTPError{Host: "registry.example.com"},
		&tls.CertificateVerificationError{Err: errors.New("unknown authority")},
	} {
		err = &url.Error{Op: "Get", URL: "https://registry.example.com/v2/", Err: err}
		assert.Contains(t, loginHint(must(name.NewRegistry("registry.example.com")), err), "--insecure")
	}
}
