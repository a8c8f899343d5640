package push_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/internal/testmatrix"
	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/content/contenttest"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/oci/registry/registrytest"
	"github.com/multiarch-build/multiarch/tools/publish/internal/faulty"
	"github.com/multiarch-build/multiarch/tools/publish/push"
)

// TestPushDetectsAnotherRelease moves some tags of a release while the release moves the others.
func TestPushDetectsAnotherRelease(t *testing.T) {
	r := newRelease(t)
	other := others(t, "another release")
	a, b, targets := r.start(t)
	// Tags of indexes move in parallel, so the other release must move the tag after ours.
	moved := make(chan struct{})
	a.Choose(func(r faulty.Request) faulty.Fault {
		if r.Name == "PUT /v2/hello/manifests/latest" {
			return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				next.ServeHTTP(w, r)
				close(moved)
			}
		}
		return nil
	})
	b.Choose(meanwhile("PUT /v2/job/manifests/latest", func() {
		<-moved
		a.put(t, "hello", "latest", other)
	}))
	_, err := publish(t, quick, targets...)
	var overtaken *push.OverwrittenError
	require.ErrorAs(t, err, &overtaken)
	require.Len(t, overtaken.Tags, 1)
	assert.Equal(t, a.host+"/hello:latest", overtaken.Tags[0].Reference)
	assert.Equal(t, contenttest.DigestOf(t, other.Index), overtaken.Tags[0].Now)
	assert.True(t, overtaken.Mixed)
	assert.ErrorContains(t, err, "another release moved the same tags: "+a.host+"/hello:latest is now "+
		contenttest.DigestOf(t, other.Index).String())
	var partial *push.Error
	require.ErrorAs(t, err, &partial)
	assert.Len(t, partial.Overwritten, 1)
	assert.Len(t, partial.Moved, 2*tagsEach-1, "nothing is put back")
	assert.Contains(t, partial.Hint(), "belong to two releases")
	assert.Equal(t, contenttest.DigestOf(t, other.Index), a.digest(t, "hello:latest"), "what others have published stays")
}

// TestPushDetectsADeletedTag deletes a tag after it has moved.
func TestPushDetectsADeletedTag(t *testing.T) {
	l := newLoopback(t, nil)
	hello := contenttest.Service(t, "hello", nil, contenttest.AMD64)
	reads := 0
	l.Choose(func(r faulty.Request) faulty.Fault {
		if r.Name == "HEAD /v2/hello/manifests/latest" {
			if reads++; reads > 2 {
				return faulty.Status(http.StatusNotFound)
			}
		}
		return nil
	})
	_, err := publish(t, quick, target(l, hello, "latest"))
	var overtaken *push.OverwrittenError
	require.ErrorAs(t, err, &overtaken)
	assert.ErrorContains(t, err, "hello:latest no longer exists")
	assert.False(t, overtaken.Mixed)
}

// TestPushReadsTagsAgain uses a registry that returns new tags only after a delay.
func TestPushReadsTagsAgain(t *testing.T) {
	hello, older := twoPlatforms(t)
	l := withOlder(t, older)
	reads := 0
	l.Choose(func(r faulty.Request) faulty.Fault {
		if r.Name != "HEAD /v2/hello/manifests/latest" {
			return nil
		}
		if reads++; reads != 3 {
			return nil
		}
		return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Docker-Content-Digest", contenttest.DigestOf(t, older.Index).String())
			w.Header().Set("Content-Type", string(types.OCIImageIndex))
			w.Header().Set("Content-Length", "10")
		}
	})
	_, err := publish(t, quick, target(l, hello, "latest"))
	require.NoError(t, err)
	assert.Equal(t, 4, reads)
}

// TestConcurrentReleases runs eight releases of the same tags at the same time. Each tag is complete in the end. If the
// tags are those of several releases, one of them has returned an error.
func TestConcurrentReleases(t *testing.T) {
	const releases = 8
	rounds := 3
	if testmatrix.Full() {
		rounds = 12
	}
	var versions [releases][]content.Image
	for n := range versions {
		for _, name := range []string{"api", "worker", "job"} {
			layer := contenttest.NewLayer(t, fmt.Sprint(name, n), 2000)
			versions[n] = append(versions[n], content.Image{
				Name: name,
				Index: contenttest.NewIndex(t, contenttest.Child{Platform: contenttest.AMD64, Layers: []v1.Layer{layer}},
					contenttest.Child{Platform: contenttest.ARM64, Layers: []v1.Layer{layer}}),
			})
		}
	}
	for _, kind := range registrytest.Kinds() {
		t.Run(kind, func(t *testing.T) {
			server := registrytest.Start(t, kind)
			var succeeded, overtaken, otherwise, mixed int
			for round := range rounds {
				failed := make([]error, releases)
				var group sync.WaitGroup
				for n := range releases {
					group.Go(func() {
						time.Sleep(rand.N(20 * time.Millisecond))
						var targets []push.Target
						for _, image := range versions[n] {
							targets = append(targets, push.Target{
								Name:       image.Name,
								Index:      image.Index,
								Repository: fmt.Sprintf("%s/r%d/%s", server.Host, round, image.Name),
								Tags:       []string{"latest", "v1"},
							})
						}
						_, failed[n] = publish(t, registry.Client{Jobs: 4, Backoff: registry.Backoff{First: 20 * time.Millisecond}},
							targets...)
					})
				}
				group.Wait()
				spoke := false
				for _, err := range failed {
					var late *push.OverwrittenError
					switch {
					case err == nil:
						succeeded++
					case errors.As(err, &late):
						overtaken++
						spoke = true
					default:
						otherwise++
						spoke = true
						t.Logf("%v", err)
					}
				}
				owners := map[int]bool{}
				for i, name := range []string{"api", "worker", "job"} {
					for _, tag := range []string{"latest", "v1"} {
						ref, err := registry.Client{}.Parse(fmt.Sprintf("%s/r%d/%s:%s", server.Host, round, name, tag))
						require.NoError(t, err)
						index, err := remote.Index(ref, remote.WithContext(t.Context()))
						require.NoError(t, err)
						require.NoError(t, validate.Index(index))
						owner := -1
						for n := range versions {
							if contenttest.DigestOf(t, versions[n][i].Index) == contenttest.DigestOf(t, index) {
								owner = n
							}
						}
						require.GreaterOrEqual(t, owner, 0)
						owners[owner] = true
					}
				}
				if len(owners) > 1 {
					mixed++
					assert.True(t, spoke, "round %d: the tags are of %d releases, and all say that they succeeded", round, len(owners))
				}
			}
			t.Logf("%d rounds of %d releases: %d succeeded, %d were overtaken, %d failed otherwise; "+
				"tags of several releases at the end: %d",
				rounds, releases, succeeded, overtaken, otherwise, mixed)
			assert.Positive(t, succeeded+overtaken)
			assert.Zero(t, otherwise)
		})
	}
}
