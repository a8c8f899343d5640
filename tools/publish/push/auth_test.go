package push_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/content/contenttest"
	"github.com/multiarch-build/multiarch/tools/publish/push"
)

const user, secret = "builder", "open sesame"

// basic requires a user name and password for all requests.
func basic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != user || p != secret {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// tokens requires a bearer token with the right scopes, which /token issues for a user name and password. A token is
// valid for a limited number of requests.
type tokens struct {
	next http.Handler
	uses int
	// private is a repository that no token grants access to.
	private string

	mu     sync.Mutex
	issued []token
}

type token struct {
	scopes []string
	used   int
}

func (s *tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		s.issue(w, r)
		return
	}
	needed := ""
	if repo, _, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/blobs/"); ok {
		needed = repo
	} else if repo, _, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/manifests/"); ok {
		needed = repo
	}
	action := "pull"
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		action = "push"
	}
	if needed == "" || !s.allow(r, needed, action) || r.FormValue("from") != "" &&
		!s.allow(r, r.FormValue("from"), "pull") {
		w.Header().Set("WWW-Authenticate",
			fmt.Sprintf(`Bearer realm="http://%s/token",service="test",scope="repository:%s:%s"`, r.Host, needed, action))
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.next.ServeHTTP(w, r)
}

func (s *tokens) issue(w http.ResponseWriter, r *http.Request) {
	if u, p, _ := r.BasicAuth(); u != user || p != secret {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	for _, scope := range r.URL.Query()["scope"] {
		if s.private != "" && strings.HasPrefix(scope, "repository:"+s.private+":") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issued = append(s.issued, token{scopes: r.URL.Query()["scope"]})
	_ = json.NewEncoder(w).Encode(map[string]string{"token": fmt.Sprint("t", len(s.issued)-1)})
}

func (s *tokens) allow(r *http.Request, repo, action string) bool {
	var n int
	if _, err := fmt.Sscanf(r.Header.Get("Authorization"), "Bearer t%d", &n); err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.issued[n]
	t.used++
	if t.used > s.uses {
		return false
	}
	for _, scope := range t.scopes {
		if rest, ok := strings.CutPrefix(scope, "repository:"+repo+":"); ok && strings.Contains(rest, action) {
			return true
		}
	}
	return false
}

// dockerConfig writes docker's config.json.
func dockerConfig(t testing.TB, config string) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600))
	t.Setenv("DOCKER_CONFIG", dir)
}

func TestPushAuthenticates(t *testing.T) {
	base := contenttest.NewLayer(t, "base", 100_000)
	hello, py := contenttest.Service(t, "hello", []v1.Layer{base}, contenttest.AMD64, contenttest.ARM64),
		contenttest.Service(t, "py-app", []v1.Layer{base}, contenttest.AMD64)
	registries := map[string]func(http.Handler) http.Handler{
		"basic":              basic,
		"bearer":             func(next http.Handler) http.Handler { return &tokens{next: next, uses: 1_000_000} },
		"short-lived bearer": func(next http.Handler) http.Handler { return &tokens{next: next, uses: 4} },
	}
	for name, wrap := range registries {
		client := quick
		if name == "short-lived bearer" {
			// A request is repeated once, with a new token. Concurrent requests could use up that token first, which
			// cannot happen with tokens that expire by time.
			client.Jobs = 1
		}
		both := func(t *testing.T, l *loopback) {
			_, err := publish(t, client, target(l, hello, "latest"), target(l, py, "latest"))
			require.NoError(t, err)
			assert.Equal(t, contenttest.DigestOf(t, hello.Index), l.digest(t, "hello:latest"))
			assert.Equal(t, contenttest.DigestOf(t, py.Index), l.digest(t, "py-app:latest"))
			assert.Equal(t, []string{"py-app from hello"}, l.mounts)
		}
		t.Run(name+", config.json", func(t *testing.T) {
			l := newLoopback(t, wrap)
			dockerConfig(t,
				fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, l.host, base64.StdEncoding.EncodeToString([]byte(user+":"+secret))))
			both(t, l)
		})
		t.Run(name+", credential helper", func(t *testing.T) {
			l := newLoopback(t, wrap)
			dir := contenttest.FakeProgram(t, "docker-credential-xyz",
				fmt.Sprintf(`echo "$1 $(cat)" >> args; echo '{"ServerURL": "", "Username": %q, "Secret": %q}'`, user, secret))
			dockerConfig(t, fmt.Sprintf(`{"credHelpers": {%q: "xyz"}}`, l.host))
			both(t, l)
			raw, err := os.ReadFile(filepath.Join(dir, "args"))
			require.NoError(t, err)
			for line := range strings.Lines(string(raw)) {
				assert.Equal(t, "get "+l.host+"\n", line)
			}
		})
		t.Run(name+", nobody", func(t *testing.T) {
			l := newLoopback(t, wrap)
			dockerConfig(t, "{}")
			_, err := publish(t, quick, target(l, hello, "latest"))
			var partial *push.Error
			require.ErrorAs(t, err, &partial)
			assert.Empty(t, partial.Stored)
			assert.Contains(t, partial.Error(), "no manifest was uploaded; tags not moved: "+l.host+"/hello:latest")
			assert.Contains(t, partial.Hint(), "docker login "+l.host)
		})
	}
}

// TestPushWithoutPermissionToMount pushes blobs that exist in a repository which this login may not read. It uploads
// them instead.
func TestPushWithoutPermissionToMount(t *testing.T) {
	base := contenttest.NewLayer(t, "base", 100_000)
	hello := contenttest.Service(t, "hello", []v1.Layer{base}, contenttest.AMD64, contenttest.ARM64)
	l := newLoopback(t, func(next http.Handler) http.Handler {
		return &tokens{next: next, uses: 1_000_000, private: "bases/private"}
	})
	dockerConfig(t,
		fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, l.host, base64.StdEncoding.EncodeToString([]byte(user+":"+secret))))
	private, err := name.NewRepository(l.host + "/bases/private")
	require.NoError(t, err)
	goal := target(l, hello, "latest")
	goal.Sources = map[v1.Hash]name.Repository{contenttest.DigestOf(t, base): private}
	_, err = publish(t, quick, goal)
	require.NoError(t, err)
	assert.Equal(t, contenttest.DigestOf(t, hello.Index), l.digest(t, "hello:latest"))
	assert.Empty(t, l.mounts)
}
