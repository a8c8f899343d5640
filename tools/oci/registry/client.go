// Package registry connects to container registries. A Client parses references, authenticates with
// Docker's keychain, retries failed requests, limits concurrency and refuses plain HTTP except to
// loopback; all packages that read from or write to a registry use it. Classify and Hint explain
// why a request failed. Serve runs a registry on loopback for trials and tests.
package registry

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/multiarch-build/multiarch/tools/internal/httplimit"
	"github.com/multiarch-build/multiarch/tools/oci/reference"
)

// Client configures access to registries. The zero value uses the Docker keychain (config.json and
// its credential helpers), and HTTPS except to loopback.
type Client struct {
	// Insecure allows plain HTTP and untrusted certificates for every registry.
	Insecure bool
	// Jobs limits the concurrent requests to a registry, and separately the concurrent blob
	// downloads from it. Zero means no limit except that of go-containerregistry.
	Jobs int
	// Hosts overrides settings by registry, including its port.
	Hosts map[string]Host
	// Limits shares the limits of Jobs between clients. If it is nil, each Options result has its
	// own.
	Limits *Limits
	// UserAgent is sent before that of go-containerregistry.
	UserAgent string
	// Backoff controls retries.
	Backoff Backoff
	// Idle is the maximum time for transferring a kibibyte of a body, in either direction [1m].
	Idle time.Duration
	// connections is shared by all Options results, if not nil.
	connections http.RoundTripper
}

// Host configures access to one registry.
type Host struct {
	// Insecure is as in Client.
	Insecure bool
	// Jobs is as in Client; 0 uses that of Client. Hosts that the registry redirects to are not
	// included.
	Jobs int
}

// JobsOf returns the limit for a registry, or 0 if there is none.
func (c Client) JobsOf(host string) int { return cmp.Or(c.Hosts[host].Jobs, c.Jobs) }

// insecure reports whether plain HTTP to host is allowed.
func (c Client) insecure(host string) bool { return c.Insecure || c.Hosts[host].Insecure }

// Parse parses a reference as Docker does: docker.io and :latest are the defaults.
func (c Client) Parse(ref string) (name.Reference, error) {
	r, err := name.ParseReference(ref)
	if err == nil && c.insecure(r.Context().RegistryStr()) {
		r, err = name.ParseReference(ref, name.Insecure)
	}
	if err == nil {
		err = reference.Check(r.Context())
	}
	if err != nil {
		return nil, nameError("reference", ref, err)
	}
	return r, nil
}

// Repository parses the name of a repository without a tag or digest.
func (c Client) Repository(repo string) (name.Repository, error) {
	r, err := name.NewRepository(repo)
	if err == nil && c.insecure(r.RegistryStr()) {
		r, err = name.NewRepository(repo, name.Insecure)
	}
	if err == nil {
		err = reference.Check(r)
	}
	if err != nil {
		return name.Repository{}, nameError("repository", repo, err)
	}
	return r, nil
}

// Options returns the options for go-containerregistry's remote package. Reads are retried
// according to Backoff. Connections, and the effect of Retry-After, are shared by all calls that
// use the same slice, or the Options of a Connected client.
func (c Client) Options(ctx context.Context) []remote.Option {
	opts := []remote.Option{
		remote.WithContext(ctx),
		remote.WithAuthFromKeychain(keychain{}),
		remote.WithTransport(c.Connected().connections),
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

// Connected returns a client whose Options share their connections. Its settings must not be
// changed afterwards.
func (c Client) Connected() Client {
	if c.connections == nil {
		c.connections = c.transport()
	}
	return c
}

// maxHeader is the maximum size of the header of a response in bytes.
const maxHeader = 1 << 20

func (c Client) transport() http.RoundTripper {
	t := remote.DefaultTransport.(*http.Transport).Clone()
	// Most traffic goes to one host. Fewer idle connections than jobs would mean a handshake per request.
	most := c.Jobs
	for _, h := range c.Hosts {
		most = max(most, h.Jobs)
	}
	t.MaxIdleConnsPerHost = max(t.MaxIdleConnsPerHost, 2*most)
	t.MaxIdleConns = max(t.MaxIdleConns, 2*most)
	t.MaxResponseHeaderBytes = maxHeader
	unverifying := t.Clone()
	unverifying.TLSClientConfig = insecureTLS()
	checked := guard{verifying: t, unverifying: unverifying, insecure: c.insecure}
	backoff := c.Backoff.withDefaults()
	within := &httplimit.Transport{Inner: checked, IdleTimeout: c.Idle}
	paced := &pace{inner: within, most: backoff.Most, until: map[string]time.Time{}}
	// Retries wait outside the limit's slots, but Retry-After is waited for inside them.
	narrow := sizes{limited{paced, c.JobsOf, cmp.Or(c.Limits, &Limits{})}}
	return answerMissing{&pings{inner: retryReads{answers{narrow}, backoff}, known: map[string]*ping{}}}
}

// guard refuses plain HTTP except to loopback and to hosts for which it is allowed.
// go-containerregistry would also fall back to HTTP for private address ranges and .local names.
// Hosts that a registry refers to, such as its token server, are checked on their own.
type guard struct {
	verifying, unverifying http.RoundTripper
	insecure               func(host string) bool
}

func (g guard) RoundTrip(req *http.Request) (*http.Response, error) {
	switch {
	case g.insecure(req.URL.Host):
		return g.unverifying.RoundTrip(req)
	case req.URL.Scheme != "https" && !loopback(req.URL.Hostname()):
		if req.Body != nil {
			_ = req.Body.Close() // required of every RoundTripper
		}
		return nil, &PlainHTTPError{req.URL.Host}
	}
	resp, err := g.verifying.RoundTrip(req)
	// net/http returns http.ErrSchemeMismatch in this case.
	var answer tls.RecordHeaderError
	if errors.As(err, &answer) && string(answer.RecordHeader[:]) == "HTTP/" && !loopback(req.URL.Hostname()) {
		err = fmt.Errorf("%w: %w", &PlainHTTPError{req.URL.Host}, http.ErrSchemeMismatch)
	}
	return resp, err
}

// PlainHTTPError is returned for a registry that only supports plain HTTP and is not on loopback.
type PlainHTTPError struct{ Host string }

func (e *PlainHTTPError) Error() string { return "refusing plain HTTP to " + e.Host }

// Hint returns how to resolve the error.
func (e *PlainHTTPError) Hint() string {
	return fmt.Sprintf("use --insecure, or registries: {%q: {insecure: true}} in multiarch.yaml, to allow it", e.Host)
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// HubName returns the full name of an official image on Docker Hub: docker.io/library/hello.
func HubName(word string) string { return "docker.io/library/" + word }
