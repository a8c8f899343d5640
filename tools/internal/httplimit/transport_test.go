package httplimit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/internal/httplimit"
)

// follow is an http.Client that follows redirects without a limit of its own, as go-containerregistry's do.
func follow(t *httplimit.Transport) *http.Client {
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

func TestRedirectsEndAfterTen(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		for _, code := range []int{301, 302, 303, 307, 308} {
			t.Run(fmt.Sprint(method, code), func(t *testing.T) {
				var requests atomic.Int32
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					n := requests.Add(1)
					w.Header().Set("Location", fmt.Sprintf("/%d", n)) // every time another place, so that no cache of visits helps
					w.WriteHeader(code)
				}))
				defer server.Close()
				_, err := do(t, follow(&httplimit.Transport{}), method, server.URL, strings.NewReader("x"))
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
	resp, err := do(t, follow(&httplimit.Transport{}), http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusOK, resp.StatusCode)
}

// TestCredentialsStayWithTheirHost redirects requests to another port: net/http compares host names alone.
func TestCredentialsStayWithTheirHost(t *testing.T) {
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
	client := follow(&httplimit.Transport{})
	resp, err := do(t, client, http.MethodGet, server.URL+"/?to="+other.URL, nil, "Authorization", "Bearer secret")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, []string{""}, got)

	resp, err = do(t, client, http.MethodGet, server.URL+"/?to=/here", nil, "Authorization", "Bearer secret")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())

	const form = "application/x-www-form-urlencoded"
	_, err = do(t, client, http.MethodPost, server.URL+"/?to="+other.URL, strings.NewReader("refresh_token=secret"), "Content-Type", form)
	require.ErrorContains(t, err, "refusing to send credentials to "+strings.TrimPrefix(other.URL, "http://"))
	assert.Len(t, got, 1)
}

const short = 50 * time.Millisecond

func stalled(t *testing.T, err error, doing string) {
	t.Helper()
	var e *httplimit.StalledError
	require.ErrorAs(t, err, &e)
	assert.Contains(t, e.Error(), doing)
	var timeout net.Error
	require.True(t, errors.As(err, &timeout))
	assert.True(t, timeout.Timeout())
}

// wait lets a handler hang until its client is gone.
func wait(r *http.Request) { <-r.Context().Done() }

func TestBodyThatStopsOrDrips(t *testing.T) {
	for name, rest := range map[string]func(w http.ResponseWriter, r *http.Request){
		"stops": func(_ http.ResponseWriter, r *http.Request) { wait(r) },
		"drips": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte("x"))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(short / 10)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = w.Write(make([]byte, 100<<10))
				_ = http.NewResponseController(w).Flush()
				rest(w, r)
			}))
			defer server.Close()
			resp, err := do(t, follow(&httplimit.Transport{Idle: short}), http.MethodGet, server.URL, nil)
			require.NoError(t, err)
			defer resp.Body.Close()
			_, err = io.Copy(io.Discard, resp.Body)
			stalled(t, err, "sent more of the response")
		})
	}
}

func TestServerThatDoesNotAnswer(t *testing.T) {
	listen := func(serve func(net.Conn)) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go serve(c)
			}
		}()
		return "http://" + l.Addr().String()
	}
	silent := listen(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	loris := listen(func(c net.Conn) {
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nX-")
		for err == nil {
			_, err = io.WriteString(c, "a")
			time.Sleep(short / 10)
		}
	})
	deaf := listen(func(c net.Conn) { select {} }) // accepts and never reads
	limits := &httplimit.Transport{Idle: short, Answer: 2 * short, Lookup: 2 * short, Inner: &http.Transport{}}
	_, err := do(t, follow(limits), http.MethodGet, silent, nil)
	stalled(t, err, "answered")
	_, err = do(t, follow(limits), http.MethodGet, loris, nil)
	stalled(t, err, "answered")
	_, err = do(t, follow(limits), http.MethodPut, silent, strings.NewReader("content"))
	stalled(t, err, "answered")
	_, err = do(t, follow(limits), http.MethodPut, deaf, io.LimitReader(zeros{}, 1<<30))
	stalled(t, err, "accepted more of the request")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// slow is a reader that takes its time.
type slow struct {
	io.Reader
	parts int
}

func (s *slow) Read(p []byte) (int, error) {
	if s.parts--; s.parts < 0 {
		return 0, io.EOF
	}
	time.Sleep(3 * short)
	return copy(p, "part"), nil
}

// TestSlowProgramsAreNotTheServersFault: neither a body that takes long to make nor one that takes long to use counts.
func TestSlowProgramsAreNotTheServersFault(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.Equal(t, "partpart", string(content))
		_, _ = w.Write(make([]byte, 1<<20))
	}))
	defer server.Close()
	resp, err := do(t, follow(&httplimit.Transport{Idle: short}), http.MethodPut, server.URL, &slow{parts: 2})
	require.NoError(t, err)
	defer resp.Body.Close()
	buffer := make([]byte, 300<<10)
	for n := 0; ; n++ {
		if n < 3 {
			time.Sleep(2 * short)
		}
		if _, err = resp.Body.Read(buffer); err != nil {
			break
		}
	}
	assert.ErrorIs(t, err, io.EOF)
}

func TestTheCallersContextWins(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { wait(r) }))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), short)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	_, err = follow(&httplimit.Transport{}).Do(req)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	var own *httplimit.StalledError
	assert.False(t, errors.As(err, &own))
}
