package push_test

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/internal/testmatrix"
	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/content/contenttest"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/publish/internal/faulty"
	"github.com/multiarch-build/multiarch/tools/publish/push"
)

// oneRequest identifies a request of a release by its registry, its name, and its number among requests of that name.
// The order of all requests would differ between runs, because many are concurrent.
type oneRequest struct {
	registry int
	name     string
	nth      int
}

// requestsOf returns the requests that the registries received.
func requestsOf(registries ...*loopback) (all []oneRequest) {
	for i, l := range registries {
		seen := map[string]int{}
		for _, r := range l.Requests() {
			seen[r.Name]++
			all = append(all, oneRequest{i, r.Name, seen[r.Name]})
		}
	}
	slices.SortFunc(all, func(a, b oneRequest) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return all
}

// extent is the kind of a failure.
type extent int

const (
	once   extent = iota // it alone
	always               // and all of its name from then on
	outage               // and all to its registry from then on
)

// fails returns the fault that makes the request fail, with the requests that depend on it.
func (o oneRequest) fails(e extent, fault faulty.Fault) func(faulty.Request) faulty.Fault {
	n := 0
	return func(r faulty.Request) faulty.Fault {
		own := r.Name == o.name
		if own {
			n++
		}
		if own && (n == o.nth || e == always && n > o.nth) || e == outage && n >= o.nth {
			return fault
		}
		return nil
	}
}

// TestReleaseIsAllOrNothing makes every single request of a release fail: once and permanently, with a connection that
// breaks before and after the registry has processed the request, and with a login that expires at the request.
func TestReleaseIsAllOrNothing(t *testing.T) {
	// Small images are enough for every kind of request in every repository of both registries.
	base := contenttest.NewLayer(t, "base", 1000)
	r := newRelease(t)
	r.images = []content.Image{
		contenttest.Service(t, "hello", []v1.Layer{base}, contenttest.AMD64, contenttest.ARM64),
		{
			Name:  "py-app",
			Index: contenttest.NewIndex(t, contenttest.Child{Platform: contenttest.AMD64, Layers: []v1.Layer{base}}),
		},
		{Name: "job", Index: contenttest.NewIndex(t, contenttest.Child{Platform: contenttest.ARM64, Layers: nil})},
	}
	a, b, targets := r.start(t)
	_, err := publish(t, quick, targets...)
	require.NoError(t, err)
	requests := requestsOf(a, b)
	half := len(requestsOf(a))
	require.Equal(t, len(requests), 2*half)
	require.Greater(t, half, 60)
	again, other, targets := r.start(t)
	_, err = publish(t, quick, targets...)
	require.NoError(t, err)
	require.Equal(t, requests, requestsOf(again, other), "they are the same in every run")

	if raced() {
		// With the race detector, which is slow, one request of each kind is enough.
		requests = slices.DeleteFunc(requests, func(o oneRequest) bool { return o.nth%3 != 1 || o.registry == 1 })
	} else if !testmatrix.Full() {
		n := 0
		requests = slices.DeleteFunc(requests, func(oneRequest) bool { n++; return n%4 != 0 })
	}
	impatient := registry.Client{Jobs: 4, Backoff: registry.Backoff{Attempts: 1}}
	patient := registry.Client{
		Jobs:    4,
		Backoff: registry.Backoff{Attempts: 2, First: time.Millisecond, Most: time.Millisecond},
	}
	for name, c := range map[string]struct {
		client registry.Client
		extent extent
		fault  faulty.Fault
	}{
		"500, for good":      {patient, always, faulty.Status(http.StatusInternalServerError)},
		"connection cut":     {impatient, once, faulty.Reset},
		"answer lost":        {impatient, once, faulty.Lost},
		"403, for good":      {patient, always, faulty.Status(http.StatusForbidden)},
		"401, login expired": {patient, outage, faulty.Status(http.StatusUnauthorized)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failures := 0
			for _, one := range requests {
				t.Run(fmt.Sprint(one), func(t *testing.T) {
					if !r.survives(t, one, c.client, one.fails(c.extent, c.fault), c.extent == outage) {
						failures++
					}
				})
			}
			t.Logf("%d requests made to fail, %d of which the release needs", len(requests), failures)
			assert.Greater(t, failures, len(requests)/4, "many requests are needed")
		})
	}
}

// survives runs a release while requests to the registry of one fail, and checks the result. It reports whether the
// release succeeded.
func (r release) survives(t *testing.T, one oneRequest, client registry.Client, pick func(faulty.Request) faulty.Fault,
	gone bool) bool {
	a, b, targets := r.start(t)
	wrong, sound := a, b
	if one.registry == 1 {
		wrong, sound = b, a
	}
	hit := false
	wrong.Choose(func(r faulty.Request) faulty.Fault {
		fault := pick(r)
		hit = hit || fault != nil
		return fault
	})
	_, err := publish(t, client, targets...)
	wrong.Choose(nil)
	require.True(t, hit, "it came")
	after, before := r.state(t, wrong)
	afterSound, beforeSound := r.state(t, sound)
	if err == nil {
		require.Equal(t, 2*tagsEach, after+afterSound, "all tags moved")
		return true
	}
	var unconfirmed *push.ReadBackError
	if errors.As(err, &unconfirmed) {
		require.Equal(t, 2*tagsEach, after+afterSound, "all tags moved: %v", err)
		return false
	}
	var partial *push.Error
	require.ErrorAs(t, err, &partial)
	require.Equal(t, tagsEach, beforeSound, "no tag moved in the other registry: %v", err)
	if !gone {
		require.Equal(t, tagsEach, before, "no tag moved: %v", err)
	}
	// Without a login, tags cannot be rolled back; the error lists them.
	require.Len(t, partial.RollbackFailures, after, "%v", err)
	for _, s := range partial.RollbackFailures {
		require.Equal(t, s.Digest, wrong.digest(t, strings.TrimPrefix(s.Reference, wrong.host+"/")))
	}
	require.Len(t, partial.Unmoved, before+beforeSound, "%v", err)

	client.Backoff = quick.Backoff
	_, err = publish(t, client, targets...)
	require.NoError(t, err, "the rerun completes")
	for _, l := range []*loopback{a, b} {
		after, _ := r.state(t, l)
		require.Equal(t, tagsEach, after)
	}
	return false
}

// raced reports whether the race detector is enabled.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
