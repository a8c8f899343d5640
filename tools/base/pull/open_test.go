package pull_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/base/pull"
	"github.com/multiarch-build/multiarch/tools/oci/image"
)

func TestOpenReadsBasesOfEightPlatforms(t *testing.T) {
	names := []string{
		"linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "linux/386",
		"linux/ppc64le", "linux/s390x", "linux/riscv64",
	}
	pushed := append([]string{}, names...)
	pushed[1] = "linux/arm64/v8" // the spelling of Docker's own images
	for name, mediaType := range map[string]types.MediaType{
		"oci": types.OCIImageIndex, "docker": types.DockerManifestList,
	} {
		t.Run(name, func(t *testing.T) {
			s := newRegistry(t)
			s.push("base:tag", mediaType, platforms(t, pushed...)...)
			w := s.requirement("base:tag", names...)
			locked := s.lock("base:tag", names...)
			require.Len(t, locked.Platforms, 8)

			puller, _ := newPuller(t)
			var all []*pull.Image
			for _, p := range w.Platforms {
				img, err := puller.Open(t.Context(), "example", locked.Reference, locked.Platforms[p.String()])
				require.NoError(t, err)
				assert.Equal(t, p.Architecture, img.Config.Architecture)
				all = append(all, img)
			}
			assert.Len(t, s.blobs, 8, "Open must read configs only")
			require.NoError(t, puller.Fetch(t.Context(), all))
			assert.Len(t, s.blobs, 8+16)
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
			assert.Len(t, s.blobs, 8+16, "cached blobs must not be requested again")

			ours, err := image.New(w.Platforms[0], image.Settings{}, all[0].Config, all[0].Layers, nil)
			require.NoError(t, err)
			mt, err := ours.MediaType()
			require.NoError(t, err)
			assert.Equal(t, types.OCIManifestSchema1, mt)
		})
	}
}

func TestOpenSetsWindowsVersion(t *testing.T) {
	s := newRegistry(t)
	s.push("nano:tag", types.DockerManifestList, v1.Platform{
		OS: "windows", Architecture: "amd64", OSVersion: "10.0.20348.1", OSFeatures: []string{"win32k"},
	})
	locked := s.lock("nano:tag", "windows/amd64")
	puller, _ := newPuller(t)
	img, err := puller.Open(t.Context(), "nano", locked.Reference, locked.Platforms["windows/amd64"])
	require.NoError(t, err)
	assert.Equal(t, "10.0.20348.1", img.Config.OSVersion)
	assert.Equal(t, []string{"win32k"}, img.Config.OSFeatures)
}

func status(code int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(code)
		return true
	}
}

func TestOpenRejectsOtherContentThanLocked(t *testing.T) {
	for name, c := range map[string]struct {
		intercept     func(w http.ResponseWriter, r *http.Request) bool
		message, hint string
	}{
		"other content": {func(w http.ResponseWriter, r *http.Request) bool {
			_, _ = io.WriteString(w, strings.Repeat("x", 5000))
			return true
		}, "unexpected content: ", "lock --update example"},
		"endless body": {func(w http.ResponseWriter, r *http.Request) bool {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					break
				}
			}
			return true
		}, "there is more content", "lock --update example"},
		"missing":     {status(http.StatusNotFound), "404", "lock --update example"},
		"unavailable": {status(http.StatusServiceUnavailable), "503", "run it again"},
		"forbidden":   {status(http.StatusForbidden), "403", "as a user with permission to read"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newRegistry(t)
			s.push("base:tag", types.OCIImageIndex, platforms(t, "linux/amd64")...)
			locked := s.lock("base:tag", "linux/amd64")
			child := locked.Platforms["linux/amd64"]
			s.intercept = c.intercept
			puller, store := newPuller(t)
			_, err := puller.Open(t.Context(), "example", locked.Reference, child)
			assert.ErrorContains(t, err, c.message)
			var unavailable *pull.UnavailableError
			require.ErrorAs(t, err, &unavailable)
			assert.Contains(t, unavailable.Hint(), c.hint)
			assert.False(t, store.Has(child.Config.Digest, child.Config.Size))
		})
	}
}

func TestOpenResumesAfterBrokenConnection(t *testing.T) {
	s := newRegistry(t)
	s.push("base:tag", types.OCIImageIndex, platforms(t, "linux/amd64")...)
	locked := s.lock("base:tag", "linux/amd64")
	broken := false
	s.intercept = func(w http.ResponseWriter, _ *http.Request) bool {
		if broken {
			return false
		}
		broken = true
		w.Header().Set("Content-Length", "400")
		_, _ = w.Write([]byte(`{"arch`))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	puller, _ := newPuller(t)
	img, err := puller.Open(t.Context(), "example", locked.Reference, locked.Platforms["linux/amd64"])
	require.NoError(t, err)
	assert.Equal(t, "amd64", img.Config.Architecture)
	require.Len(t, s.blobs, 2)
	assert.Contains(t, s.blobs[1], "bytes=6-")
}
