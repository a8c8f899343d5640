package push_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/content/contenttest"
	"github.com/multiarch-build/multiarch/tools/oci/join"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/publish/internal/faulty"
	"github.com/multiarch-build/multiarch/tools/publish/push"
)

// TestJobsOfARegistry counts concurrent requests. Uploads block until the limit is reached.
func TestJobsOfARegistry(t *testing.T) {
	var most [3]atomic.Int32
	counting := func(n int, enough int32) func(http.Handler) http.Handler {
		var now atomic.Int32
		reached, reach := context.WithTimeout(t.Context(), time.Minute)
		t.Cleanup(reach)
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				together := now.Add(1)
				for old := most[n].Load(); together > old && !most[n].CompareAndSwap(old, together); old = most[n].Load() {
				}
				if together >= enough {
					reach()
				}
				if r.Method == http.MethodPost {
					<-reached.Done()
				}
				answer := httptest.NewRecorder()
				next.ServeHTTP(answer, r)
				now.Add(-1) // before the client knows that it is over
				maps.Copy(w.Header(), answer.Header())
				w.WriteHeader(answer.Code)
				_, _ = w.Write(answer.Body.Bytes())
			})
		}
	}
	r := newRelease(t)
	// Two large blobs in addition to the small ones.
	r.images = append(r.images, contenttest.Service(t, "large",
		[]v1.Layer{contenttest.NewLayer(t, "large", 5<<20), contenttest.NewLayer(t, "larger", 6<<20)}, contenttest.AMD64))
	one, few, many := newLoopback(t, counting(0, 1)), newLoopback(t, counting(1, 2)), newLoopback(t, counting(2, 3))
	client := quick
	client.Hosts = map[string]registry.Host{one.host: {Jobs: 1}, few.host: {Jobs: 2}, many.host: {Jobs: 6}}
	_, err := publish(t, client, slices.Concat(r.targets(one), r.targets(few), r.targets(many))...)
	require.NoError(t, err)
	assert.EqualValues(t, 1, most[0].Load())
	assert.EqualValues(t, 2, most[1].Load())
	assert.LessOrEqual(t, most[2].Load(), int32(6))
	assert.GreaterOrEqual(t, most[2].Load(), int32(3))
}

// TestJobsOfASource copies images between registries with one request at a time: from one to the other, within one that
// does not mount, and in both directions at once. There must be no deadlock.
func TestJobsOfASource(t *testing.T) {
	reading := func(now, most *atomic.Int32) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Has("mount") {
					r.URL.RawQuery = ""
				}
				if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
					n := now.Add(1)
					for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
					}
					time.Sleep(2 * time.Millisecond)
					now.Add(-1)
				}
				next.ServeHTTP(w, r)
			})
		}
	}
	var now, most [2]atomic.Int32
	a, b := newLoopback(t, reading(&now[0], &most[0])), newLoopback(t, reading(&now[1], &most[1]))
	client := quick
	client.Hosts, client.Limits = map[string]registry.Host{a.host: {Jobs: 1}, b.host: {Jobs: 1}}, &registry.Limits{}
	// existing is an image that another tool has pushed. It is much larger than the buffers.
	existing := func(l *loopback, seed string) content.Image {
		large := contenttest.NewLayer(t, seed, 5<<20)
		l.write(t, seed+":latest",
			contenttest.NewImage(t, contenttest.AMD64, large, contenttest.NewLayer(t, seed+"-small", 3000)), false)
		ref, err := client.Parse(l.host + "/" + seed + ":latest")
		require.NoError(t, err)
		pulled, err := remote.Image(ref, client.Options(t.Context())...)
		require.NoError(t, err)
		j, err := join.Join([]join.Source{{Name: seed, Image: pulled}}, join.Options{})
		require.NoError(t, err)
		return content.Image{Name: seed + "-copy", Index: j.Index}
	}
	here, there := existing(a, "here"), existing(b, "there")
	for name, targets := range map[string][]push.Target{
		"to another": {target(b, here, "latest")},
		"within one": {target(a, here, "latest")},
		"both ways":  {target(b, here, "v2"), target(a, there, "v2"), target(a, here, "v2"), target(b, there, "v2")},
		"all at once": {
			target(a, existing(a, "x"), "v3"), target(b, existing(a, "y"), "v3"), target(a, existing(b, "z"), "v3"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			_, err := push.Run(ctx, client, targets, nil)
			require.NoError(t, err)
			for _, goal := range targets {
				l := a
				if strings.HasPrefix(goal.Repository, b.host) {
					l = b
				}
				require.NoError(t, validate.Index(l.index(t, goal.Name+":"+goal.Tags[0])))
			}
		})
	}
	most[0].Store(0)
	client.Hosts = map[string]registry.Host{a.host: {Jobs: 1}} // and as many as it likes to the other one
	_, err := publish(t, client, target(b, existing(a, "p"), "v4"), target(b, existing(a, "q"), "v4"))
	require.NoError(t, err)
	assert.EqualValues(t, 1, most[0].Load())
}

func TestRegistryWithoutMounts(t *testing.T) {
	for name, refusal := range map[string]faulty.Fault{
		// The registry starts an upload instead, as the distribution spec requires.
		"202": nil,
		"404": faulty.Status(http.StatusNotFound),
		"405": faulty.Status(http.StatusMethodNotAllowed),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRelease(t)
			l := newLoopback(t, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					if query := req.URL.Query(); query.Has("mount") {
						if refusal != nil {
							refusal(w, req, next)
							return
						}
						req.URL.RawQuery = ""
					}
					next.ServeHTTP(w, req)
				})
			})
			_, err := publish(t, quick, r.targets(l)...)
			require.NoError(t, err)
			after, _ := r.state(t, l)
			assert.Equal(t, tagsEach, after)
			assert.Empty(t, l.mounts)
		})
	}
}

// TestLargeBlobsWithoutMounts uploads a blob to many repositories of a registry that does not mount. The limit for
// concurrent large blobs applies.
func TestLargeBlobsWithoutMounts(t *testing.T) {
	const size, services = 4 << 20, 16
	var sent, now, most atomic.Int32
	l := newLoopback(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Has("mount") {
				r.URL.RawQuery = ""
			}
			if r.Method == http.MethodPatch {
				content, err := io.ReadAll(r.Body)
				if err == nil && len(content) >= size {
					sent.Add(1)
					n := now.Add(1)
					defer now.Add(-1)
					for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
					}
					time.Sleep(50 * time.Millisecond)
				}
				r.Body = io.NopCloser(bytes.NewReader(content))
			}
			next.ServeHTTP(w, r)
		})
	})
	base := contenttest.NewLayer(t, "large", size)
	var targets []push.Target
	for n := range services {
		targets = append(targets,
			target(l, contenttest.Service(t, fmt.Sprint("service", n), []v1.Layer{base}, contenttest.AMD64), "latest"))
	}
	_, err := publish(t, quick, targets...)
	require.NoError(t, err)
	assert.EqualValues(t, services, sent.Load())
	assert.LessOrEqual(t, most.Load(), int32(8))
}

func TestPushRestartsForgottenUploads(t *testing.T) {
	for _, name := range []string{"PATCH", "PUT", "PATCH, without a code", "PUT, without a code"} {
		t.Run(name, func(t *testing.T) {
			method, _, plain := strings.Cut(name, ",")
			var mu sync.Mutex
			forgotten := map[string]bool{}
			r := newRelease(t)
			l := newLoopback(t, nil)
			l.Choose(func(request faulty.Request) faulty.Fault {
				if !strings.HasPrefix(request.Name, method+" ") || !strings.Contains(request.Name, "/blobs/uploads/") {
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				if forgotten[request.Name] {
					return nil
				}
				forgotten[request.Name] = true
				if plain {
					return faulty.Status(http.StatusNotFound)
				}
				return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(http.StatusNotFound)
					_, _ = w.Write(
						[]byte(`{"errors": [{"code": "BLOB_UPLOAD_UNKNOWN", "message": "blob upload unknown to registry"}]}`))
				}
			})
			_, err := publish(t, quick, r.targets(l)...)
			require.NoError(t, err)
			assert.NotEmpty(t, forgotten)
			after, _ := r.state(t, l)
			assert.Equal(t, tagsEach, after)
		})
	}
}

func TestUnreachableRegistry(t *testing.T) {
	r := newRelease(t)
	l := newLoopback(t, nil)
	targets := r.targets(l)
	far := targets[0]
	far.Repository, far.PerPlatform = "127.0.0.1:1/hello", nil
	_, err := publish(t, quick, append(targets, far)...)
	var partial *push.Error
	require.ErrorAs(t, err, &partial)
	assert.Contains(t, partial.Hint(), "is running and reachable")
	assert.Zero(t, l.count("POST "), "nothing is sent to the registry that is there")
}
