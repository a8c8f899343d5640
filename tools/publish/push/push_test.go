package push_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/content/contenttest"
	"github.com/multiarch-build/multiarch/tools/oci/reference"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/publish/push"
)

func target(l *loopback, image content.Image, tags ...string) push.Target {
	return push.Target{Name: image.Name, Index: image.Index, Repository: l.host + "/" + image.Name, Tags: tags}
}

func publish(t testing.TB, client registry.Client, targets ...push.Target) ([]push.Artifact, error) {
	t.Helper()
	return push.Run(t.Context(), client, targets, nil)
}

func TestPush(t *testing.T) {
	l := newLoopback(t, nil)
	base := contenttest.NewLayer(t, "base", 300_000)
	hello := contenttest.Service(t, "hello", []v1.Layer{base}, contenttest.AMD64, contenttest.ARM64)
	py := contenttest.Service(t, "py-app", []v1.Layer{base}, contenttest.AMD64, contenttest.ARMv7)
	first := target(l, hello, "latest", "v1", "v1")
	first.PerPlatform = []push.PlatformTag{{Platform: contenttest.ARM64, Reference: l.host + "/hello-arm64v8:v1"}}
	second := target(l, py)

	type progress struct{ complete, total int64 }
	seen := map[string]progress{}
	pushed, err := push.Run(t.Context(), quick, []push.Target{first, second}, func(name string, complete, total int64) {
		seen[name] = progress{complete, total}
	})
	require.NoError(t, err)
	index, arm, other := contenttest.DigestOf(t, hello.Index),
		contenttest.DigestOf(t, contenttest.ChildOf(t, hello, contenttest.ARM64)), contenttest.DigestOf(t, py.Index)
	assert.Equal(t, []push.Artifact{
		{Name: "hello", Reference: l.host + "/hello:latest", Digest: index},
		{Name: "hello", Reference: l.host + "/hello:v1", Digest: index},
		{Name: "hello", Platform: contenttest.ARM64, Reference: l.host + "/hello-arm64v8:v1", Digest: arm},
		{Name: "py-app", Reference: l.host + "/py-app@" + other.String(), Digest: other},
	}, pushed)
	for _, reference := range []string{"hello:latest", "hello:v1", "py-app@" + other.String()} {
		require.NoError(t, validate.Index(l.index(t, reference)))
	}
	assert.Equal(t, arm, l.digest(t, "hello-arm64v8:v1"))
	assert.EqualValues(t, 1, base.Opened.Load(), "mounted, not sent again")
	// The repository of the arm64 image has the base, and the layer and config of that image.
	assert.ElementsMatch(t, []string{
		"py-app from hello", "hello-arm64v8 from hello", "hello-arm64v8 from hello", "hello-arm64v8 from hello",
	}, l.mounts)

	for name, p := range seen {
		assert.Positive(t, p.total, name)
		assert.Equal(t, p.total, p.complete, name)
	}
	assert.Equal(t, sizes(t, hello)+
		sizes(t, content.Image{Index: newIndexOf(t, contenttest.ChildOf(t, hello, contenttest.ARM64))}), seen["hello"].total)

	t.Run("again", func(t *testing.T) {
		before := len(l.Requests())
		again, err := publish(t, quick, first, second)
		require.NoError(t, err)
		assert.Equal(t, pushed, again)
		for _, r := range l.Requests()[before:] {
			assert.Regexp(t, "^(HEAD|GET) ", r.Name, "nothing is sent")
		}
		assert.EqualValues(t, 1, base.Opened.Load())
	})
	t.Run("tags come last", func(t *testing.T) {
		l := newLoopback(t, nil)
		first.Repository = l.host + "/hello"
		first.PerPlatform[0].Reference = l.host + "/hello-arm64v8:v1"
		_, err := publish(t, quick, first)
		require.NoError(t, err)
		var puts []string
		for _, r := range l.Requests() {
			if strings.HasPrefix(r.Name, "PUT ") {
				puts = append(puts, strings.TrimPrefix(r.Name, "PUT /v2/"))
			}
		}
		n := len(puts)
		// 5 blobs (without the mounted ones), 2 images, one of them in a second repository, the index, the tags.
		require.Len(t, puts, 5+3+1+1+2)
		for _, put := range puts[:5] {
			assert.Equal(t, "hello/blobs/uploads/", put)
		}
		for _, put := range puts[5:8] {
			assert.Contains(t, put, "/manifests/sha256:")
		}
		assert.Equal(t, "hello/manifests/"+index.String(), puts[n-4])
		assert.Equal(t, "hello-arm64v8/manifests/v1", puts[n-3])
		assert.ElementsMatch(t, []string{"hello/manifests/latest", "hello/manifests/v1"}, puts[n-2:])
	})
}

// sizes returns the total size of the different blobs of an image.
func sizes(t testing.TB, image content.Image) int64 {
	t.Helper()
	seen := map[v1.Hash]int64{}
	for _, b := range blobsOf(t, image) {
		seen[b.Digest] = b.Size
	}
	sum := int64(0)
	for _, size := range seen {
		sum += size
	}
	return sum
}

func newIndexOf(t testing.TB, add mutate.Appendable) v1.ImageIndex {
	t.Helper()
	return mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{Add: add})
}

func TestPushNestedIndex(t *testing.T) {
	l := newLoopback(t, nil)
	inner := contenttest.Service(t, "inner", nil, contenttest.AMD64, contenttest.ARM64)
	outer := content.Image{Name: "outer", Index: newIndexOf(t, inner.Index)}
	_, err := publish(t, quick, target(l, outer, "latest"))
	require.NoError(t, err)
	require.NoError(t, validate.Index(l.index(t, "outer:latest")))
}

// putBase writes the base image distroless:latest, which has one layer.
func (l *loopback) putBase(t testing.TB) (name.Tag, *contenttest.Layer) {
	t.Helper()
	base := contenttest.NewLayer(t, "base", 100_000)
	ref, err := name.NewTag(l.host + "/distroless:latest")
	require.NoError(t, err)
	require.NoError(t, remote.Write(ref, contenttest.NewImage(t, contenttest.AMD64, base),
		remote.WithContext(t.Context())))
	return ref, base
}

func TestPushMountsFromTheBase(t *testing.T) {
	l := newLoopback(t, nil)
	ref, base := l.putBase(t)
	require.EqualValues(t, 1, base.Opened.Load())
	pulled, err := remote.Image(ref, remote.WithContext(t.Context()))
	require.NoError(t, err)
	layers, err := pulled.Layers()
	require.NoError(t, err)

	_, err = publish(t, quick, target(l, contenttest.Service(t, "hello", layers, contenttest.AMD64), "latest"))
	require.NoError(t, err)
	assert.Equal(t, []string{"hello from distroless"}, l.mounts)
	get := "GET /v2/distroless/blobs/" + contenttest.DigestOf(t, base).String()
	assert.Zero(t, l.count(get), "it does not pass through this machine")

	t.Run("from another registry it is copied", func(t *testing.T) {
		elsewhere := newLoopback(t, nil)
		_, err := publish(t, quick, target(elsewhere, contenttest.Service(t, "hello", layers, contenttest.AMD64), "latest"))
		require.NoError(t, err)
		assert.Empty(t, elsewhere.mounts)
		assert.Equal(t, 1, l.count(get))
		require.NoError(t, validate.Index(elsewhere.index(t, "hello:latest")))
	})
}

// TestPushMountsFromSources mounts layers of a base that was not pulled, from the repositories in Target.Sources.
func TestPushMountsFromSources(t *testing.T) {
	l, elsewhere := newLoopback(t, nil), newLoopback(t, nil)
	ref, base := l.putBase(t)
	written := base.Opened.Load()
	sources := map[v1.Hash]name.Repository{contenttest.DigestOf(t, base): ref.Context()}
	hello := contenttest.Service(t, "hello", []v1.Layer{base}, contenttest.AMD64)

	here := target(l, hello, "latest")
	here.Sources = sources
	_, err := publish(t, quick, here)
	require.NoError(t, err)
	assert.Equal(t, []string{"hello from distroless"}, l.mounts)
	assert.Equal(t, written, base.Opened.Load(), "its bytes are not read")
	require.NoError(t, validate.Index(l.index(t, "hello:latest")))

	there := target(elsewhere, hello, "latest")
	there.Sources = sources
	_, err = publish(t, quick, there)
	require.NoError(t, err)
	assert.Empty(t, elsewhere.mounts, "it is another registry")
	assert.Equal(t, written+1, base.Opened.Load())
	require.NoError(t, validate.Index(elsewhere.index(t, "hello:latest")))

	// A blob that the source no longer has is uploaded.
	lost := contenttest.NewLayer(t, "lost", 5000)
	gone := target(l, contenttest.Service(t, "py-app", []v1.Layer{lost}, contenttest.AMD64), "latest")
	gone.Sources = map[v1.Hash]name.Repository{contenttest.DigestOf(t, lost): ref.Context()}
	_, err = publish(t, quick, gone)
	require.NoError(t, err)
	require.NoError(t, validate.Index(l.index(t, "py-app:latest")))
}

func TestPushChecksBeforeItSends(t *testing.T) {
	l := newLoopback(t, nil)
	hello, py := contenttest.Service(t, "hello", nil, contenttest.AMD64), contenttest.Service(t, "py-app", nil,
		contenttest.AMD64)
	with := func(change func(*push.Target)) []push.Target {
		bad := target(l, hello, "latest")
		change(&bad)
		return []push.Target{target(l, py, "v1"), bad}
	}
	for name, c := range map[string]struct {
		targets []push.Target
		want    string
	}{
		"tag with a space": {with(func(b *push.Target) { b.Tags = []string{"a b"} }), `hello: invalid tag "a b"`},
		"tag with a dash":  {with(func(b *push.Target) { b.Tags = []string{"-v1"} }), `hello: invalid tag "-v1"`},
		"empty tag":        {with(func(b *push.Target) { b.Tags = []string{""} }), `hello: invalid tag ""`},
		"long tag": {
			with(func(b *push.Target) { b.Tags = []string{strings.Repeat("x", 129)} }), "hello: invalid tag",
		},
		"repository":     {with(func(b *push.Target) { b.Repository = "UPPER" }), `hello: repository "UPPER"`},
		"repository:tag": {with(func(b *push.Target) { b.Repository += ":v1" }), "hello: repository"},
		"platform": {with(func(b *push.Target) {
			b.PerPlatform = []push.PlatformTag{{Platform: contenttest.ARM64, Reference: l.host + "/x:v1"}}
		}), "hello: no image for linux/arm64"},
		"reference": {with(func(b *push.Target) {
			b.PerPlatform = []push.PlatformTag{{Platform: contenttest.AMD64, Reference: "x:y:z"}}
		}), `hello, linux/amd64: reference "x:y:z"`},
		"digest": {with(func(b *push.Target) {
			b.PerPlatform = []push.PlatformTag{{
				Platform:  contenttest.AMD64,
				Reference: l.host + "/x@sha256:" + strings.Repeat("0", 64),
			}}
		}), "expected a tag, got a digest"},
		"two for one name": {with(func(b *push.Target) { b.Repository, b.Tags = l.host+"/py-app", []string{"v1"} }),
			"hello: " + l.host + "/py-app:v1 is also a tag of py-app"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := publish(t, quick, c.targets...)
			require.ErrorContains(t, err, c.want)
			assert.Empty(t, l.Requests())
		})
	}
	var tag *reference.TagError
	_, err := publish(t, quick, with(func(b *push.Target) { b.Tags = []string{"a b"} })...)
	require.ErrorAs(t, err, &tag)
	assert.Contains(t, tag.Hint(), "128")
}

func TestPushStopsPromptly(t *testing.T) {
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := newLoopback(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPatch {
				cancel()
				<-release
			}
			next.ServeHTTP(w, r)
		})
	})
	defer close(release)
	// A push that waits for the request would never end.
	_, err := push.Run(ctx, registry.Client{},
		[]push.Target{target(l, contenttest.Service(t, "hello", nil, contenttest.AMD64), "latest")}, nil)
	require.ErrorIs(t, err, context.Canceled)
	var partial *push.Error
	require.ErrorAs(t, err, &partial)
	assert.Len(t, partial.Unmoved, 1)
}

func TestPushWithoutDigestHeader(t *testing.T) {
	l := newLoopback(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(noDigest{w}, r)
		})
	})
	hello := contenttest.Service(t, "hello", nil, contenttest.AMD64)
	_, err := publish(t, quick, target(l, hello, "latest"))
	require.NoError(t, err)
	assert.Positive(t, l.count(fmt.Sprintf("GET /v2/hello/manifests/%s", contenttest.DigestOf(t, hello.Index))),
		"read back in full")
}

// noDigest removes the digest header from responses.
type noDigest struct{ http.ResponseWriter }

func (w noDigest) WriteHeader(code int) {
	w.Header().Del("Docker-Content-Digest")
	w.ResponseWriter.WriteHeader(code)
}
