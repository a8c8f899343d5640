package registry_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/manifest"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// started starts a registry like multiarch registry does.
func started(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- registry.Serve(ctx, l, "") }()
	t.Cleanup(func() {
		stop()
		assert.NoError(t, <-done)
	})
	return l.Addr().String()
}

func ask(t *testing.T, address, host, origin string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/v2/", nil)
	require.NoError(t, err)
	req.Host = host
	if origin != "" {
		req.Header.Set("Origin", origin)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestServeAnswersOnlyLocalNames(t *testing.T) {
	address := started(t)
	for _, host := range []string{"", address, "localhost", "localhost:5000", "LOCALHOST", "127.0.0.1",
		"127.1.2.3:1", "[::1]", "[::1]:5000", "registry.localhost:5000", "localhost."} {
		assert.Equal(t, http.StatusOK, ask(t, address, host, ""), host)
	}
	for _, host := range []string{"evil.example", "evil.example:5000", "localhost.evil.example",
		"127.0.0.1.evil.example", "notlocalhost", "10.0.0.1", "0.0.0.0", "[fe80::1]", "[::]"} {
		assert.Equal(t, http.StatusForbidden, ask(t, address, host, ""), host)
	}
	assert.Equal(t, http.StatusOK, ask(t, address, "", "http://"+address))
	for _, origin := range []string{"https://evil.example", "null", "http://localhost:1", "http://" + address +
		".evil.example"} {
		assert.Equal(t, http.StatusForbidden, ask(t, address, "", origin), origin)
	}
}

func TestServeStoresWholeManifestsOnly(t *testing.T) {
	address := started(t)
	put := func(body io.Reader) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut,
			"http://"+address+"/v2/hello/manifests/latest", body)
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		return resp.StatusCode
	}
	repo, err := quick.Repository(address + "/hello")
	require.NoError(t, err)
	absent := func(why string) {
		_, err := remote.Head(repo.Tag("latest"), quick.Options(t.Context())...)
		assert.ErrorContains(t, err, "404", why)
	}
	assert.Equal(t, http.StatusRequestEntityTooLarge, put(strings.NewReader(strings.Repeat(" ", manifest.Limit+1))))
	absent("too large")
	assert.Equal(t, http.StatusBadRequest, put(strings.NewReader(`{"layers": [{"size": -1}]}`)))
	absent("negative size")

	// A connection that breaks during the upload.
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	_, err = io.WriteString(c,
		"PUT /v2/hello/manifests/latest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{}")
	require.NoError(t, err)
	require.NoError(t, c.(*net.TCPConn).CloseWrite())
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
		assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
		_ = resp.Body.Close()
	}
	_ = c.Close()
	absent("cut off")

	img, err := random.Image(1<<10, 1)
	require.NoError(t, err)
	require.NoError(t, remote.Write(repo.Tag("latest"), img, quick.Options(t.Context())...))
}
