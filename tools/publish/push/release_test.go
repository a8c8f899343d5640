package push_test

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/content/contenttest"
	"github.com/multiarch-build/multiarch/tools/publish/internal/faulty"
	"github.com/multiarch-build/multiarch/tools/publish/push"
)

// release has three images for two registries, with existing tags, new tags, and tags of single platforms.
type release struct {
	images []content.Image
	older  content.Image
}

func newRelease(t testing.TB) release {
	base := contenttest.NewLayer(t, "base", 10_000)
	return release{
		images: []content.Image{
			contenttest.Service(t, "hello", []v1.Layer{base}, contenttest.AMD64, contenttest.ARM64),
			contenttest.Service(t, "py-app", []v1.Layer{base}, contenttest.AMD64, contenttest.ARMv7),
			contenttest.Service(t, "job", nil, contenttest.ARM64),
		},
		older: content.Image{Name: "older", Index: contenttest.NewIndex(t)},
	}
}

// start starts the registries. Each has an older index as the tag latest of every image.
func (r release) start(t testing.TB) (a, b *loopback, targets []push.Target) {
	t.Helper()
	a, b = newLoopback(t, nil), newLoopback(t, nil)
	for _, l := range []*loopback{a, b} {
		for _, image := range r.images {
			l.put(t, image.Name, "latest", r.older)
		}
		targets = append(targets, r.targets(l)...)
	}
	return a, b, targets
}

// latest returns the change of hello:latest in a registry.
func (r release) latest(t testing.TB, l *loopback) push.TagChange {
	t.Helper()
	return push.TagChange{
		Artifact: push.Artifact{
			Name:      "hello",
			Reference: l.host + "/hello:latest",
			Digest:    contenttest.DigestOf(t, r.images[0].Index),
		},
		Before: contenttest.DigestOf(t, r.older.Index),
	}
}

// pushed returns the targets in a registry to which the first image has been pushed.
func (r release) pushed(t testing.TB) (*loopback, []push.Target) {
	t.Helper()
	l := newLoopback(t, nil)
	targets := r.targets(l)
	_, err := publish(t, quick, targets[0])
	require.NoError(t, err)
	return l, targets
}

func (r release) targets(l *loopback) []push.Target {
	var targets []push.Target
	for _, image := range r.images {
		targets = append(targets, target(l, image, "latest", "v1"))
	}
	targets[0].PerPlatform = []push.PlatformTag{{Platform: contenttest.ARM64, Reference: l.host + "/hello-arm64v8:v1"}}
	return targets
}

// state counts the tags of a registry that have the new digests, and those that have the old ones.
func (r release) state(t testing.TB, l *loopback) (after, before int) {
	t.Helper()
	count := func(reference string, now, then v1.Hash) {
		switch l.digest(t, reference) {
		case now:
			after++
		case then:
			before++
		default:
			assert.Fail(t, "a tag has neither digest", reference)
		}
	}
	for _, image := range r.images {
		count(image.Name+":latest", contenttest.DigestOf(t, image.Index), contenttest.DigestOf(t, r.older.Index))
		count(image.Name+":v1", contenttest.DigestOf(t, image.Index), v1.Hash{})
	}
	count("hello-arm64v8:v1", contenttest.DigestOf(t, contenttest.ChildOf(t, r.images[0], contenttest.ARM64)), v1.Hash{})
	return after, before
}

const tagsEach = 7 // of a release in each registry

// TestReleaseInterrupted stops a release at each of the requests that move tags.
func TestReleaseInterrupted(t *testing.T) {
	r := newRelease(t)
	for n := 1; n <= tagsEach; n++ {
		a, b, targets := r.start(t)
		ctx, cancel := context.WithCancel(t.Context())
		var puts atomic.Int32
		a.Choose(func(r faulty.Request) faulty.Fault {
			if strings.HasPrefix(r.Name, "PUT ") && isTag.MatchString(r.Name) && int(puts.Add(1)) == n {
				return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					cancel()
					faulty.Lost(w, r, next)
				}
			}
			return nil
		})
		_, err := push.Run(ctx, quick, targets, nil)
		require.ErrorIs(t, err, context.Canceled)
		a.Choose(nil)
		var partial *push.Error
		require.ErrorAs(t, err, &partial)
		require.Empty(t, partial.RollbackFailures)
		_, before := r.state(t, a)
		_, other := r.state(t, b)
		require.Equal(t, 2*tagsEach, before+other, "stopped at tag %d: %v", n, err)
	}
}

// TestErrorListsRollbackFailures makes a registry fail while tags move, so that they cannot be rolled back.
func TestErrorListsRollbackFailures(t *testing.T) {
	r := newRelease(t)
	for _, c := range []struct {
		name   string
		change func(puts *atomic.Int32) func(faulty.Request) faulty.Fault
		want   string
	}{
		{"the registry goes away", func(puts *atomic.Int32) func(faulty.Request) faulty.Fault {
			return func(r faulty.Request) faulty.Fault {
				if strings.HasPrefix(r.Name, "PUT ") && isTag.MatchString(r.Name) && puts.Add(1) > 3 || puts.Load() > 3 {
					return faulty.Status(http.StatusServiceUnavailable)
				}
				return nil
			}
		}, `could not be rolled back (it`},
		{"tags cannot be deleted", func(puts *atomic.Int32) func(faulty.Request) faulty.Fault {
			return func(r faulty.Request) faulty.Fault {
				if r.Name == "PUT /v2/job/manifests/latest" && puts.Add(1) > 0 {
					return faulty.Status(http.StatusInternalServerError)
				}
				if strings.HasPrefix(r.Name, "DELETE ") {
					return faulty.Status(http.StatusMethodNotAllowed)
				}
				return nil
			}
		}, `could not be rolled back (it did not exist before): deleting the new tag: `},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b, targets := r.start(t)
			var puts atomic.Int32
			a.Choose(c.change(&puts))
			_, err := publish(t, oneAttempt, targets...)
			a.Choose(nil)
			var partial *push.Error
			require.ErrorAs(t, err, &partial)
			require.NotEmpty(t, partial.RollbackFailures)
			after, _ := r.state(t, a)
			remaining := 0
			for _, s := range partial.RollbackFailures {
				require.ErrorContains(t, err, s.Reference+" "+c.want[:len("could not be rolled back (it")])
				if a.digest(t, strings.TrimPrefix(s.Reference, a.host+"/")) == s.Digest {
					remaining++
				}
			}
			assert.Equal(t, after, remaining, "the error lists every tag that still has the new digest")
			assert.Contains(t, err.Error(), c.want)
			after, before := r.state(t, b)
			if strings.HasPrefix(c.name, "tags") {
				assert.Len(t, partial.Moved, after+remaining)
			} else {
				assert.Zero(t, after, "the other registry is as it was")
				assert.Equal(t, tagsEach, before)
			}
			_, err = publish(t, quick, targets...)
			require.NoError(t, err)
		})
	}
}

// TestRollbackKeepsHiddenTags uses a registry that hides the digest of a tag, which may therefore exist.
func TestRollbackKeepsHiddenTags(t *testing.T) {
	r := newRelease(t)
	a, _, targets := r.start(t)
	a.put(t, "hello", "v1", r.older)
	var heads atomic.Int32
	a.Choose(func(r faulty.Request) faulty.Fault {
		switch {
		case r.Name == "HEAD /v2/hello/manifests/v1" && heads.Add(1) <= 2:
			return faulty.Status(http.StatusForbidden)
		case r.Name == "PUT /v2/job/manifests/latest":
			return faulty.Status(http.StatusBadRequest)
		}
		return nil
	})
	_, err := publish(t, oneAttempt, targets...)
	var partial *push.Error
	require.ErrorAs(t, err, &partial)
	require.Len(t, partial.RollbackFailures, 1)
	assert.Equal(t, a.host+"/hello:v1", partial.RollbackFailures[0].Reference)
	assert.ErrorContains(t, err, "the registry did not reveal its previous digest")
	assert.Zero(t, a.count("DELETE /v2/hello/manifests/v1"))
	assert.Equal(t, contenttest.DigestOf(t, r.images[0].Index), a.digest(t, "hello:v1"))
}

var isTag = regexp.MustCompile(`/manifests/[^s][^:]*$`)

// TestReleaseAgain counts the requests of a repeated release: none for blobs, and at most one per digest and tag.
func TestReleaseAgain(t *testing.T) {
	r := newRelease(t)
	a, b, targets := r.start(t)
	_, err := publish(t, quick, targets...)
	require.NoError(t, err)
	a.Forget()
	b.Forget()
	_, err = publish(t, quick, targets...)
	require.NoError(t, err)
	for _, l := range []*loopback{a, b} {
		asked := map[string]int{}
		digests := 0
		for _, request := range l.Requests() {
			if request.Name == "GET /v2/" {
				continue
			}
			assert.True(t, strings.HasPrefix(request.Name, "HEAD "), request.Name)
			assert.Contains(t, request.Name, "/manifests/")
			if strings.Contains(request.Name, "/manifests/sha256:") {
				digests++
			}
			asked[request.Name]++
		}
		for name, n := range asked {
			assert.Equal(t, 1, n, name)
		}
		assert.Equal(t, 5, digests, "one per child; that of an index is read by its tag")
		assert.Len(t, asked, 5+tagsEach)
	}
}

func TestReleaseResumes(t *testing.T) {
	r := newRelease(t)
	a, _, targets := r.start(t)
	gone := "PUT /v2/job/manifests/" + contenttest.DigestOf(t, r.images[2].Index).String()
	a.Choose(faulty.Every(gone, faulty.Status(http.StatusBadRequest)))
	_, err := publish(t, quick, targets...)
	var partial *push.Error
	require.ErrorAs(t, err, &partial)
	a.Choose(nil)
	a.Forget()
	_, err = publish(t, quick, targets...)
	require.NoError(t, err)
	assert.Zero(t, a.count("POST "), "every blob is there")
	assert.Zero(t, a.count("HEAD /v2/job/blobs/"), "and not asked for, since its manifest is there")
	assert.Equal(t, 1, a.count(gone))
}
