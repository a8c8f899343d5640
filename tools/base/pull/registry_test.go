package pull_test

import (
	"bytes"
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
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/base/pull"
	"github.com/multiarch-build/multiarch/tools/build/cache"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// client retries without a delay that tests would notice.
var client = registry.Client{Backoff: registry.Backoff{First: time.Millisecond, Most: time.Millisecond}}

// testRegistry records requests for blobs.
type testRegistry struct {
	t     *testing.T
	host  string
	mu    sync.Mutex
	blobs []string // digest and Range header of each request
	// intercept, if it is set, may answer requests for blobs; it returns false if it has not.
	intercept func(w http.ResponseWriter, r *http.Request) bool
}

func newRegistry(t *testing.T) *testRegistry {
	s := &testRegistry{t: t}
	inner := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/sha256:") {
			inner.ServeHTTP(w, r)
			return
		}
		s.mu.Lock()
		s.blobs = append(s.blobs, r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]+r.Header.Get("Range"))
		s.mu.Unlock()
		if s.intercept != nil && s.intercept(w, r) {
			return
		}
		// The registry of go-containerregistry does not support ranges without an end.
		whole, plain := httptest.NewRecorder(), r.Clone(r.Context())
		plain.Header.Del("Range")
		inner.ServeHTTP(whole, plain)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(whole.Body.Bytes()))
	}))
	t.Cleanup(server.Close)
	s.host = strings.TrimPrefix(server.URL, "http://")
	return s
}

func (s *testRegistry) ref(repo string) name.Reference {
	r, err := name.ParseReference(s.host + "/" + repo)
	require.NoError(s.t, err)
	return r
}

// push pushes an index of images for platforms. As with buildx, each image is followed by its attestation.
func (s *testRegistry) push(repo string, mediaType types.MediaType, platforms ...v1.Platform) v1.ImageIndex {
	unknown := v1.Platform{OS: "unknown", Architecture: "unknown"}
	index := mutate.IndexMediaType(empty.Index, mediaType)
	for _, p := range platforms {
		img := s.image(mediaType, p)
		digest, err := img.Digest()
		require.NoError(s.t, err)
		index = mutate.AppendManifests(index,
			mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &p}},
			mutate.IndexAddendum{Add: s.image(mediaType, unknown), Descriptor: v1.Descriptor{
				Platform: &unknown,
				Annotations: map[string]string{
					"vnd.docker.reference.type":   "attestation-manifest",
					"vnd.docker.reference.digest": digest.String(),
				},
			}})
	}
	require.NoError(s.t, remote.WriteIndex(s.ref(repo), index))
	return index
}

// image returns an image with two layers for a platform.
func (s *testRegistry) image(mediaType types.MediaType, p v1.Platform) v1.Image {
	img, err := random.Image(1000, 2)
	require.NoError(s.t, err)
	file, err := img.ConfigFile()
	require.NoError(s.t, err)
	file.OS, file.Architecture, file.Variant, file.OSVersion = p.OS, p.Architecture, p.Variant, p.OSVersion
	file.Config.Env = []string{"BASE=" + p.String()}
	img, err = mutate.ConfigFile(img, file)
	require.NoError(s.t, err)
	if mediaType == types.OCIImageIndex {
		img = mutate.ConfigMediaType(mutate.MediaType(img, types.OCIManifestSchema1), types.OCIConfigJSON)
	}
	return img
}

// requirement returns the requirement of an image of the registry for platforms.
func (s *testRegistry) requirement(image string, platforms ...string) lock.Requirement {
	w := lock.Requirement{Name: "example", Base: config.Base{Image: s.host + "/" + image}}
	for _, p := range platforms {
		parsed, err := arch.Parse(p)
		require.NoError(s.t, err)
		w.Platforms = append(w.Platforms, parsed)
	}
	return w
}

// lock resolves an image of the registry for platforms.
func (s *testRegistry) lock(image string, platforms ...string) *lock.Image {
	locked, err := pull.Resolve(s.t.Context(), client, s.requirement(image, platforms...))
	require.NoError(s.t, err)
	return locked
}

func newPuller(t *testing.T) (*pull.Puller, *cache.Store) {
	t.Helper()
	store, err := cache.Open(t.TempDir())
	require.NoError(t, err)
	return pull.NewPuller(client, store), store
}

func platforms(t *testing.T, names ...string) []v1.Platform {
	t.Helper()
	var all []v1.Platform
	for _, name := range names {
		p, err := v1.ParsePlatform(name)
		require.NoError(t, err)
		all = append(all, *p)
	}
	return all
}
