package registry

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// noted records requests and responds to them, so that nothing leaves the machine.
type noted struct{ urls []string }

func (n *noted) RoundTrip(req *http.Request) (*http.Response, error) {
	n.urls = append(n.urls, req.URL.String())
	return httptest.NewRecorder().Result(), nil
}

func TestPlainHTTPOnlyToLoopback(t *testing.T) {
	for url, allowed := range map[string]bool{
		"http://localhost:5000/v2/":             true,
		"http://127.0.0.1/v2/":                  true,
		"http://127.9.9.9:5000/v2/":             true,
		"http://[::1]:5000/v2/":                 true,
		"https://registry.example.com/v2/":      true,
		"http://registry.example.com/v2/":       false,
		"http://registry.local:5000/v2/":        false,
		"http://localhost.example.com/v2/":      false,
		"http://127.0.0.1.example.com/v2/":      false,
		"http://10.0.0.1:5000/v2/":              false,
		"http://192.168.1.2/v2/":                false,
		"http://other.example.com:5000/v2/":     true,
		"http://other.example.com/v2/":          false,
		"http://user:pw@registry.test/v2/token": false,
	} {
		t.Run(url, func(t *testing.T) {
			var end noted
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
			require.NoError(t, err)
			client := Client{Hosts: map[string]Host{"other.example.com:5000": {Insecure: true},
				"registry.example.com": {Jobs: 1}}}
			resp, err := guard{verifying: &end, unverifying: &end, insecure: client.insecure}.RoundTrip(req)
			if allowed {
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				assert.Equal(t, []string{url}, end.urls)
				return
			}
			var refused *PlainHTTPError
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, req.URL.Host, refused.Host)
			assert.Empty(t, end.urls)
		})
	}
}

func TestPlainHTTPRegistryIsRefused(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://registry.example.com/v2/", nil)
	require.NoError(t, err)
	there := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}}
	_, err = guard{verifying: there, unverifying: there, insecure: Client{}.insecure}.RoundTrip(req)
	var refused *PlainHTTPError
	require.ErrorAs(t, err, &refused)
	assert.Contains(t, refused.Hint(), "use --insecure")
	assert.ErrorIs(t, err, http.ErrSchemeMismatch)
}

func TestRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"":                     0,
		"0":                    0,
		"7":                    7 * time.Second,
		"-3":                   0,
		"soon":                 0,
		"1.5":                  0,
		"99999999999999999999": 0,
	} {
		assert.Equal(t, want, retryAfter(header), header)
	}
	date := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	assert.InDelta(t, time.Hour, retryAfter(date), float64(2*time.Second))
}

func TestWait(t *testing.T) {
	b := Backoff{First: time.Millisecond, Most: 4 * time.Millisecond}
	for attempt, least := range map[int]time.Duration{1: 1, 2: 2, 3: 4, 4: 4, 1_000_000_000: 4} {
		began := time.Now()
		require.NoError(t, b.wait(t.Context(), attempt))
		assert.GreaterOrEqual(t, time.Since(began), least*time.Millisecond)
	}
	assert.Equal(t, Backoff{5, 500 * time.Millisecond, time.Minute}, Backoff{}.withDefaults())
}
