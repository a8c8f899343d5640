package push_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/content/contenttest"
	"github.com/multiarch-build/multiarch/tools/publish/internal/faulty"
	"github.com/multiarch-build/multiarch/tools/publish/push"
)

func TestImmutableTags(t *testing.T) {
	r := newRelease(t)
	a, b, targets := r.start(t)
	for i := range targets {
		targets[i].Immutable = []string{"v*", "lat*"}
	}
	_, err := publish(t, quick, targets...)
	var refused *push.ImmutableError
	require.ErrorAs(t, err, &refused)
	assert.Len(t, refused.Tags, 6, "all that exist")
	want := r.latest(t, a)
	want.Immutable = true
	assert.Equal(t, want, refused.Tags[0])
	assert.ErrorContains(t, err, "hello: the tag "+a.host+"/hello:latest is immutable and points to "+
		contenttest.DigestOf(t, r.older.Index).String())
	var partial *push.Error
	require.ErrorAs(t, err, &partial)
	assert.Contains(t, partial.Hint(), "another tag")
	requireReadOnly(t, a, b)
	preview, err := push.NewPreview(t.Context(), quick, targets)
	require.NoError(t, err)
	require.ErrorAs(t, preview.Err(), &refused)

	for i := range targets {
		targets[i].Immutable = []string{"v*"}
	}
	_, err = publish(t, quick, targets...)
	require.NoError(t, err, "v1 is new")
	_, err = publish(t, quick, targets...)
	require.NoError(t, err, "and stands for the same the second time")
	targets[0].Index = r.older.Index
	targets[0].PerPlatform = nil
	_, err = publish(t, quick, targets...)
	require.ErrorAs(t, err, &refused)
	assert.Len(t, refused.Tags, 1)
}

// If a registry hides whether an immutable tag exists, the tag is not moved.
func TestHiddenImmutableTag(t *testing.T) {
	hello, older := twoPlatforms(t)
	for name, hiddenFrom := range map[string]int{"right before it moves": 2, "from the beginning": 1} {
		for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
			t.Run(fmt.Sprint(name, ", ", status), func(t *testing.T) {
				l := newLoopback(t, nil)
				heads := 0
				l.Choose(func(r faulty.Request) faulty.Fault {
					if r.Name != "HEAD /v2/hello/manifests/v1" {
						return nil
					}
					if heads++; heads == 2 {
						l.put(t, "hello", "v1", older) // another process
					}
					if heads >= hiddenFrom {
						return faulty.Status(status)
					}
					return nil
				})
				goal := target(l, hello, "v1")
				goal.Immutable = []string{"v*"}
				_, err := publish(t, quick, goal)
				var unknown *push.HiddenError
				require.ErrorAs(t, err, &unknown)
				assert.ErrorContains(t, err, "moving the tag "+l.host+"/hello:v1: checking whether the immutable tag exists: ")
				assert.Equal(t, contenttest.DigestOf(t, older.Index), l.digest(t, "hello:v1"))
				assert.Zero(t, l.count("PUT /v2/hello/manifests/v1"))
			})
		}
	}
	// Some registries return this for a missing repository, which exists once the tag is to be moved.
	l := newLoopback(t, nil)
	heads := 0
	l.Choose(func(r faulty.Request) faulty.Fault {
		if r.Name == "HEAD /v2/hello/manifests/v1" {
			if heads++; heads == 1 {
				return faulty.Status(http.StatusUnauthorized)
			}
		}
		return nil
	})
	goal := target(l, hello, "v1")
	goal.Immutable = []string{"v*"}
	_, err := publish(t, quick, goal)
	require.NoError(t, err)
}

func TestPreview(t *testing.T) {
	r := newRelease(t)
	a, b, targets := r.start(t)
	for _, l := range []*loopback{a, b} {
		l.Choose(func(request faulty.Request) faulty.Fault {
			if !strings.HasPrefix(request.Name, "GET ") && !strings.HasPrefix(request.Name, "HEAD ") {
				return faulty.Status(http.StatusForbidden)
			}
			return nil
		})
	}
	preview, err := push.NewPreview(t.Context(), quick, targets)
	require.NoError(t, err)
	requireReadOnly(t, a, b)
	for _, l := range []*loopback{a, b} {
		l.Choose(nil)
		l.Forget()
	}
	require.NoError(t, preview.Err())
	require.Len(t, preview.Tags, 2*tagsEach)
	assert.Equal(t, r.latest(t, a), preview.Tags[0])
	assert.Zero(t, preview.Tags[1].Before, "v1 is new")

	// The push does what the preview shows.
	_, err = publish(t, quick, targets...)
	require.NoError(t, err)
	uploads, mounts, manifests := a.count("PATCH ")+b.count("PATCH "), len(a.mounts)+len(b.mounts), 0
	for _, l := range []*loopback{a, b} {
		manifests += l.count("PUT /v2/") - l.count("PATCH ") - tagsEach
	}
	assert.Len(t, preview.Uploads, uploads)
	assert.Len(t, preview.Mounts, mounts)
	assert.Len(t, preview.Manifests, manifests)
	bytes := int64(0)
	for _, u := range preview.Uploads {
		bytes += u.Size
	}
	sent := int64(0)
	for _, l := range []*loopback{a, b} {
		unique := map[v1.Hash]int64{}
		for _, blobs := range l.blobs {
			for h, content := range blobs {
				unique[h] = int64(len(content))
			}
		}
		for _, size := range unique {
			sent += size
		}
	}
	assert.Equal(t, sent, bytes, "each blob once a registry")

	again, err := push.NewPreview(t.Context(), quick, targets)
	require.NoError(t, err)
	assert.Empty(t, again.Uploads)
	assert.Empty(t, again.Mounts)
	assert.Empty(t, again.Manifests)
	for _, tag := range again.Tags {
		assert.Equal(t, tag.Digest, tag.Before)
	}
}

// TestPreviewAgreesWithPush has a base in some of the repositories of a registry, in which no manifest refers to it,
// because the released images are older.
func TestPreviewAgreesWithPush(t *testing.T) {
	base := contenttest.NewLayer(t, "base", 300_000)
	hello := contenttest.Service(t, "hello", []v1.Layer{base}, contenttest.AMD64)
	into := func(l *loopback, repositories ...string) (targets []push.Target) {
		for _, r := range repositories {
			goal := target(l, hello, "v2")
			goal.Repository = l.host + "/" + r
			targets = append(targets, goal)
		}
		return targets
	}
	for name, c := range map[string]struct {
		holders         []string
		uploads, mounts int // of base, own layer and config in three repositories
	}{
		"none":         {nil, 3, 6},
		"the first":    {[]string{"a"}, 2, 6},
		"the second":   {[]string{"b"}, 2, 6},
		"the last two": {[]string{"b", "c"}, 2, 5},
		"all":          {[]string{"a", "b", "c"}, 2, 4},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoopback(t, nil)
			for _, r := range c.holders {
				older := target(l, contenttest.Service(t, "older", []v1.Layer{base}, contenttest.ARM64), "v1")
				older.Repository = l.host + "/" + r
				_, err := publish(t, quick, older)
				require.NoError(t, err)
			}
			l.mounts = nil
			targets := into(l, "a", "b", "c")
			preview, err := push.NewPreview(t.Context(), quick, targets)
			require.NoError(t, err)
			assert.Len(t, preview.Uploads, c.uploads)
			assert.Len(t, preview.Mounts, c.mounts)
			var mounts []string
			for _, m := range preview.Mounts {
				mounts = append(mounts, strings.ReplaceAll(m.Repository+" from "+m.From, l.host+"/", ""))
			}

			l.Forget()
			opened := base.Opened.Load()
			_, err = publish(t, quick, targets...)
			require.NoError(t, err)
			assert.Equal(t, c.uploads, l.count("PATCH "))
			assert.ElementsMatch(t, mounts, l.mounts)
			if c.holders != nil {
				assert.Equal(t, opened, base.Opened.Load(), "it is not sent again")
			}
			// Each blob is checked once per repository, and once more if another repository got it in the meantime.
			assert.Equal(t, 9+2*c.uploads, l.count("HEAD /v2/a/blobs/")+l.count("HEAD /v2/b/blobs/")+
				l.count("HEAD /v2/c/blobs/"))
		})
	}
}
