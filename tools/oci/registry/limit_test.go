package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// busy is a handler that records the number of concurrent requests. A request counts until the last
// byte of its response.
type busy struct {
	next      http.Handler
	now, most atomic.Int32
	enough    int32
	reached   context.Context // nil, or requests wait until there are enough of them
	reach     context.CancelFunc
}

// gather makes requests wait until so many of them are in progress, or for a minute if there are never enough.
func (b *busy) gather(t *testing.T, enough int32) {
	b.enough = enough
	b.reached, b.reach = context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(b.reach)
}

func (b *busy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := b.now.Add(1)
	for old := b.most.Load(); n > old && !b.most.CompareAndSwap(old, n); old = b.most.Load() {
	}
	if b.reached != nil {
		if n >= b.enough {
			b.reach()
		}
		<-b.reached.Done()
	}
	answer := httptest.NewRecorder()
	b.next.ServeHTTP(answer, r)
	time.Sleep(2 * time.Millisecond)
	header := w.Header()
	for name, values := range answer.Header() {
		header[name] = values
	}
	body := answer.Body.Bytes()
	if len(body) == 0 {
		b.now.Add(-1)
		w.WriteHeader(answer.Code)
		return
	}
	header.Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(answer.Code)
	_, _ = w.Write(body[:len(body)-1])
	_ = http.NewResponseController(w).Flush()
	time.Sleep(2 * time.Millisecond)
	b.now.Add(-1)
	_, _ = w.Write(body[len(body)-1:])
}

// TestLimits pulls images, each with its own options, like index create and the bases of a build.
func TestLimits(t *testing.T) {
	img, err := random.Image(5000, 4)
	require.NoError(t, err)
	layers, err := img.Layers()
	require.NoError(t, err)
	for jobs, most := range map[int]int32{1: 1, 2: 2} {
		t.Run(fmt.Sprint(jobs), func(t *testing.T) {
			counting := &busy{next: registry.New("")}
			server := httptest.NewServer(counting)
			defer server.Close()
			host := server.Listener.Addr().String()
			ref, err := quick.Parse(host + "/hello:latest")
			require.NoError(t, err)
			require.NoError(t, remote.Write(ref, img, quick.Options(t.Context())...))
			counting.most.Store(0)

			client := quick
			client.Hosts, client.Limits = map[string]registry.Host{host: {Jobs: jobs}}, &registry.Limits{}
			var group errgroup.Group
			for _, l := range layers {
				digest, err := l.Digest()
				require.NoError(t, err)
				group.Go(func() error {
					layer, err := remote.Layer(ref.Context().Digest(digest.String()), client.Options(t.Context())...)
					if err != nil {
						return err
					}
					content, err := layer.Compressed()
					if err != nil {
						return err
					}
					_, err = io.Copy(io.Discard, content)
					return errors.Join(err, content.Close())
				})
				group.Go(func() error {
					blobs, err := client.Blobs(t.Context(), ref.Context())
					if err != nil {
						return err
					}
					content, _, err := blobs.Open(t.Context(), digest.String(), 0)
					if err != nil {
						return err
					}
					_, err = io.Copy(io.Discard, content)
					return errors.Join(err, content.Close())
				})
			}
			require.NoError(t, group.Wait())
			// Logins may overlap with blob downloads, because they do not read blobs.
			assert.LessOrEqual(t, counting.most.Load(), 2*most)
			counting.most.Store(0)
			counting.gather(t, most)
			for range 8 {
				group.Go(func() error {
					_, err := head(t.Context(), t, client, host)
					return err
				})
			}
			require.NoError(t, group.Wait())
			assert.Equal(t, most, counting.most.Load())
		})
	}
}

// While a blob is being read, other requests continue, because the reader may depend on them. Another blob waits.
func TestLimitOfReading(t *testing.T) {
	host, requests := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			_, _ = w.Write(make([]byte, 1<<20))
			return
		}
		found(w, r)
	})
	client := quick
	client.Hosts, client.Limits = map[string]registry.Host{host: {Jobs: 1}}, &registry.Limits{}
	repo, err := client.Repository(host + "/hello")
	require.NoError(t, err)
	blobs, err := client.Blobs(t.Context(), repo)
	require.NoError(t, err)
	open := func(ctx context.Context) (io.ReadCloser, error) {
		content, _, err := blobs.Open(ctx, "sha256:"+strings.Repeat("0", 64), 0)
		return content, err
	}
	first, err := open(t.Context())
	require.NoError(t, err)
	_, err = head(t.Context(), t, client, host)
	require.NoError(t, err)
	before := requests.Load()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = open(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Equal(t, before, requests.Load(), "no request was sent")
	require.NoError(t, first.Close())
	second, err := open(t.Context())
	require.NoError(t, err, "a cancelled request releases its slot")
	require.NoError(t, second.Close())

	// An error response releases its slot without being read.
	wrong, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			w.WriteHeader(http.StatusForbidden)
		}
	})
	client.Hosts = map[string]registry.Host{wrong: {Jobs: 1}}
	if repo, err = client.Repository(wrong + "/hello"); assert.NoError(t, err) {
		blobs, err = client.Blobs(t.Context(), repo)
		require.NoError(t, err)
		for range 3 {
			_, err = open(t.Context())
			var answer *transport.Error
			require.ErrorAs(t, err, &answer)
		}
	}
}

func TestWithMissingBlob(t *testing.T) {
	host, requests := serve(t, func(http.ResponseWriter, *http.Request) {})
	repo, err := quick.Repository(host + "/hello")
	require.NoError(t, err)
	digest := "sha256:" + strings.Repeat("1", 64)
	exists := func(ctx context.Context, digest string) bool {
		puller, err := remote.NewPuller(quick.Options(ctx)...)
		require.NoError(t, err)
		layer, err := puller.Layer(ctx, repo.Digest(digest))
		require.NoError(t, err)
		there, err := layer.(interface{ Exists() (bool, error) }).Exists()
		require.NoError(t, err)
		return there
	}
	known := registry.WithMissingBlob(t.Context(), digest)
	assert.False(t, exists(known, digest))
	assert.EqualValues(t, 1, requests.Load(), "the ping")
	assert.True(t, exists(t.Context(), digest))
	assert.True(t, exists(known, "sha256:"+strings.Repeat("2", 64)), "another blob")
}
