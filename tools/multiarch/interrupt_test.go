package main

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestInterruptedReleaseReportsRollbackFailures interrupts a release after its first tag has moved, with a registry
// that does not delete tags. The error lists the tags that could not be rolled back.
func TestInterruptedReleaseReportsRollbackFailures(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	next := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			http.Error(w, "nothing is deleted here", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/v1") {
			interrupt()
		}
	}))
	defer server.Close()
	dir := t.TempDir()
	t.Setenv("MULTIARCH_CACHE", t.TempDir())
	file := filepath.Join(dir, "multiarch.yaml")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "motd"), []byte("hi\n"), 0o644))
	require.NoError(t, os.WriteFile(file, []byte(`version: 1
platforms: [linux/amd64]
registry: `+strings.TrimPrefix(server.URL, "http://")+`/team
registries: {`+strings.TrimPrefix(server.URL, "http://")+`: {jobs: 1}}
images:
  one: {base: scratch, files: [{from: motd, to: /etc/}]}
  two: {base: scratch, files: [{from: motd, to: /etc/}]}
`), 0o644))
	var stdout, stderr strings.Builder
	code := execute(ctx, []string{"-f", file, "release", "--tag", "v1"}, strings.NewReader(""), &stdout, &stderr)
	assert.Equal(t, exitInterrupted, code)
	assert.Empty(t, stdout.String())
	assert.Contains(t, stderr.String(), "multiarch: interrupted: ")
	assert.Contains(t, stderr.String(), "/team/one:v1 could not be rolled back (it did not exist before)")
	assert.Contains(t, stderr.String(), "/team/two:v1")
}
