package publish_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/publish"
	"github.com/multiarch-build/multiarch/tools/publish/internal/faulty"
)

// release are three images for two registries: one of them in both, and each with two tags. In the first registry,
// hello:latest and hello:v1 stood for something else before.
type release struct {
	registries [2]*loopback
	targets    []publish.Target
	before     map[string]v1.Hash // what every tag stood for, by registry and reference
}

func newRelease(t testing.TB, images []publish.Image) *release {
	t.Helper()
	r := &release{registries: [2]*loopback{withOlder(t, publish.Image{Name: "hello", Index: newIndex(t)}), newLoopback(t, nil)}, before: map[string]v1.Hash{}}
	for i, to := range [][]*loopback{r.registries[:], {r.registries[0]}, {r.registries[1]}} {
		for _, l := range to {
			r.targets = append(r.targets, target(l, images[i], "latest", "v1"))
		}
	}
	r.before = r.tags(t)
	return r
}

// threeImages share their lowest layer.
func threeImages(t testing.TB) []publish.Image {
	t.Helper()
	base := newLayer(t, "base", 4_000)
	var images []publish.Image
	for _, name := range []string{"hello", "clock", "py-app"} {
		images = append(images, service(t, name, []v1.Layer{base}, amd64, arm64))
	}
	return images
}

// tags says what every tag stands for.
func (r *release) tags(t testing.TB) map[string]v1.Hash {
	t.Helper()
	now := map[string]v1.Hash{}
	for _, one := range r.targets {
		for _, tag := range one.Tags {
			l := r.registries[slices.IndexFunc(r.registries[:], func(l *loopback) bool { return strings.HasPrefix(one.Repository, l.host) })]
			now[one.Repository+":"+tag] = l.digest(t, one.Name+":"+tag)
		}
	}
	return now
}

// wanted is what every tag stands for once all have moved.
func (r *release) wanted(t testing.TB) map[string]v1.Hash {
	t.Helper()
	all := map[string]v1.Hash{}
	for _, one := range r.targets {
		for _, tag := range one.Tags {
			all[one.Repository+":"+tag] = digestOf(t, one.Index)
		}
	}
	return all
}

// TestEitherAllTagsMoveOrNone lets every single request of a release fail for good, in three ways. The registry comes
// back to life for the second attempt, which sends no blob again that was there.
func TestEitherAllTagsMoveOrNone(t *testing.T) {
	images := threeImages(t)
	dry := newRelease(t, images)
	_, err := push(t, quick, dry.targets...)
	require.NoError(t, err)
	require.Equal(t, dry.wanted(t), dry.tags(t))
	var moved, kept atomic.Int32
	t.Run("every request", func(t *testing.T) {
		for n, l := range dry.registries {
			var names []string
			for _, r := range l.Requests() {
				names = append(names, r.Name)
			}
			slices.Sort(names)
			names = slices.Compact(names)
			require.NotEmpty(t, names)
			for _, name := range names {
				for how, fault := range map[string]faulty.Fault{"500": faulty.Status(http.StatusInternalServerError), "reset": faulty.Reset, "answer lost": faulty.Lost} {
					t.Run(fmt.Sprintf("registry %d, %s, %s", n+1, name, how), func(t *testing.T) {
						t.Parallel()
						r := newRelease(t, images)
						r.registries[n].Choose(faulty.Every(name, fault))
						_, err := push(t, quick, r.targets...)
						if now := r.tags(t); err == nil {
							moved.Add(1)
							require.Equal(t, r.wanted(t), now)
						} else {
							kept.Add(1)
							require.Equal(t, r.before, now, "%v", err)
							var partly *publish.PushError
							require.ErrorAs(t, err, &partly)
							assert.Empty(t, partly.Moved, "%v", err)
						}
						r.registries[n].Choose(nil)
						r.completes(t)
					})
				}
			}
		}
	})
	assert.Positive(t, moved.Load())
	assert.Positive(t, kept.Load())
}

// completes pushes once more, and makes sure that no blob is sent that was there.
func (r *release) completes(t *testing.T) {
	t.Helper()
	var before [2]map[string]bool
	for i, l := range r.registries {
		before[i] = l.held()
		l.Forget()
	}
	_, err := push(t, quick, r.targets...)
	require.NoError(t, err)
	require.Equal(t, r.wanted(t), r.tags(t))
	for i, l := range r.registries {
		sent := 0
		for _, q := range l.Requests() {
			if strings.HasPrefix(q.Name, "PUT ") && strings.HasSuffix(q.Name, "/blobs/uploads/") {
				sent++
			}
		}
		assert.LessOrEqual(t, sent, len(l.held())-len(before[i]), "what is there is not sent again")
	}
}

// TestNothingIsAskedForTwice counts the requests of a release that changes nothing: one for each manifest, blob and tag.
func TestNothingIsAskedForTwice(t *testing.T) {
	r := newRelease(t, threeImages(t))
	_, err := push(t, quick, r.targets...)
	require.NoError(t, err)
	for _, l := range r.registries {
		l.Forget()
	}
	_, err = push(t, quick, r.targets...)
	require.NoError(t, err)
	for _, l := range r.registries {
		seen := map[string]int{}
		for _, q := range l.Requests() {
			if strings.HasPrefix(q.Name, "HEAD ") {
				seen[q.Name]++
			} else {
				assert.Equal(t, "GET /v2/", q.Name, "nothing is sent, and nothing is read")
			}
		}
		require.NotEmpty(t, seen)
		for name, times := range seen {
			assert.Equal(t, 1, times, name)
		}
	}
}

// A registry that deletes no tags keeps the new ones, and the error says which these are.
func TestTagsThatCannotBeGivenBack(t *testing.T) {
	hello, older := twoPlatforms(t)
	l := withOlder(t, older)
	raw, err := older.Index.RawManifest()
	require.NoError(t, err)
	for _, tag := range []string{"a", "z"} {
		put := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/v2/hello/manifests/"+tag, bytes.NewReader(raw))
		put.Header.Set("Content-Type", string(types.OCIImageIndex))
		l.inside.ServeHTTP(httptest.NewRecorder(), put)
	}
	one := quick
	one.Jobs = 1
	l.Choose(func(r faulty.Request) faulty.Fault {
		switch {
		case r.Name == "PUT /v2/hello/manifests/z", strings.HasPrefix(r.Name, "DELETE "):
			return faulty.Status(http.StatusMethodNotAllowed)
		}
		return nil
	})
	_, err = push(t, one, target(l, hello, "a", "new", "z"))
	var partly *publish.PushError
	require.ErrorAs(t, err, &partly)
	assert.Equal(t, digestOf(t, older.Index), l.digest(t, "hello:a"), "it was given back")
	assert.Equal(t, digestOf(t, hello.Index), l.digest(t, "hello:new"), "it could not be deleted")
	require.Len(t, partly.Moved, 1)
	assert.Equal(t, l.host+"/hello:new", partly.Moved[0].Reference)
	assert.Len(t, partly.Unmoved, 2)
}

// A registry that hides what a tag stands for, as from those who may only push, may have had something there: the tag is
// not deleted, and not said to be where it was.
func TestHiddenTagsAreNotDeleted(t *testing.T) {
	hello, older := twoPlatforms(t)
	l := withOlder(t, older)
	one := quick
	one.Jobs = 1
	l.Choose(func(r faulty.Request) faulty.Fault {
		switch r.Name {
		case "HEAD /v2/hello/manifests/latest":
			return faulty.Status(http.StatusForbidden)
		case "PUT /v2/hello/manifests/z":
			return faulty.Status(http.StatusMethodNotAllowed)
		}
		return nil
	})
	_, err := push(t, one, target(l, hello, "latest", "z"))
	var partly *publish.PushError
	require.ErrorAs(t, err, &partly)
	assert.Equal(t, digestOf(t, hello.Index), l.digest(t, "hello:latest"))
	require.Len(t, partly.Moved, 1, "%v", err)
	assert.Equal(t, l.host+"/hello:latest", partly.Moved[0].Reference)
	assert.Len(t, partly.Unmoved, 1)
}
