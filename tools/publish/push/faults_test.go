package push_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/content/contenttest"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/publish/internal/faulty"
	"github.com/multiarch-build/multiarch/tools/publish/push"
)

// faults are the ways in which a request can fail.
var faults = map[string]faulty.Fault{
	"429":           faulty.Status(http.StatusTooManyRequests),
	"429 after 0s":  faulty.Status(http.StatusTooManyRequests, "Retry-After", "0"),
	"429 after 1s":  faulty.Status(http.StatusTooManyRequests, "Retry-After", "1"), // cut short by quick
	"500":           faulty.Status(http.StatusInternalServerError),
	"503":           faulty.Status(http.StatusServiceUnavailable, "Retry-After", "0"),
	"reset":         faulty.Reset,
	"answer lost":   faulty.Lost,
	"answer cut up": faulty.Truncated,
}

// twoPlatforms returns the image that these tests push, and the older index that its tag has before.
func twoPlatforms(t testing.TB) (hello, older content.Image) {
	base := contenttest.NewLayer(t, "base", 40_000)
	return contenttest.Service(t, "hello", []v1.Layer{base}, contenttest.AMD64, contenttest.ARM64), content.Image{
		Name:  "hello",
		Index: contenttest.NewIndex(t),
	}
}

// withOlder returns a registry with the older index as hello:latest.
func withOlder(t testing.TB, older content.Image) *loopback {
	t.Helper()
	l := newLoopback(t, nil)
	l.put(t, "hello", "latest", older)
	return l
}

// requireWhole checks that the registry has all manifests and blobs of an image. The registry checked the digests.
func requireWhole(t testing.TB, l *loopback, image content.Image) {
	t.Helper()
	require.Equal(t, contenttest.DigestOf(t, image.Index), l.digest(t, "hello:latest"))
	list, err := image.Index.IndexManifest()
	require.NoError(t, err)
	for _, d := range list.Manifests {
		require.Equal(t, d.Digest, l.digest(t, "hello:"+d.Digest.String()))
	}
	for _, b := range blobsOf(t, image) {
		size, err := l.Stat(t.Context(), "hello", b.Digest)
		require.NoError(t, err)
		require.Equal(t, b.Size, size)
	}
}

func TestPushSurvivesTransientFaults(t *testing.T) {
	hello, older := twoPlatforms(t)
	l := withOlder(t, older)
	_, err := publish(t, quick, target(l, hello, "latest"))
	require.NoError(t, err)
	requests := len(l.Requests())
	// A ping; five blobs; two manifests and the index, each checked, put and read back; the tag, checked twice, put and
	// read back.
	require.Equal(t, 1+5*4+3*3+4, requests)

	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := range requests {
				l := withOlder(t, older)
				l.Choose(faulty.Nth(n+1, fault))
				_, err := publish(t, quick, target(l, hello, "latest"))
				require.NoError(t, err, "request %d", n+1)
				requireWhole(t, l, hello)
			}
		})
	}
}

func TestErrorListsWhatTheRegistryHas(t *testing.T) {
	hello, older := twoPlatforms(t)
	l := withOlder(t, older)
	_, err := publish(t, quick, target(l, hello, "latest"))
	require.NoError(t, err)
	var names []string
	for _, r := range l.Requests() {
		names = append(names, r.Name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	index := contenttest.DigestOf(t, hello.Index)
	amd, arm := contenttest.DigestOf(t, contenttest.ChildOf(t, hello, contenttest.AMD64)),
		contenttest.DigestOf(t, contenttest.ChildOf(t, hello, contenttest.ARM64))

	// One request at a time: a push that fails does not wait for concurrent requests, and does not report their results.
	client := quick
	client.Jobs = 1
	for fault, f := range faults {
		for _, name := range names {
			t.Run(fault+" "+name, func(t *testing.T) {
				t.Parallel()
				l := withOlder(t, older)
				l.Choose(faulty.Every(name, f))
				_, err := publish(t, client, target(l, hello, "latest"))
				now := l.digest(t, "hello:latest")
				if err == nil {
					// The push recovered from the fault, or the registry processed the request anyway.
					requireWhole(t, l, hello)
					return
				}
				var partial *push.Error
				require.ErrorAs(t, err, &partial)
				tag := push.Artifact{Name: "hello", Reference: l.host + "/hello:latest", Digest: index}
				if now == index {
					assert.Equal(t, []push.Artifact{tag}, slices.Concat(partial.Moved, partial.Unknown), "it moved: %v", err)
				} else {
					assert.Equal(t, contenttest.DigestOf(t, older.Index), now)
					assert.Equal(t, []push.Artifact{tag}, slices.Concat(partial.Unmoved, partial.Unknown), "it did not move: %v", err)
				}
				if !strings.HasSuffix(name, "/manifests/latest") {
					assert.Empty(t, partial.Unknown, "no attempt was made to move it")
				}
				assert.Contains(t, err.Error(), tag.Reference)
				assert.NotEmpty(t, partial.Hint())
				for _, h := range []v1.Hash{amd, arm, index} {
					listed := slices.ContainsFunc(partial.Stored, func(p push.Artifact) bool {
						return p.Digest == h && p.Reference == l.host+"/hello@"+h.String()
					})
					there := l.digest(t, "hello:"+h.String()) == h
					if listed {
						assert.True(t, there, "%s is said to be stored", h)
						assert.Contains(t, err.Error(), h.String())
					}
					// The push cannot know what the registry stored without responding.
					if there && !listed {
						assert.Contains(t, name, h.Hex)
					}
				}
			})
		}
	}
}

func TestPushErrorMessage(t *testing.T) {
	hello, older := twoPlatforms(t)
	l := withOlder(t, older)
	goal := target(l, hello, "latest")
	goal.PerPlatform = []push.PlatformTag{{Platform: contenttest.ARM64, Reference: l.host + "/hello-arm64v8:v1"}}
	l.Choose(faulty.Every("PUT /v2/hello/manifests/latest", faulty.Status(http.StatusInternalServerError)))
	_, err := publish(t, quick, goal)
	amd, arm, index := contenttest.DigestOf(t, contenttest.ChildOf(t, hello, contenttest.AMD64)),
		contenttest.DigestOf(t, contenttest.ChildOf(t, hello, contenttest.ARM64)), contenttest.DigestOf(t, hello.Index)
	require.EqualError(t, err, strings.ReplaceAll(fmt.Sprintf("hello: moving the tag HOST/hello:latest: "+
		"PUT http://HOST/v2/hello/manifests/latest: "+
		"unexpected status code 500 Internal Server Error: Internal Server Error; "+
		"uploaded before that: HOST/hello (5 blobs of 49.2kB); "+
		"stored by digest: HOST/hello@%s, HOST/hello-arm64v8@%s, HOST/hello@%s, HOST/hello@%s; "+
		"tags not moved: HOST/hello:latest, HOST/hello-arm64v8:v1", amd, arm, arm, index), "HOST", l.host))
	var partial *push.Error
	require.ErrorAs(t, err, &partial)
	assert.Equal(t, "push again; what has been uploaded is not sent again", partial.Hint())
	assert.Zero(t, l.digest(t, "hello-arm64v8:v1"), "it was moved first, and has been deleted again")

	t.Run("an intermediate image fails first", func(t *testing.T) {
		l.Choose(faulty.Every("PUT /v2/hello-arm64v8/manifests/v2", faulty.Reset))
		goal.PerPlatform[0].Reference = l.host + "/hello-arm64v8:v2"
		_, err := publish(t, quick, goal)
		require.ErrorAs(t, err, &partial)
		assert.Empty(t, partial.Moved)
		assert.Len(t, partial.Unmoved, 2)
		assert.Equal(t, contenttest.DigestOf(t, older.Index), l.digest(t, "hello:latest"))
	})
	t.Run("in doubt", func(t *testing.T) {
		heads := 0
		l.Choose(func(r faulty.Request) faulty.Fault {
			switch {
			case r.Name == "PUT /v2/hello/manifests/latest":
				return faulty.Lost
			case r.Name == "HEAD /v2/hello/manifests/latest":
				if heads++; heads > 2 {
					return faulty.Reset
				}
			}
			return nil
		})
		goal.PerPlatform = nil
		_, err := publish(t, quick, goal)
		require.ErrorAs(t, err, &partial)
		assert.Len(t, partial.Unknown, 1)
		assert.ErrorContains(t, err, "tags in an unknown state: "+l.host+"/hello:latest")
	})
	t.Run("a layer that cannot be read", func(t *testing.T) {
		l.Choose(nil)
		before := l.digest(t, "hello:latest")
		broken := contenttest.NewLayer(t, "broken", 5000)
		broken.Read = func() io.ReadCloser { return io.NopCloser(iotest.ErrReader(errors.New("bad sector"))) }
		_, err := publish(t, registry.Client{},
			target(l, contenttest.Service(t, "hello", []v1.Layer{broken}, contenttest.AMD64), "latest"))
		require.ErrorContains(t, err, "hello, linux/amd64: layer 1: uploading to")
		require.ErrorContains(t, err, "bad sector")
		assert.EqualValues(t, 1, broken.Opened.Load(), "trying again would not help")
		assert.Equal(t, before, l.digest(t, "hello:latest"))
	})
}

func TestPushHonoursRetryAfter(t *testing.T) {
	hello, older := twoPlatforms(t)
	l := withOlder(t, older)
	l.Choose(faulty.Nth(5, faulty.Status(http.StatusTooManyRequests, "Retry-After", "1")))
	client := registry.Client{Backoff: registry.Backoff{First: time.Millisecond}}
	began := time.Now()
	_, err := publish(t, client, target(l, hello, "latest"))
	require.NoError(t, err)
	assert.GreaterOrEqual(t, time.Since(began), time.Second)
}
