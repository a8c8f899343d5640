package publish_test

import (
	"net/http"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/publish"
	"github.com/multiarch-build/multiarch/tools/publish/internal/faulty"
)

func TestImmutableTags(t *testing.T) {
	r := newRelease(t)
	a, b, targets := r.start(t)
	for i := range targets {
		targets[i].Immutable = []string{"v*", "lat*"}
	}
	_, err := push(t, quick, targets...)
	var refused *publish.ImmutableError
	require.ErrorAs(t, err, &refused)
	assert.Len(t, refused.Tags, 6, "all that exist")
	assert.Equal(t, publish.TagChange{
		Pushed: publish.Pushed{Name: "hello", Reference: a.host + "/hello:latest", Digest: digestOf(t, r.images[0].Index)},
		Before: digestOf(t, r.older.Index), Immutable: true,
	}, refused.Tags[0])
	assert.ErrorContains(t, err, "hello: the tag "+a.host+"/hello:latest is immutable and stands for "+digestOf(t, r.older.Index).String())
	var partial *publish.PushError
	require.ErrorAs(t, err, &partial)
	assert.Contains(t, partial.Hint(), "another tag")
	for _, l := range []*loopback{a, b} {
		for _, request := range l.Requests() {
			assert.Regexp(t, "^(HEAD|GET) ", request.Name, "nothing is uploaded")
		}
	}
	preview, err := publish.NewPreview(t.Context(), quick, targets)
	require.NoError(t, err)
	require.ErrorAs(t, preview.Err(), &refused)

	for i := range targets {
		targets[i].Immutable = []string{"v*"}
	}
	_, err = push(t, quick, targets...)
	require.NoError(t, err, "v1 is new")
	_, err = push(t, quick, targets...)
	require.NoError(t, err, "and stands for the same the second time")
	targets[0].Index = r.older.Index
	targets[0].PerPlatform = nil
	_, err = push(t, quick, targets...)
	require.ErrorAs(t, err, &refused)
	assert.Len(t, refused.Tags, 1)
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
	preview, err := publish.NewPreview(t.Context(), quick, targets)
	require.NoError(t, err)
	for _, l := range []*loopback{a, b} {
		for _, request := range l.Requests() {
			assert.Regexp(t, "^(HEAD|GET) ", request.Name, "it only reads")
		}
		l.Choose(nil)
		l.Forget()
	}
	require.NoError(t, preview.Err())
	require.Len(t, preview.Tags, 2*tagsEach)
	assert.Equal(t, publish.TagChange{
		Pushed: publish.Pushed{Name: "hello", Reference: a.host + "/hello:latest", Digest: digestOf(t, r.images[0].Index)},
		Before: digestOf(t, r.older.Index),
	}, preview.Tags[0])
	assert.Zero(t, preview.Tags[1].Before, "v1 is new")

	// What it says is what happens.
	_, err = push(t, quick, targets...)
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

	again, err := publish.NewPreview(t.Context(), quick, targets)
	require.NoError(t, err)
	assert.Empty(t, again.Uploads)
	assert.Empty(t, again.Mounts)
	assert.Empty(t, again.Manifests)
	for _, tag := range again.Tags {
		assert.Equal(t, tag.Digest, tag.Before)
	}
}
