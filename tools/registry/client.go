// Package registry is how the project reaches a container registry: the reference syntax, authentication, retries and
// the rule about plain HTTP, the same for everything that reads from or writes to one. It also serves a registry on
// loopback for trying things out.
package registry

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Client says how registries are reached. The zero value asks the docker keychain (config.json and its credential
// helpers) who it is and speaks HTTPS, except to loopback.
type Client struct {
	// Insecure allows plain HTTP, and certificates nobody vouches for, to every registry.
	Insecure bool
	// Jobs is how many requests may be under way at once, 0 for the library's default.
	Jobs int
	// UserAgent is what the registry is told, in front of the library's own words.
	UserAgent string
	// Backoff is how requests that failed are tried again.
	Backoff Backoff
}

// Parse reads a reference as docker does: docker.io and :latest are understood where they are left out.
func (c Client) Parse(ref string) (name.Reference, error) {
	r, err := name.ParseReference(ref, c.nameOptions()...)
	if err != nil {
		return nil, fmt.Errorf("reference %q: %w", ref, err)
	}
	return r, nil
}

// Repository reads the name of a repository, without a tag or digest.
func (c Client) Repository(repo string) (name.Repository, error) {
	r, err := name.NewRepository(repo, c.nameOptions()...)
	if err != nil {
		return name.Repository{}, fmt.Errorf("repository %q: %w", repo, err)
	}
	return r, nil
}

func (c Client) nameOptions() []name.Option {
	if c.Insecure {
		return []name.Option{name.Insecure}
	}
	return nil
}

// Options are what every call into go-containerregistry's remote package is given. Reads are retried as Backoff says.
// The connections, and what Retry-After says, are shared by everything that is given the same slice.
func (c Client) Options(ctx context.Context) []remote.Option {
	opts := []remote.Option{
		remote.WithContext(ctx),
		remote.WithAuthFromKeychain(authn.DefaultKeychain),
		remote.WithTransport(c.transport()),
		remote.WithRetryBackoff(remote.Backoff{Steps: 1}), // see retryReads
	}
	if c.Jobs > 0 {
		opts = append(opts, remote.WithJobs(c.Jobs))
	}
	if c.UserAgent != "" {
		opts = append(opts, remote.WithUserAgent(c.UserAgent))
	}
	return opts
}

func (c Client) transport() http.RoundTripper {
	t := remote.DefaultTransport.(*http.Transport).Clone()
	// One host takes most of the traffic; fewer idle connections than jobs would mean a handshake a request.
	t.MaxIdleConnsPerHost = max(t.MaxIdleConnsPerHost, 2*c.Jobs)
	var checked http.RoundTripper = httpsOnly{t}
	if c.Insecure {
		t.TLSClientConfig = insecureTLS()
		checked = t
	}
	backoff := c.Backoff.withDefaults()
	return retryReads{&pace{inner: checked, most: backoff.Most, until: map[string]time.Time{}}, backoff}
}

// httpsOnly refuses plain HTTP to anything but loopback. go-containerregistry by itself would also fall back to HTTP
// for private address ranges and .local names.
type httpsOnly struct{ inner http.RoundTripper }

func (h httpsOnly) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !loopback(req.URL.Hostname()) {
		return nil, &PlainHTTPError{req.URL.Host}
	}
	return h.inner.RoundTrip(req)
}

// PlainHTTPError is returned for a registry that answers only by plain HTTP and is not on loopback.
type PlainHTTPError struct{ Host string }

func (e *PlainHTTPError) Error() string { return "refusing plain HTTP to " + e.Host }

// Hint says what to do about it.
func (e *PlainHTTPError) Hint() string { return "--insecure allows it" }

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
