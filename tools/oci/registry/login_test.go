package registry_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

func TestCheckLogin(t *testing.T) {
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	defer server.Close()
	known := func(r *http.Request) bool {
		name, password, ok := r.BasicAuth()
		return ok && name == "ada" && password == "secret"
	}
	// A registry with basic authentication, and one with a token server.
	basic := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !known(r) {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer basic.Close()
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		if !known(r) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{"token": "t"}`))
	})
	mux.HandleFunc("/v2/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+server.URL+`/token",service="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	for _, url := range []string{basic.URL, server.URL} {
		host := strings.TrimPrefix(url, "http://")
		try := func(password string) error {
			return registry.Client{}.CheckLogin(t.Context(), host,
				authn.FromConfig(authn.AuthConfig{Username: "ada", Password: password}))
		}
		require.NoError(t, try("secret"))
		assert.ErrorContains(t, try("wrong"), "401")
	}
}
