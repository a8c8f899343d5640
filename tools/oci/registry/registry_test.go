package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

var quick = registry.Client{Backoff: registry.Backoff{Attempts: 3, First: time.Millisecond,
	Most: 30 * time.Millisecond}}

func TestNames(t *testing.T) {
	var c registry.Client
	ref, err := c.Parse("onap/hello")
	require.NoError(t, err)
	assert.Equal(t, "index.docker.io/onap/hello:latest", ref.Name())
	_, err = c.Parse("a b")
	require.ErrorContains(t, err, `reference "a b"`)

	repo, err := c.Repository("registry.example.com/onap/hello")
	require.NoError(t, err)
	assert.Equal(t, "https", repo.Scheme())
	_, err = c.Repository("registry.example.com/onap/hello:v1")
	require.ErrorContains(t, err, `repository "registry.example.com/onap/hello:v1"`)
	repo, err = registry.Client{Insecure: true}.Repository("registry.example.com/onap/hello")
	require.NoError(t, err)
	assert.Equal(t, "http", repo.Scheme())
}

// serve starts a server on loopback that counts requests.
func serve(t testing.TB, handler http.HandlerFunc) (host string, requests *atomic.Int32) {
	t.Helper()
	requests = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), requests
}

// head requests a manifest the way all packages do.
func head(ctx context.Context, t testing.TB, c registry.Client, host string) (*v1.Descriptor, error) {
	t.Helper()
	ref, err := c.Parse(host + "/hello:latest")
	require.NoError(t, err)
	return remote.Head(ref, c.Options(ctx)...)
}

func found(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	w.Header().Set("Content-Length", "2")
	w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
}

func TestRedirectToPlainHTTPIsRefused(t *testing.T) {
	host, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		http.Redirect(w, r, "http://registry.example.com"+r.URL.Path, http.StatusTemporaryRedirect)
	})
	_, err := head(t.Context(), t, quick, host)
	var refused *registry.PlainHTTPError
	require.ErrorAs(t, err, &refused)
	assert.EqualError(t, refused, "refusing plain HTTP to registry.example.com")
	assert.Contains(t, refused.Hint(), "use --insecure, or registries: {")
}

func TestInsecureAcceptsAnyCertificate(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(found))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	host := server.Listener.Addr().String()
	_, err := head(t.Context(), t, quick, host)
	require.Error(t, err)
	insecure := quick
	insecure.Insecure = true
	d, err := head(t.Context(), t, insecure, host)
	require.NoError(t, err)
	assert.EqualValues(t, 2, d.Size)
}

func TestReadsAreRetried(t *testing.T) {
	for name, fail := range map[string]http.HandlerFunc{
		"429":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"502":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"reset": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			var manifests atomic.Int32
			host, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v2/" && manifests.Add(1) < 3 {
					fail(w, r)
					return
				}
				found(w, r)
			})
			_, err := head(t.Context(), t, quick, host)
			require.NoError(t, err)
			assert.EqualValues(t, 3, manifests.Load())
		})
	}
	t.Run("not forever", func(t *testing.T) {
		host, requests := serve(t, func(w http.ResponseWriter,
			_ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		_, err := head(t.Context(), t, quick, host)
		var answer *transport.Error
		require.ErrorAs(t, err, &answer)
		assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
		assert.EqualValues(t, 3, requests.Load())
	})
	t.Run("not what is final", func(t *testing.T) {
		host, requests := serve(t, func(w http.ResponseWriter,
			_ *http.Request) {
			w.WriteHeader(http.StatusNotImplemented)
		})
		_, err := head(t.Context(), t, quick, host)
		require.Error(t, err)
		assert.EqualValues(t, 1, requests.Load())
	})
	t.Run("not within Retry", func(t *testing.T) {
		host, requests := serve(t, func(w http.ResponseWriter,
			_ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		err := quick.Retry(t.Context(), func(ctx context.Context) error {
			_, err := head(ctx, t, quick, host)
			return err
		})
		require.Error(t, err)
		assert.EqualValues(t, 3, requests.Load(), "three attempts, not three times three")
	})
	t.Run("the wait ends with the context", func(t *testing.T) {
		host, _ := serve(t, func(w http.ResponseWriter,
			_ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := head(ctx, t, registry.Client{Backoff: registry.Backoff{First: time.Hour}}, host)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestRetryAfterDelaysAllRequests(t *testing.T) {
	var limited atomic.Int64 // when, in Unix nanoseconds
	var early atomic.Int32
	host, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		now := time.Now().UnixNano()
		if limited.CompareAndSwap(0, now) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		if time.Duration(now-limited.Load()) < 100*time.Millisecond {
			early.Add(1)
		}
		found(w, r)
	})
	patient := registry.Client{Backoff: registry.Backoff{First: time.Millisecond, Most: 150 * time.Millisecond}}
	options := patient.Options(t.Context())
	ref, err := patient.Parse(host + "/hello:latest")
	require.NoError(t, err)
	for range 3 {
		_, err := remote.Head(ref, options...)
		require.NoError(t, err)
	}
	assert.Zero(t, early.Load())
	assert.GreaterOrEqual(t, time.Since(time.Unix(0, limited.Load())), 150*time.Millisecond)

	limited.Store(0)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = head(ctx, t, registry.Client{Backoff: registry.Backoff{First: time.Millisecond}}, host)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestRetry(t *testing.T) {
	status := func(code int, diagnostics ...transport.ErrorCode) error {
		e := &transport.Error{StatusCode: code}
		for _, d := range diagnostics {
			e.Errors = append(e.Errors, transport.Diagnostic{Code: d})
		}
		return e
	}
	for _, c := range []struct {
		err   error
		again bool
	}{
		{status(http.StatusTooManyRequests), true},
		{status(http.StatusRequestTimeout), true},
		{status(http.StatusInternalServerError, "INTERNAL"), true},
		{status(http.StatusNotFound, transport.BlobUploadUnknownErrorCode), true},
		{status(http.StatusNotFound, transport.ManifestUnknownErrorCode), false},
		{status(http.StatusUnauthorized), false},
		{status(http.StatusNotImplemented), false},
		{io.ErrUnexpectedEOF, true},
		{&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, true},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, true},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, true},
		{&net.DNSError{IsNotFound: true}, false},
		{&net.DNSError{IsTemporary: true}, true},
		{errors.New("stream error: stream ID 5; INTERNAL_ERROR; received from peer"), true},
		{&os.PathError{Op: "open", Path: "layer", Err: syscall.ENOENT}, false},
		{&registry.PlainHTTPError{}, false},
	} {
		t.Run(c.err.Error(), func(t *testing.T) {
			tries := 0
			err := quick.Retry(t.Context(), func(context.Context) error {
				tries++
				return fmt.Errorf("doing it: %w", c.err)
			})
			require.ErrorIs(t, err, c.err)
			assert.Equal(t, map[bool]int{true: 3, false: 1}[c.again], tries)
		})
	}
	t.Run("success in the end", func(t *testing.T) {
		tries := 0
		require.NoError(t, quick.Retry(t.Context(), func(context.Context) error {
			if tries++; tries < 3 {
				return io.EOF
			}
			return nil
		}))
	})
	t.Run("stopped", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		tries := 0
		err := registry.Client{Backoff: registry.Backoff{First: time.Hour}}.Retry(ctx, func(context.Context) error {
			tries++
			time.AfterFunc(10*time.Millisecond, cancel)
			return io.EOF
		})
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, io.EOF, "includes the error before the wait")
		assert.Equal(t, 1, tries)
	})
}

// start runs Serve and returns its host, a function that stops it, and its result.
func start(t testing.TB, dir string) (host string, cancel func(), ended chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	ended = make(chan error, 1)
	go func() { ended <- registry.Serve(ctx, l, dir) }()
	return l.Addr().String(), cancel, ended
}

func TestServe(t *testing.T) {
	img, err := random.Image(2000, 2)
	require.NoError(t, err)
	for name, dir := range map[string]string{"in memory": "", "on disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			host, cancel, ended := start(t, dir)
			ref, err := quick.Parse(host + "/hello:latest")
			require.NoError(t, err)
			require.NoError(t, remote.Write(ref, img, quick.Options(t.Context())...))
			got, err := remote.Image(ref, quick.Options(t.Context())...)
			require.NoError(t, err)
			require.NoError(t, validate.Image(got))
			// Another repository mounts existing blobs. Missing ones have to be uploaded, as in the specification.
			layers, err := img.Layers()
			require.NoError(t, err)
			there, err := layers[0].Digest()
			require.NoError(t, err)
			missing := strings.Repeat("0", 64)
			for digest, want := range map[string]int{there.String(): http.StatusCreated, "sha256:" +
				missing: http.StatusAccepted, "x": http.StatusAccepted} {
				resp, err := http.Post("http://"+host+"/v2/other/blobs/uploads/?from=hello&mount="+digest, "", nil)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				assert.Equal(t, want, resp.StatusCode, digest)
				assert.NotEmpty(t, resp.Header.Get("Location"))
			}
			cancel()
			require.NoError(t, <-ended)
			_, err = net.Dial("tcp", host)
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
			if dir != "" {
				blobs, err := filepath.Glob(filepath.Join(dir, "sha256", "*"))
				require.NoError(t, err)
				assert.Len(t, blobs, 3)
			}
		})
	}
	t.Run("requests in progress are finished", func(t *testing.T) {
		host, cancel, ended := start(t, "")
		body, feed := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch,
			"http://"+host+"/v2/hello/blobs/uploads/1", body)
		require.NoError(t, err)
		// The client sends the body only when the handler reads it.
		req.Header.Set("Expect", "100-continue")
		client := http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Hour}}
		answered := make(chan error, 1)
		go func() {
			resp, err := client.Do(req)
			if err == nil {
				err = errors.Join(transport.CheckError(resp, http.StatusAccepted), resp.Body.Close())
			}
			answered <- err
		}()
		_, err = feed.Write([]byte("first"))
		require.NoError(t, err)
		cancel()
		select {
		case err := <-ended:
			require.FailNow(t, "Serve did not wait", "%v", err)
		case <-time.After(100 * time.Millisecond):
		}
		_, err = feed.Write([]byte("second"))
		require.NoError(t, err)
		require.NoError(t, feed.Close())
		require.NoError(t, <-answered)
		require.NoError(t, <-ended)
	})
	t.Run("a listener that fails", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		require.ErrorIs(t, registry.Serve(t.Context(), l, ""), net.ErrClosed)
	})
	t.Run("stopped before it begins", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, registry.Serve(ctx, l, ""))
		_, err = l.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

func TestHosts(t *testing.T) {
	client := registry.Client{Jobs: 3, Hosts: map[string]registry.Host{"plain.example.com:5000": {Insecure: true,
		Jobs: 7}}}
	assert.Equal(t, 7, client.JobsOf("plain.example.com:5000"))
	assert.Equal(t, 3, client.JobsOf("registry.example.com"))
	for ref, scheme := range map[string]string{"plain.example.com:5000/a:b": "http",
		"registry.example.com/a:b": "https"} {
		parsed, err := client.Parse(ref)
		require.NoError(t, err)
		assert.Equal(t, scheme, parsed.Context().Scheme())
		repo, err := client.Repository(strings.TrimSuffix(ref, ":b"))
		require.NoError(t, err)
		assert.Equal(t, scheme, repo.Scheme())
	}
}
