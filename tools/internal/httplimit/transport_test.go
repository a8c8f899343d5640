package httplimit_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/internal/httplimit"
)

// newClient returns a client that does not limit redirects, like those of go-containerregistry.
func newClient(t *httplimit.Transport) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
}

func do(t *testing.T, c *http.Client, method, url string, body io.Reader, headers ...string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return c.Do(req)
}

func TestMoreThanTenRedirectsFail(t *testing.T) {
	for _, method := range []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	} {
		for _, code := range []int{301, 302, 303, 307, 308} {
			t.Run(fmt.Sprint(method, code), func(t *testing.T) {
				var requests atomic.Int32
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					n := requests.Add(1)
					w.Header().Set("Location", fmt.Sprintf("/%d", n)) // every time another place, so that no cache of visits helps
					w.WriteHeader(code)
				}))
				defer server.Close()
				_, err := do(t, newClient(&httplimit.Transport{}), method, server.URL, strings.NewReader("x"))
				var redirected *httplimit.RedirectError
				require.ErrorAs(t, err, &redirected)
				assert.Contains(t, err.Error(), "stopped after 10 redirects")
				assert.EqualValues(t, 11, requests.Load())
			})
		}
	}
}

func TestTenRedirectsAreFollowed(t *testing.T) {
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := requests.Add(1); n <= 10 {
			http.Redirect(w, r, fmt.Sprintf("/%d", n), http.StatusTemporaryRedirect)
		}
	}))
	defer server.Close()
	resp, err := do(t, newClient(&httplimit.Transport{}), http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusOK, resp.StatusCode)
}

// TestCredentialsAreNotSentToOtherHosts redirects requests to another port. net/http only compares host names.
func TestCredentialsAreNotSentToOtherHosts(t *testing.T) {
	var got []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Header.Get("Authorization")+string(body))
	}))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/here" {
			assert.Equal(t, "Bearer secret", r.Header.Get("Authorization"))
			return
		}
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	client := newClient(&httplimit.Transport{})
	resp, err := do(t, client, http.MethodGet, server.URL+"/?to="+other.URL, nil, "Authorization", "Bearer secret")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, []string{""}, got)

	resp, err = do(t, client, http.MethodGet, server.URL+"/?to=/here", nil, "Authorization", "Bearer secret")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())

	const form = "application/x-www-form-urlencoded"
	body := strings.NewReader("refresh_token=secret")
	_, err = do(t, client, http.MethodPost, server.URL+"/?to="+other.URL, body, "Content-Type", form)
	host := strings.TrimPrefix(other.URL, "http://")
	require.ErrorContains(t, err, "refusing to follow a redirect with credentials to "+host)
	assert.Len(t, got, 1)
}

func requireStalled(t *testing.T, err error, doing string) {
	t.Helper()
	var e *httplimit.StalledError
	require.ErrorAs(t, err, &e)
	assert.Contains(t, e.Error(), doing)
	var timeout net.Error
	require.True(t, errors.As(err, &timeout))
	assert.True(t, timeout.Timeout())
}

// dial returns a transport with in-memory connections, whose server sides are passed to serve. In a synctest bubble,
// time only passes while all goroutines wait, so results do not depend on the speed of the machine.
func dial(t *testing.T, serve func(net.Conn)) http.RoundTripper {
	t.Helper()
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait) // runs last, because time stops when the test of a bubble returns
	inner := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		t.Cleanup(func() { _ = server.Close() })
		serving.Go(func() { serve(server) })
		return client, nil
	}}
	t.Cleanup(inner.CloseIdleConnections)
	return inner
}

// handling serves one HTTP request on a connection.
func handling(respond func(io.Writer, *http.Request)) func(net.Conn) {
	return func(c net.Conn) {
		defer c.Close()
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err == nil {
			respond(c, r)
		}
	}
}

func TestStalledResponseBodyFails(t *testing.T) {
	for name, rest := range map[string]func(net.Conn){
		"stops": func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"drips": func(c net.Conn) {
			for err := error(nil); err == nil; _, err = io.WriteString(c, "x") {
				time.Sleep(time.Second)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner := dial(t, func(c net.Conn) {
					handling(func(w io.Writer, _ *http.Request) {
						_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"+strings.Repeat("x", 100<<10))
						rest(c)
					})(c)
				})
				resp, err := do(t, newClient(&httplimit.Transport{Inner: inner}), http.MethodGet, "http://host", nil)
				require.NoError(t, err)
				defer resp.Body.Close()
				_, err = io.Copy(io.Discard, resp.Body)
				requireStalled(t, err, "sent more of the response for 1m0s")
			})
		})
	}
}

func TestMissingResponseFails(t *testing.T) {
	silent := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	loris := func(c net.Conn) {
		// A response that arrives before the request is an error of its own.
		_, _ = http.ReadRequest(bufio.NewReader(c))
		go silent(c)
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nX-")
		for err == nil {
			time.Sleep(time.Second)
			_, err = io.WriteString(c, "a")
		}
	}
	deaf := func(net.Conn) {} // never reads
	for name, c := range map[string]struct {
		serve  func(net.Conn)
		method string
		body   io.Reader
		doing  string
	}{
		"silent":              {silent, http.MethodGet, nil, "answered for 2m0s"},
		"endless header":      {loris, http.MethodGet, nil, "answered for 2m0s"},
		"silent after a body": {silent, http.MethodPut, strings.NewReader("content"), "answered for 10m0s"},
		"reads no large body": {
			deaf, http.MethodPut, io.LimitReader(zeros{}, 1<<30), "accepted more of the request for 1m0s",
		},
		"reads the header only": {func(c net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(c))
		}, http.MethodPut, io.LimitReader(zeros{}, 1<<30), "accepted more of the request for 1m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limits := &httplimit.Transport{Inner: dial(t, c.serve)}
				_, err := do(t, newClient(limits), c.method, "http://host", c.body)
				requireStalled(t, err, c.doing)
			})
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// slow is a reader that takes longer than the idle time.
type slow struct {
	io.Reader
	parts int
}

func (s *slow) Read(p []byte) (int, error) {
	if s.parts--; s.parts < 0 {
		return 0, io.EOF
	}
	time.Sleep(3 * time.Minute)
	return copy(p, "part"), nil
}

// TestSlowClientIsNoTimeout produces a request body and consumes a response body slowly.
func TestSlowClientIsNoTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := dial(t, handling(func(w io.Writer, r *http.Request) {
			content, err := io.ReadAll(r.Body)
			assert.NoError(t, err)
			assert.Equal(t, "partpart", string(content))
			_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n"+strings.Repeat("x", 1<<20))
		}))
		resp, err := do(t, newClient(&httplimit.Transport{Inner: inner}), http.MethodPut, "http://host", &slow{parts: 2})
		require.NoError(t, err)
		defer resp.Body.Close()
		buffer := make([]byte, 300<<10)
		for n := 0; ; n++ {
			if n < 3 {
				time.Sleep(2 * time.Minute)
			}
			if _, err = resp.Body.Read(buffer); err != nil {
				break
			}
		}
		assert.ErrorIs(t, err, io.EOF)
	})
}

func TestContextOfTheCallerEndsTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://host", nil)
		require.NoError(t, err)
		inner := dial(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
		_, err = newClient(&httplimit.Transport{Inner: inner}).Do(req)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var own *httplimit.StalledError
		assert.False(t, errors.As(err, &own))
	})
}
