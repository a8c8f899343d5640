package push_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/content/contenttest"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/oci/registry/registrytest"
	"github.com/multiarch-build/multiarch/tools/publish/internal/faulty"
	"github.com/multiarch-build/multiarch/tools/publish/push"
)

// TestTagsKeepPlatforms moves tags with different contents to indexes with different platforms.
func TestTagsKeepPlatforms(t *testing.T) {
	s390x := arch.Platform{OS: "linux", Architecture: "s390x"}
	for name, c := range map[string]struct {
		had, get []arch.Platform
		lost     []arch.Platform
	}{
		"the same": {
			[]arch.Platform{contenttest.AMD64, contenttest.ARM64},
			[]arch.Platform{contenttest.AMD64, contenttest.ARM64},
			nil,
		},
		"more": {
			[]arch.Platform{contenttest.AMD64},
			[]arch.Platform{contenttest.AMD64, contenttest.ARM64},
			nil,
		},
		"one of two": {
			[]arch.Platform{contenttest.AMD64, contenttest.ARM64},
			[]arch.Platform{contenttest.ARM64},
			[]arch.Platform{contenttest.AMD64},
		},
		"two of four": {
			[]arch.Platform{contenttest.AMD64, contenttest.ARM64, contenttest.ARMv7, s390x},
			[]arch.Platform{contenttest.AMD64, contenttest.ARMv7},
			[]arch.Platform{contenttest.ARM64, s390x},
		},
		"as many, but others": {
			[]arch.Platform{contenttest.AMD64, s390x},
			[]arch.Platform{contenttest.AMD64, contenttest.ARM64},
			[]arch.Platform{s390x},
		},
		"more, but others": {
			[]arch.Platform{s390x},
			[]arch.Platform{contenttest.AMD64, contenttest.ARM64},
			[]arch.Platform{s390x},
		},
		"a lower variant does": {
			[]arch.Platform{contenttest.ARMv7, contenttest.ARMv6},
			[]arch.Platform{contenttest.ARMv6},
			nil,
		},
		"a higher variant does not": {
			[]arch.Platform{contenttest.ARMv7, contenttest.ARMv6},
			[]arch.Platform{contenttest.ARMv7},
			[]arch.Platform{contenttest.ARMv6},
		},
		"there was none": {nil, []arch.Platform{contenttest.AMD64}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoopback(t, nil)
			if c.had != nil {
				_, err := publish(t, quick, target(l, contenttest.Service(t, "old", nil, c.had...), "x"))
				require.NoError(t, err)
				old := contenttest.Service(t, "old", nil, c.had...)
				old.Name = "hello"
				_, err = publish(t, quick, target(l, old, "latest", "v1"))
				require.NoError(t, err)
			}
			before := l.digest(t, "hello:latest")
			goal := target(l, contenttest.Service(t, "hello", nil, c.get...), "latest", "v1", "new")
			goal.KeepPlatforms = true
			l.Forget()
			_, err := publish(t, quick, goal)
			if c.lost == nil {
				require.NoError(t, err)
				return
			}
			var narrowed *push.LostPlatformsError
			require.ErrorAs(t, err, &narrowed)
			require.Len(t, narrowed.Tags, 2)
			assert.Equal(t, c.lost, narrowed.Tags[0].Lost)
			assert.ErrorContains(t, err, "hello: the tag "+l.host+"/hello:latest would lose "+push.PlatformNames(c.lost))
			assert.Contains(t, narrowed.Hint(), "index create "+l.host+"/hello:latest --append")
			assert.Equal(t, before, l.digest(t, "hello:latest"))
			assert.Zero(t, l.count("POST "), "nothing is sent")
			assert.Equal(t, 1, l.count("GET /v2/hello/manifests/"), "both tags are the same")

			preview, err := push.NewPreview(t.Context(), quick, []push.Target{goal})
			require.NoError(t, err)
			require.ErrorAs(t, preview.Err(), &narrowed)

			goal.KeepPlatforms = false
			_, err = publish(t, quick, goal)
			require.NoError(t, err)
		})
	}
}

// TestTagsOfSingleImagesKeepPlatforms moves tags of images that other tools pushed without an index.
func TestTagsOfSingleImagesKeepPlatforms(t *testing.T) {
	for name, c := range map[string]struct {
		had arch.Platform
		bad bool
	}{"the same": {contenttest.AMD64, false}, "another": {contenttest.ARMv7, true}} {
		t.Run(name, func(t *testing.T) {
			l := newLoopback(t, nil)
			l.write(t, "hello:latest", contenttest.NewImage(t, c.had, contenttest.NewLayer(t, "x", 100)), false)
			goal := target(l, contenttest.Service(t, "hello", nil, contenttest.AMD64, contenttest.ARM64), "latest")
			goal.KeepPlatforms = true
			_, err := publish(t, quick, goal)
			var narrowed *push.LostPlatformsError
			if c.bad {
				require.ErrorAs(t, err, &narrowed)
				assert.Equal(t, []arch.Platform{c.had}, narrowed.Tags[0].Lost)
				return
			}
			require.NoError(t, err)
		})
	}
}

// TestTagsKeepPlatformsAddedMeanwhile adds platforms to a tag during the upload.
func TestTagsKeepPlatformsAddedMeanwhile(t *testing.T) {
	l := newLoopback(t, nil)
	few := contenttest.Service(t, "hello", nil, contenttest.AMD64)
	many := contenttest.Service(t, "hello", nil, contenttest.AMD64, contenttest.ARM64)
	_, err := publish(t, quick, target(l, many, "many"))
	require.NoError(t, err)
	goal := target(l, contenttest.Service(t, "hello", []v1.Layer{contenttest.NewLayer(t, "new", 10)}, contenttest.AMD64),
		"latest")
	goal.KeepPlatforms = true
	_, err = publish(t, quick, target(l, few, "latest"))
	require.NoError(t, err)
	l.Choose(meanwhile("PUT /v2/hello/manifests/"+contenttest.DigestOf(t, goal.Index).String(), func() {
		l.put(t, "hello", "latest", many)
	}))
	_, err = publish(t, quick, goal)
	var narrowed *push.LostPlatformsError
	require.ErrorAs(t, err, &narrowed)
	assert.Equal(t, contenttest.DigestOf(t, many.Index), l.digest(t, "hello:latest"))
}

// TestUnreadableTags checks that tags, manifests and blobs that a registry cannot read after a crash do not stop a
// release. Immutable tags do.
func TestUnreadableTags(t *testing.T) {
	hello, older := twoPlatforms(t)
	for name, c := range map[string]struct {
		broken    func(name string) bool
		immutable bool
		fails     bool
	}{
		"the tag":            {func(name string) bool { return strings.HasSuffix(name, "/manifests/latest") }, false, false},
		"the tag, immutable": {func(name string) bool { return strings.HasSuffix(name, "/manifests/latest") }, true, true},
		"HEAD, and not GET":  {func(name string) bool { return name == "HEAD /v2/hello/manifests/latest" }, false, false},
		"manifests":          {func(name string) bool { return strings.Contains(name, "/manifests/sha256:") }, false, false},
		"blobs": {func(name string) bool {
			return strings.HasPrefix(name, "HEAD ") && strings.Contains(name, "/blobs/sha256:")
		}, false, false},
		"everything that is read": {func(name string) bool {
			return strings.HasPrefix(name, "HEAD ") || strings.Contains(name, "/manifests/")
		}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := withOlder(t, older)
			written := map[string]bool{}
			l.Choose(func(r faulty.Request) faulty.Fault {
				method, path, _ := strings.Cut(r.Name, " ")
				switch {
				case method == http.MethodPut || method == http.MethodPost || method == http.MethodPatch:
					written[path] = true // which repairs it
				case c.broken(r.Name) && !written[path]:
					return faulty.Status(http.StatusInternalServerError)
				}
				return nil
			})
			goal := target(l, hello, "latest")
			goal.KeepPlatforms = true
			if c.immutable {
				goal.Immutable = []string{"*"}
			}
			_, err := publish(t, quick, goal)
			if c.fails {
				var hidden *push.HiddenError
				require.ErrorAs(t, err, &hidden)
				assert.Equal(t, contenttest.DigestOf(t, older.Index), l.digest(t, "hello:latest"))
				return
			}
			require.NoError(t, err)
			requireWhole(t, l, hello)
		})
	}
}

// TestTagWithABrokenLink has a link file without a digest, as after a crash of distribution.
func TestTagWithABrokenLink(t *testing.T) {
	hello, older := contenttest.Service(t, "hello", nil, contenttest.AMD64, contenttest.ARM64),
		contenttest.Service(t, "older", nil, contenttest.AMD64, contenttest.ARM64)
	for _, kind := range registrytest.Kinds() {
		t.Run(kind, func(t *testing.T) {
			server := registrytest.Start(t, kind)
			if server.Dir == "" {
				t.Skip("it is in memory")
			}
			goal := func(image content.Image) push.Target {
				return push.Target{
					Name:          "hello",
					Index:         image.Index,
					Repository:    server.Host + "/team/hello",
					Tags:          []string{"latest", "v1"},
					KeepPlatforms: true,
				}
			}
			_, err := publish(t, quick, goal(older))
			require.NoError(t, err)
			link := filepath.Join(server.Dir, "docker/registry/v2/repositories/team/hello/_manifests/tags/latest/current/link")
			require.FileExists(t, link)
			require.NoError(t, os.Truncate(link, 0))
			immutable := goal(hello)
			immutable.Immutable = []string{"latest"}
			_, err = publish(t, quick, immutable)
			require.Error(t, err)
			_, err = publish(t, quick, goal(hello))
			require.NoError(t, err)
			ref, err := registry.Client{}.Parse(server.Host + "/team/hello:latest")
			require.NoError(t, err)
			index, err := remote.Index(ref, remote.WithContext(t.Context()))
			require.NoError(t, err)
			assert.Equal(t, contenttest.DigestOf(t, hello.Index), contenttest.DigestOf(t, index))
			require.NoError(t, validate.Index(index))
		})
	}
}

// TestForeignLayersAreNamedInTheHint has registries that refuse a manifest with a foreign layer for different reasons.
func TestForeignLayersAreNamedInTheHint(t *testing.T) {
	foreign, err := mutate.Append(contenttest.NewImage(t, contenttest.AMD64, contenttest.NewLayer(t, "x", 100)),
		mutate.Addendum{
			Layer: contenttest.NewLayer(t, "away", 100), MediaType: types.OCIUncompressedRestrictedLayer,
			URLs: []string{"https://example.com/layer"},
		})
	require.NoError(t, err)
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{
		Add: foreign, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}},
	})
	image := content.Image{Name: "hello", Index: index}
	l := newLoopback(t, nil)
	l.Choose(faulty.Every("PUT /v2/hello/manifests/"+contenttest.DigestOf(t, foreign).String(),
		faulty.Status(http.StatusBadRequest)))
	_, err = publish(t, quick, target(l, image, "latest"))
	var partial *push.Error
	require.ErrorAs(t, err, &partial)
	assert.Equal(t, registry.ForeignLayer, registry.Classify(err))
	assert.Contains(t, partial.Hint(), "foreign layers")
	assert.NotContains(t, partial.Hint(), "again")
}

// TestUnreadableTagIsNotDeleted rolls back a tag whose former digest is unknown.
func TestUnreadableTagIsNotDeleted(t *testing.T) {
	hello, older := twoPlatforms(t)
	l := withOlder(t, older)
	written := false
	l.Choose(func(r faulty.Request) faulty.Fault {
		switch {
		case r.Name == "PUT /v2/hello/manifests/latest":
			written = true
		case strings.HasSuffix(r.Name, "/manifests/latest") && !written:
			return faulty.Status(http.StatusInternalServerError)
		case r.Name == "PUT /v2/hello/manifests/v1":
			return faulty.Status(http.StatusForbidden)
		}
		return nil
	})
	client := quick
	client.Jobs = 1
	_, err := publish(t, client, target(l, hello, "latest", "v1"))
	var partial *push.Error
	require.ErrorAs(t, err, &partial)
	require.Len(t, partial.RollbackFailures, 1)
	assert.True(t, partial.RollbackFailures[0].Unreadable)
	assert.Zero(t, l.count("DELETE "))
}
