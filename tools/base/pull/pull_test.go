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
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/base/pull"
	"github.com/multiarch-build/multiarch/tools/build/cache"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// shelf is a registry that notes what it is asked for, and can be made to answer something else.
type shelf struct {
	t     *testing.T
	host  string
	mu    sync.Mutex
	gets  []string // blobs
	spoil func(w http.ResponseWriter, r *http.Request) bool
}

func newShelf(t *testing.T) *shelf {
	s := &shelf{t: t}
	inner := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/sha256:") {
			s.mu.Lock()
			s.gets = append(s.gets, r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]+r.Header.Get("Range"))
			s.mu.Unlock()
			if s.spoil != nil && s.spoil(w, r) {
				return
			}
			// The registry itself knows only ranges with an end.
			whole, plain := httptest.NewRecorder(), r.Clone(r.Context())
			plain.Header.Del("Range")
			inner.ServeHTTP(whole, plain)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(whole.Body.Bytes()))
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.host = strings.TrimPrefix(server.URL, "http://")
	return s
}

func (s *shelf) ref(repo string) name.Reference {
	r, err := name.ParseReference(s.host + "/" + repo)
	require.NoError(s.t, err)
	return r
}

// put stores an index of images that say their platforms, with an attestation behind each as buildx adds it.
func (s *shelf) put(repo string, mediaType types.MediaType, platforms ...v1.Platform) v1.ImageIndex {
	index := mutate.IndexMediaType(empty.Index, mediaType)
	for _, p := range platforms {
		img := s.image(mediaType, p)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &p}})
		digest, err := img.Digest()
		require.NoError(s.t, err)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: s.image(mediaType, v1.Platform{OS: "unknown", Architecture: "unknown"}), Descriptor: v1.Descriptor{
			Platform:    &v1.Platform{OS: "unknown", Architecture: "unknown"},
			Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest.String()},
		}})
	}
	require.NoError(s.t, remote.WriteIndex(s.ref(repo), index))
	return index
}

func (s *shelf) image(mediaType types.MediaType, p v1.Platform) v1.Image {
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

func want(t *testing.T, image string, platforms ...string) lock.Requirement {
	t.Helper()
	w := lock.Requirement{Name: "under", Base: config.Base{Image: image}}
	for _, p := range platforms {
		parsed, err := arch.Parse(p)
		require.NoError(t, err)
		w.Platforms = append(w.Platforms, parsed)
	}
	return w
}

var quick = registry.Client{Backoff: registry.Backoff{First: time.Millisecond, Most: time.Millisecond}}

func platforms(t *testing.T, words ...string) []v1.Platform {
	t.Helper()
	var all []v1.Platform
	for _, w := range words {
		p, err := v1.ParsePlatform(w)
		require.NoError(t, err)
		all = append(all, *p)
	}
	return all
}

var eight = []string{"linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "linux/386", "linux/ppc64le", "linux/s390x", "linux/riscv64"}

func TestEightPlatforms(t *testing.T) {
	for name, mediaType := range map[string]types.MediaType{"oci": types.OCIImageIndex, "docker": types.DockerManifestList} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t)
			words := append([]string{}, eight...)
			words[1] = "linux/arm64/v8" // as docker's own images have it
			index := s.put("base:tag", mediaType, platforms(t, words...)...)
			w := want(t, s.host+"/base:tag", eight...)
			locked, err := pull.Resolve(t.Context(), quick, w)
			require.NoError(t, err)
			digest, err := index.Digest()
			require.NoError(t, err)
			assert.Equal(t, s.host+"/base:tag@"+digest.String(), locked.Reference)
			assert.Len(t, locked.Platforms, 8)
			assert.Empty(t, (&lock.File{Bases: map[string]lock.Base{"under": {Image: locked}}}).Stale([]lock.Requirement{w}))

			store, err := cache.Open(t.TempDir())
			require.NoError(t, err)
			puller := pull.NewPuller(quick, store)
			var all []*pull.Image
			for _, p := range w.Platforms {
				img, err := puller.Open(t.Context(), "under", locked.Reference, locked.Platforms[p.String()])
				require.NoError(t, err)
				assert.Equal(t, p.Architecture, img.Config.Architecture)
				all = append(all, img)
			}
			assert.Len(t, s.gets, 8, "configs are read, and no layer")
			require.NoError(t, puller.Fetch(t.Context(), all))
			assert.Len(t, s.gets, 8+16)
			for _, img := range all {
				for _, l := range img.Layers {
					assert.Equal(t, types.OCILayer, l.MediaType)
					r, err := l.Blob()
					require.NoError(t, err)
					h, _, err := v1.SHA256(r)
					require.NoError(t, err)
					assert.Equal(t, l.Digest, h)
				}
			}
			assert.Len(t, s.gets, 8+16, "what is in the cache is not asked for again")

			p := w.Platforms[0]
			ours, err := image.New(p, image.Settings{}, all[0].Config, all[0].Layers, nil)
			require.NoError(t, err)
			mt, err := ours.MediaType()
			require.NoError(t, err)
			assert.Equal(t, types.OCIManifestSchema1, mt)
		})
	}
}

func TestWhatIsRefused(t *testing.T) {
	s := newShelf(t)
	s.put("base:tag", types.OCIImageIndex, platforms(t, "linux/amd64", "linux/arm", "linux/arm64", "linux/arm64/v8", "linux/s390x")...)
	for name, c := range map[string]struct {
		image     string
		platforms []string
		own       map[string]string
		message   string
		hint      string
	}{
		"all that are missing":        {"base:tag", []string{"linux/amd64", "linux/ppc64le", "linux/riscv64"}, nil, "base under: " + s.host + "/base:tag has no linux/ppc64le, linux/riscv64", "it has: linux/amd64, linux/arm, linux/arm64, linux/arm64/v8, linux/s390x"},
		"a bare arm is not v7":        {"base:tag", []string{"linux/arm/v7"}, nil, "has no linux/arm/v7", "platforms: {linux/arm/v7: ...}"},
		"an own word that is not":     {"base:tag", []string{"linux/arm/v7"}, map[string]string{"linux/arm/v7": "linux/arm/v7"}, "has no linux/arm/v7", ""},
		"two that are the same":       {"base:tag", []string{"linux/arm64"}, nil, "has several images for linux/arm64: linux/arm64 sha256:", "platforms:"},
		"a tag that is not there":     {"base:other", []string{"linux/amd64"}, nil, "base under: reading " + s.host + "/base:other", "check the name"},
		"a registry that is not here": {"", []string{"linux/amd64"}, nil, "base under: ", "check the host and port of 127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			ref := s.host + "/" + c.image
			if c.image == "" {
				ref = "127.0.0.1:1/base:tag"
			}
			w := want(t, ref, c.platforms...)
			for p, own := range c.own {
				parsed, err := arch.Parse(p)
				require.NoError(t, err)
				w.Base.Platforms = map[arch.Platform]config.Text{parsed: config.Text(own)}
			}
			_, err := pull.Resolve(t.Context(), quick, w)
			var unavailable *pull.UnavailableError
			require.ErrorAs(t, err, &unavailable)
			assert.ErrorContains(t, err, c.message)
			assert.Contains(t, unavailable.Hint(), c.hint)
		})
	}
}

func TestOwnWords(t *testing.T) {
	s := newShelf(t)
	index := s.put("base:tag", types.OCIImageIndex, platforms(t, "linux/arm", "linux/arm64", "linux/arm64/v8")...)
	list, err := index.IndexManifest()
	require.NoError(t, err)
	w := want(t, s.host+"/base:tag", "linux/arm/v7", "linux/arm64")
	w.Base.Platforms = map[arch.Platform]config.Text{w.Platforms[0]: "linux/arm", w.Platforms[1]: "linux/arm64/v8"}
	locked, err := pull.Resolve(t.Context(), quick, w)
	require.NoError(t, err)
	assert.Equal(t, list.Manifests[0].Digest, locked.Platforms["linux/arm/v7"].Manifest.Digest)
	assert.Equal(t, list.Manifests[4].Digest, locked.Platforms["linux/arm64"].Manifest.Digest)
	assert.Equal(t, "linux/arm", locked.Platforms["linux/arm/v7"].Platform)
}

func TestSingleImages(t *testing.T) {
	s := newShelf(t)
	require.NoError(t, remote.Write(s.ref("one:tag"), s.image(types.DockerManifestList, v1.Platform{OS: "linux", Architecture: "s390x"})))
	locked, err := pull.Resolve(t.Context(), quick, want(t, s.host+"/one:tag", "linux/s390x"))
	require.NoError(t, err)
	assert.Equal(t, types.DockerManifestSchema2, locked.MediaType)
	_, err = pull.Resolve(t.Context(), quick, want(t, s.host+"/one:tag", "linux/amd64"))
	assert.ErrorContains(t, err, "has no linux/amd64")
}

func TestWindowsSaysItsVersion(t *testing.T) {
	s := newShelf(t)
	s.put("nano:tag", types.DockerManifestList, v1.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.20348.1", OSFeatures: []string{"win32k"}})
	locked, err := pull.Resolve(t.Context(), quick, want(t, s.host+"/nano:tag", "windows/amd64"))
	require.NoError(t, err)
	store, err := cache.Open(t.TempDir())
	require.NoError(t, err)
	img, err := pull.NewPuller(quick, store).Open(t.Context(), "nano", locked.Reference, locked.Platforms["windows/amd64"])
	require.NoError(t, err)
	assert.Equal(t, "10.0.20348.1", img.Config.OSVersion)
	assert.Equal(t, []string{"win32k"}, img.Config.OSFeatures)
}

// TestFaults: whatever a registry sends, nothing but the bytes of the lock comes out of it.
func TestFaults(t *testing.T) {
	cut := true
	for name, c := range map[string]struct {
		spoil   func(w http.ResponseWriter, r *http.Request) bool
		message string // "" where it goes well
		hint    string
	}{
		"something else": {func(w http.ResponseWriter, r *http.Request) bool {
			_, _ = io.WriteString(w, strings.Repeat("x", 5000))
			return true
		}, "unexpected content: ", "lock --update under"},
		"an endless body": {func(w http.ResponseWriter, r *http.Request) bool {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					break
				}
			}
			return true
		}, "there is more content", "lock --update under"},
		"gone": {func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(http.StatusNotFound)
			return true
		}, "404", "lock --update under"},
		"out of order": {func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}, "503", "run it again"},
		"forbidden": {func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(http.StatusForbidden)
			return true
		}, "403", "as a user with permission to read"},
		"a connection that breaks once": {func(w http.ResponseWriter, r *http.Request) bool {
			if !cut {
				return false
			}
			cut = false
			w.Header().Set("Content-Length", "400")
			_, _ = w.Write([]byte(`{"arch`))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t)
			s.put("base:tag", types.OCIImageIndex, platforms(t, "linux/amd64")...)
			locked, err := pull.Resolve(t.Context(), quick, want(t, s.host+"/base:tag", "linux/amd64"))
			require.NoError(t, err)
			s.spoil = c.spoil
			store, err := cache.Open(t.TempDir())
			require.NoError(t, err)
			img, err := pull.NewPuller(quick, store).Open(t.Context(), "under", locked.Reference, locked.Platforms["linux/amd64"])
			if c.message == "" {
				require.NoError(t, err)
				assert.Equal(t, "amd64", img.Config.Architecture)
				require.Len(t, s.gets, 2)
				assert.Contains(t, s.gets[1], "bytes=6-", "continued, not begun again")
				return
			}
			assert.ErrorContains(t, err, c.message)
			var unavailable *pull.UnavailableError
			require.ErrorAs(t, err, &unavailable)
			assert.Contains(t, unavailable.Hint(), c.hint)
			assert.False(t, store.Has(locked.Platforms["linux/amd64"].Config.Digest, locked.Platforms["linux/amd64"].Config.Size))
		})
	}
}
