package registry_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/internal/httplimit"
	"github.com/multiarch-build/multiarch/tools/oci/manifest"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

var digestZero = v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}

// operations returns all kinds of requests to a registry.
func operations(t *testing.T, c registry.Client, host string) map[string]func() error {
	t.Helper()
	repo, err := c.Repository(host + "/hello")
	require.NoError(t, err)
	img, err := random.Image(1<<10, 1)
	require.NoError(t, err)
	layers, err := img.Layers()
	require.NoError(t, err)
	opts := c.Options(t.Context())
	return map[string]func() error{
		"head manifest": func() error { _, err := remote.Head(repo.Tag("latest"), opts...); return err },
		"get manifest":  func() error { _, err := remote.Get(repo.Tag("latest"), opts...); return err },
		"upload blob":   func() error { return remote.WriteLayer(repo, layers[0], opts...) },
		"put manifest":  func() error { return remote.Put(repo.Tag("latest"), img, opts...) },
		"delete":        func() error { return remote.Delete(repo.Tag("latest"), opts...) },
		"read blob": func() error {
			blobs, err := c.Blobs(t.Context(), repo)
			if err != nil {
				return err
			}
			body, _, err := blobs.Open(t.Context(), digestZero.String(), 0)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, body)
			return err
		},
		"read layer": func() error {
			l, err := remote.Layer(repo.Digest(digestZero.String()), opts...)
			if err != nil {
				return err
			}
			body, err := l.Compressed()
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, body)
			return err
		},
	}
}

// TestRedirectLoops uses a registry that redirects endlessly, at each step of a request.
func TestRedirectLoops(t *testing.T) {
	cases := 0
	for step, here := range map[string]func(r *http.Request) bool{
		"ping":     func(r *http.Request) bool { return r.URL.Path == "/v2/" },
		"resource": func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/v2/hello/") },
		"upload":   func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/upload/") },
		"token":    func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/token") },
	} {
		for _, code := range []int{301, 302, 303, 307, 308} {
			var loops atomic.Int32
			var self string
			host, requests := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if here(r) || strings.HasPrefix(r.URL.Path, "/loop/") {
					http.Redirect(w, r, fmt.Sprintf("/loop/%d", loops.Add(1)), code)
					return
				}
				switch {
				case step == "token" && r.Header.Get("Authorization") == "":
					w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+self+`/token",service="x"`)
					w.WriteHeader(http.StatusUnauthorized)
				case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/blobs/uploads/"):
					w.Header().Set("Location", "/upload/1")
					w.WriteHeader(http.StatusAccepted)
				case r.Method == http.MethodHead:
					w.WriteHeader(http.StatusNotFound)
				}
			})
			self = host
			for name, op := range operations(t, quick, host) {
				if step == "upload" && name != "upload blob" {
					continue
				}
				cases++
				before := requests.Load()
				assert.Error(t, op(), "%s, %s, %d", name, step, code)
				assert.LessOrEqual(t, requests.Load()-before, int32(16), "%s, %s, %d", name, step, code)
			}
		}
	}
	t.Logf("%d cases", cases)
	require.Positive(t, cases)
}

// TestCredentialsAreNotRedirected checks that only the registry itself receives the login.
func TestCredentialsAreNotRedirected(t *testing.T) {
	var leaked []string
	thief, asked := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if login := r.Header.Get("Authorization"); login != "" {
			leaked = append(leaked, r.Method+" "+r.URL.Path+" "+login)
		}
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "secret") {
			leaked = append(leaked, r.Method+" "+r.URL.Path+" "+string(body))
		}
		w.WriteHeader(http.StatusUnauthorized)
	})
	for scheme, challenge := range map[string]string{"basic": `Basic realm="x"`,
		"bearer": `Bearer realm="http://HOST/token",service="x"`} {
		var self string
		host, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasPrefix(r.URL.Path, "/token"):
				_, _ = io.WriteString(w, `{"token": "secret"}`)
			case r.Header.Get("Authorization") == "":
				w.Header().Set("WWW-Authenticate", strings.ReplaceAll(challenge, "HOST", self))
				w.WriteHeader(http.StatusUnauthorized)
			case r.URL.Path == "/v2/":
			case r.Method == http.MethodPost:
				w.Header().Set("Location", "http://"+thief+"/upload")
				w.WriteHeader(http.StatusAccepted)
			case r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/blobs/"):
				w.WriteHeader(http.StatusNotFound)
			default:
				http.Redirect(w, r, "http://"+thief+r.URL.Path, http.StatusTemporaryRedirect)
			}
		})
		self = host
		login(t, host)
		for name, op := range operations(t, quick, host) {
			before := asked.Load()
			assert.Error(t, op(), "%s, %s", scheme, name)
			assert.Greater(t, asked.Load(), before, "%s, %s: the redirect was followed", scheme, name)
		}
	}
	assert.Empty(t, leaked)
}

// TestRangeNeverSatisfiable uses a registry that responds with 416 to everything, including
// requests without a range.
func TestRangeNeverSatisfiable(t *testing.T) {
	host, requests := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		}
	})
	repo, err := quick.Repository(host + "/hello")
	require.NoError(t, err)
	blobs, err := quick.Blobs(t.Context(), repo)
	require.NoError(t, err)
	for _, offset := range []int64{0, 7} {
		_, _, err = blobs.Open(t.Context(), digestZero.String(), offset)
		require.ErrorContains(t, err, "416", offset)
	}
	assert.LessOrEqual(t, requests.Load(), int32(4))
}

// TestSilentRegistries checks that no request waits forever for the rest of a body.
func TestSilentRegistries(t *testing.T) {
	host, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Location", "/v2/hello/blobs/uploads/1")
			w.WriteHeader(http.StatusAccepted)
			return
		}
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if r.URL.Path != "/v2/" {
			_, _ = io.WriteString(w, "{")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	})
	c := quick
	c.Idle, c.Backoff.Attempts = 50*time.Millisecond, 2
	for name, op := range operations(t, c, host) {
		if name != "get manifest" && name != "read blob" && name != "read layer" {
			continue
		}
		err := op()
		var stalled *httplimit.StalledError
		assert.ErrorAs(t, err, &stalled, name)
	}
}

// TestInvalidManifestsAreRejected checks that invalid manifests are rejected before they are used.
func TestInvalidManifestsAreRejected(t *testing.T) {
	for what, c := range map[string]struct {
		body string
		want any
	}{
		"endless":             {strings.Repeat(" ", manifest.Limit+1), new(*manifest.TooLargeError)},
		"negative layer size": {`{"schemaVersion": 2, "layers": [{"size": -1}]}`, new(*manifest.SizeError)},
		"negative child size": {`{"schemaVersion": 2, "manifests": [{"size": -1}]}`, new(*manifest.SizeError)},
	} {
		host, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			if r.URL.Path != "/v2/" {
				_, _ = io.WriteString(w, c.body)
			}
		})
		err := operations(t, quick, host)["get manifest"]()
		assert.ErrorAs(t, err, c.want, what)
	}
}

// TestLongErrorPages checks that the status code of an error is kept if its page is too long for
// go-containerregistry.
func TestLongErrorPages(t *testing.T) {
	host, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, strings.Repeat("<p>no</p>", 100<<10))
		}
	})
	err := operations(t, quick, host)["get manifest"]()
	require.ErrorContains(t, err, "403")
}

// login stores credentials for a registry in Docker's configuration.
func login(t *testing.T, host string) {
	t.Helper()
	dir := t.TempDir()
	content := fmt.Sprintf(`{"auths": {%q: {"auth": "dTpzZWNyZXQ="}}}`, host) // u:secret
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(content), 0o600))
	t.Setenv("DOCKER_CONFIG", dir)
}
