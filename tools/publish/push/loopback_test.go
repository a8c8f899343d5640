package push_test

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/content/contenttest"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/publish/internal/faulty"
)

// loopback is a registry on loopback. Unlike the registry of go-containerregistry, it stores blobs per repository and
// supports mounts.
type loopback struct {
	*faulty.Handler
	// host is the host in references.
	host string
	// inside is the registry without wrap and faults.
	inside http.Handler

	mu     sync.Mutex
	blobs  map[string]map[v1.Hash][]byte // by repository
	mounts []string                      // repository from repository
}

// newLoopback starts a registry. wrap, if not nil, wraps its handler.
func newLoopback(t testing.TB, wrap func(http.Handler) http.Handler) *loopback {
	t.Helper()
	l := &loopback{blobs: map[string]map[v1.Hash][]byte{}}
	inner := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)), ggcr.WithBlobHandler(l))
	mounting := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || !l.mount(r) {
			inner.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Docker-Content-Digest", r.URL.Query().Get("mount"))
		w.WriteHeader(http.StatusCreated)
	})
	l.inside, l.Handler = mounting, &faulty.Handler{Next: mounting}
	if wrap != nil {
		l.Next = wrap(mounting)
	}
	server := httptest.NewUnstartedServer(l)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	l.host = server.Listener.Addr().String()
	return l
}

func (l *loopback) mount(r *http.Request) bool {
	digest, err := v1.NewHash(r.URL.Query().Get("mount"))
	if err != nil {
		return false
	}
	from := r.URL.Query().Get("from")
	to := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v2/"), "/blobs/uploads/")
	l.mu.Lock()
	defer l.mu.Unlock()
	content, there := l.blobs[from][digest]
	if there {
		l.mounts = append(l.mounts, to+" from "+from)
		l.add(to, digest, content)
	}
	return there
}

func (l *loopback) add(repo string, h v1.Hash, content []byte) {
	if l.blobs[repo] == nil {
		l.blobs[repo] = map[v1.Hash][]byte{}
	}
	l.blobs[repo][h] = content
}

// Get, Stat and Put store blobs for go-containerregistry's registry.
func (l *loopback) Get(_ context.Context, repo string, h v1.Hash) (io.ReadCloser, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	content, there := l.blobs[repo][h]
	if !there {
		return nil, ggcr.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}

func (l *loopback) Stat(_ context.Context, repo string, h v1.Hash) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	content, there := l.blobs[repo][h]
	if !there {
		return 0, ggcr.ErrNotFound
	}
	return int64(len(content)), nil
}

func (l *loopback) Put(_ context.Context, repo string, h v1.Hash, rc io.ReadCloser) error {
	content, err := io.ReadAll(rc)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// The library passes the repository with a part of the upload path.
	l.add(strings.TrimSuffix(repo, "/blobs"), h, content)
	return nil
}

// count returns the number of requests whose name has the prefix.
func (l *loopback) count(prefix string) int {
	n := 0
	for _, r := range l.Requests() {
		if strings.HasPrefix(r.Name, prefix) {
			n++
		}
	}
	return n
}

// index reads an index with its manifests and blobs.
func (l *loopback) index(t testing.TB, reference string) v1.ImageIndex {
	t.Helper()
	l.Choose(nil)
	ref, err := name.ParseReference(l.host + "/" + reference)
	require.NoError(t, err)
	index, err := remote.Index(ref, remote.WithContext(t.Context()))
	require.NoError(t, err)
	return index
}

// put stores an index by digest and tag, bypassing faults.
func (l *loopback) put(t testing.TB, repo, tag string, image content.Image) {
	t.Helper()
	raw, err := image.Index.RawManifest()
	require.NoError(t, err)
	put := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/v2/"+repo+"/manifests/"+tag, bytes.NewReader(raw))
	put.Header.Set("Content-Type", string(types.OCIImageIndex))
	l.inside.ServeHTTP(httptest.NewRecorder(), put)
	require.Equal(t, contenttest.DigestOf(t, image.Index), l.digest(t, repo+":"+tag))
}

// digest returns the digest of a reference, or the zero hash if it does not exist, bypassing faults.
func (l *loopback) digest(t testing.TB, reference string) v1.Hash {
	t.Helper()
	answer := httptest.NewRecorder()
	repo, tag, _ := strings.Cut(reference, ":")
	l.inside.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodHead, "/v2/"+repo+"/manifests/"+tag,
		nil))
	if answer.Code == http.StatusNotFound {
		return v1.Hash{}
	}
	h, err := v1.NewHash(answer.Header().Get("Docker-Content-Digest"))
	require.NoError(t, err)
	return h
}

// quick is a client with short pauses between retries.
var quick = registry.Client{Backoff: registry.Backoff{First: time.Millisecond, Most: 20 * time.Millisecond}}

// oneAttempt is a client that sends one request at a time and never retries, so that the order of requests is known.
var oneAttempt = registry.Client{Jobs: 1, Backoff: registry.Backoff{Attempts: 1}}

// requireReadOnly checks that the registries got no request that writes.
func requireReadOnly(t testing.TB, registries ...*loopback) {
	t.Helper()
	for _, l := range registries {
		for _, r := range l.Requests() {
			require.Regexp(t, "^(HEAD|GET) ", r.Name)
		}
	}
}

// blobsOf returns the layers and configs of all images in an index.
func blobsOf(t testing.TB, image content.Image) []v1.Descriptor {
	t.Helper()
	list, err := image.Index.IndexManifest()
	require.NoError(t, err)
	var blobs []v1.Descriptor
	for _, d := range list.Manifests {
		img, err := image.Index.Image(d.Digest)
		require.NoError(t, err)
		m, err := img.Manifest()
		require.NoError(t, err)
		blobs = append(append(blobs, m.Layers...), m.Config)
	}
	return blobs
}
