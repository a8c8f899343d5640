package publish_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/publish"
	"github.com/multiarch-build/multiarch/tools/publish/internal/faulty"
	"github.com/multiarch-build/multiarch/tools/registry"
)

// TestJobsOfARegistry counts the requests that are under way at once.
func TestJobsOfARegistry(t *testing.T) {
	counting := func(most *atomic.Int32) func(http.Handler) http.Handler {
		var now atomic.Int32
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				n := now.Add(1)
				defer now.Add(-1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				time.Sleep(2 * time.Millisecond)
				next.ServeHTTP(w, r)
			})
		}
	}
	r := newRelease(t)
	// Two large blobs beside the small ones.
	r.images = append(r.images, service(t, "large", []v1.Layer{newLayer(t, "large", 5<<20), newLayer(t, "larger", 6<<20)}, amd64))
	var most [3]atomic.Int32
	one, few, many := newLoopback(t, counting(&most[0])), newLoopback(t, counting(&most[1])), newLoopback(t, counting(&most[2]))
	client := quick
	client.Hosts = map[string]registry.Host{one.host: {Jobs: 1}, few.host: {Jobs: 2}, many.host: {Jobs: 6}}
	_, err := push(t, client, slices.Concat(r.targets(one), r.targets(few), r.targets(many))...)
	require.NoError(t, err)
	assert.EqualValues(t, 1, most[0].Load())
	assert.EqualValues(t, 2, most[1].Load())
	assert.LessOrEqual(t, most[2].Load(), int32(6))
	assert.Greater(t, most[2].Load(), int32(2))
}

func TestRegistryWithoutMounts(t *testing.T) {
	for name, refusal := range map[string]faulty.Fault{
		// It begins an upload instead, as the distribution spec has it.
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
			_, err := push(t, quick, r.targets(l)...)
			require.NoError(t, err)
			after, _ := r.state(t, l)
			assert.Equal(t, tagsEach, after)
			assert.Empty(t, l.mounts)
		})
	}
}

func TestForgottenUploads(t *testing.T) {
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
					_, _ = w.Write([]byte(`{"errors": [{"code": "BLOB_UPLOAD_UNKNOWN", "message": "blob upload unknown to registry"}]}`))
				}
			})
			_, err := push(t, quick, r.targets(l)...)
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
	_, err := push(t, quick, append(targets, far)...)
	var partial *publish.PushError
	require.ErrorAs(t, err, &partial)
	assert.Contains(t, partial.Hint(), "can be reached")
	assert.Zero(t, l.count("POST "), "nothing is sent to the registry that is there")
}
