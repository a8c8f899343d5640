package push_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/content/contenttest"
	"github.com/multiarch-build/multiarch/tools/publish/internal/faulty"
	"github.com/multiarch-build/multiarch/tools/publish/push"
)

// meanwhile calls do before the response to the first request whose name has the prefix.
func meanwhile(name string, do func()) func(faulty.Request) faulty.Fault {
	var first sync.Once
	return func(r faulty.Request) faulty.Fault {
		if strings.HasPrefix(r.Name, name) {
			first.Do(do)
		}
		return nil
	}
}

// others returns an empty index of another process.
func others(t testing.TB, by string) content.Image {
	t.Helper()
	index := mutate.Annotations(contenttest.NewIndex(t), map[string]string{"by": by}).(v1.ImageIndex)
	return content.Image{Name: by, Index: index}
}

// TestRollbackRestoresTagsMovedMeanwhile moves tags in another release while ours uploads. The rollback restores the
// digests of the other release, not those from before.
func TestRollbackRestoresTagsMovedMeanwhile(t *testing.T) {
	r := newRelease(t)
	other := others(t, "another release")
	a, _, targets := r.start(t)
	between := meanwhile("PUT /v2/py-app/manifests/sha256:", func() {
		a.put(t, "hello", "latest", other)
		a.put(t, "hello", "v1", other)
	})
	a.Choose(func(r faulty.Request) faulty.Fault {
		if r.Name == "PUT /v2/job/manifests/latest" {
			return faulty.Status(http.StatusBadRequest)
		}
		return between(r)
	})
	_, err := publish(t, oneAttempt, targets...)
	require.ErrorContains(t, err, "moving the tag "+a.host+"/job:latest")
	assert.Equal(t, contenttest.DigestOf(t, other.Index), a.digest(t, "hello:latest"))
	assert.Equal(t, contenttest.DigestOf(t, other.Index), a.digest(t, "hello:v1"), "it did not exist when ours began")
	assert.Zero(t, a.count("DELETE /v2/hello/manifests/v1"))
}

func TestRollbackAfterATagWasDeleted(t *testing.T) {
	r := newRelease(t)
	l, targets := r.pushed(t)
	l.Choose(meanwhile("PUT /v2/job/manifests/sha256:", func() { l.put(t, "hello", "latest", r.older) }))
	_, err := publish(t, quick, targets...)
	require.NoError(t, err)
	after, _ := r.state(t, l)
	assert.Equal(t, tagsEach, after, "hello:latest was right when ours began, and is so again")
}

// TestPushDetectsARemovedManifest uses a registry that deletes untagged manifests, such as those of a failed push.
func TestPushDetectsARemovedManifest(t *testing.T) {
	r := newRelease(t)
	l := newLoopback(t, nil)
	targets := r.targets(l)
	l.Choose(faulty.Every("PUT /v2/hello/manifests/latest", faulty.Status(http.StatusBadRequest)))
	_, err := publish(t, quick, targets[0])
	require.Error(t, err)
	child := contenttest.DigestOf(t, contenttest.ChildOf(t, r.images[0], contenttest.ARM64))
	l.Choose(meanwhile("PUT /v2/job/manifests/sha256:", func() {
		gone := httptest.NewRecorder()
		l.inside.ServeHTTP(gone, httptest.NewRequestWithContext(t.Context(), http.MethodDelete,
			"/v2/hello/manifests/"+child.String(), nil))
		require.Equal(t, http.StatusAccepted, gone.Code)
	}))
	_, err = publish(t, quick, targets...)
	require.ErrorContains(t, err, "hello, linux/arm64: reading back "+l.host+"/hello@"+child.String())
	var partial *push.Error
	require.ErrorAs(t, err, &partial)
	assert.Empty(t, partial.Moved)
	_, err = publish(t, quick, targets...)
	require.NoError(t, err)
}

func TestPushExpectsADigest(t *testing.T) {
	first, second, joined := others(t, "first"), others(t, "second"), contenttest.Service(t, "hello", nil,
		contenttest.AMD64, contenttest.ARM64)
	l := newLoopback(t, nil)
	goal := target(l, joined, "latest", "v1")
	goal.Expect = contenttest.DigestOf(t, first.Index)

	l.put(t, "hello", "latest", first)
	l.Choose(meanwhile("PUT /v2/hello/manifests/sha256:", func() { l.put(t, "hello", "latest", second) }))
	_, err := publish(t, quick, goal)
	var changed *push.ChangedError
	require.ErrorAs(t, err, &changed)
	require.ErrorContains(t, err, "hello: "+l.host+"/hello:latest was changed by another process: expected "+
		contenttest.DigestOf(t, first.Index).String()+", found "+contenttest.DigestOf(t, second.Index).String())
	assert.Equal(t, contenttest.DigestOf(t, second.Index), l.digest(t, "hello:latest"))
	assert.Equal(t, v1.Hash{}, l.digest(t, "hello:v1"))

	l.put(t, "hello", "latest", first)
	_, err = publish(t, quick, goal)
	require.NoError(t, err)
	_, err = publish(t, quick, goal)
	require.NoError(t, err, "it has got there already")
}

func TestErrorListsTagsUpToDate(t *testing.T) {
	r := newRelease(t)
	l, targets := r.pushed(t)
	l.Choose(faulty.Every("POST /v2/job/blobs/uploads/", faulty.Status(http.StatusBadRequest)))
	_, err := publish(t, quick, targets...)
	var partial *push.Error
	require.ErrorAs(t, err, &partial)
	assert.Empty(t, partial.Moved)
	assert.Len(t, partial.UpToDate, 3)
	assert.Len(t, partial.Unmoved, 4)
	assert.ErrorContains(t, err, "tags already up to date: "+l.host+"/hello:latest, ")
}

// An index that was made for a missing tag does not replace a tag that exists by now.
func TestPushExpectsNoTag(t *testing.T) {
	first, joined := others(t, "first"), contenttest.Service(t, "hello", nil, contenttest.AMD64, contenttest.ARM64)
	l := newLoopback(t, nil)
	goal := target(l, joined, "latest")
	goal.ExpectMissing = true
	l.Choose(meanwhile("PUT /v2/hello/manifests/sha256:", func() { l.put(t, "hello", "latest", first) }))
	_, err := publish(t, quick, goal)
	var changed *push.ChangedError
	require.ErrorAs(t, err, &changed)
	require.ErrorContains(t, err, "expected no tag, found "+contenttest.DigestOf(t, first.Index).String())
	assert.Equal(t, contenttest.DigestOf(t, first.Index), l.digest(t, "hello:latest"))
	goal.ExpectMissing = false
	_, err = publish(t, quick, goal)
	require.NoError(t, err)
}

// Entries that the repository has are neither opened nor uploaded.
func TestPresentEntriesAreNotOpened(t *testing.T) {
	hello := contenttest.Service(t, "hello", []v1.Layer{contenttest.NewLayer(t, "base", 1000)}, contenttest.AMD64,
		contenttest.ARM64)
	l := newLoopback(t, nil)
	_, err := publish(t, quick, target(l, hello, "latest"))
	require.NoError(t, err)
	goal := target(l, contenttest.Service(t, "hello", nil, contenttest.AMD64, contenttest.ARM64), "next")
	present := contenttest.ChildOf(t, contenttest.Service(t, "hello", nil, contenttest.AMD64, contenttest.ARM64),
		contenttest.ARM64)
	goal.Present = map[string]bool{contenttest.DigestOf(t, present).String(): true}
	_, err = publish(t, quick, goal)
	var status *push.Error
	require.True(t, err == nil || errors.As(err, &status), "the registry says what is not there")
	assert.Zero(t, l.count("HEAD /v2/hello/manifests/"+contenttest.DigestOf(t, present).String()))
	assert.Zero(t, l.count("PUT /v2/hello/manifests/"+contenttest.DigestOf(t, present).String()))
	assert.NotZero(t, l.count("PUT /v2/hello/manifests/"))
}
