// Package registry is how the project reaches a container registry: the reference syntax, authentication, retries and
// the rule about plain HTTP, the same for everything that reads from or writes to one. It also serves a registry on
// loopback for trying things out.
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

// Client says how registries are reached. The zero value asks the docker keychain (config.json and its credential
// helpers) who it is and speaks HTTPS, except to loopback.
type Client struct {
	// Insecure allows plain HTTP, and certificates nobody vouches for, to every registry.
	Insecure bool
	// Jobs is how many requests may be under way to a registry at once, and beside them how many blobs may be read from it;
	// 0 for no limit but the library's own.
	Jobs int
	// Hosts are registries that differ from that, by their name in a full reference, with its port.
	Hosts map[string]Host
	// Limits are those of Jobs for all clients that share it; nil for what is given the same Options alone.
	Limits *Limits
	// UserAgent is what the registry is told, in front of the library's own words.
	UserAgent string
	// Backoff is how requests that failed are tried again.
	Backoff Backoff
	// Idle is how long a registry may take for the next kibibyte of a body, in either direction [1m].
	Idle time.Duration
	// connections are shared by all Options, if there are any.
	connections http.RoundTripper
}

// Host says how one registry is reached.
type Host struct {
	// Insecure is as in Client.
	Insecure bool
	// Jobs is as in Client, 0 for what Client says. Another host that the registry sends readers to has no part in it.
	Jobs int
}

// JobsOf returns Jobs of the registry called host, 0 where nothing was said.
func (c Client) JobsOf(host string) int { return cmp.Or(c.Hosts[host].Jobs, c.Jobs) }

// insecure tells whether plain HTTP to host is allowed.
func (c Client) insecure(host string) bool { return c.Insecure || c.Hosts[host].Insecure }

// Parse reads a reference as docker does: docker.io and :latest are understood where they are left out.
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

// Repository reads the name of a repository, without a tag or digest.
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

// Options are what every call into go-containerregistry's remote package is given. Reads are retried as Backoff says.
// The connections, and what Retry-After says, are shared by everything that is given the same slice, or the Options of a
// client that is Connected.
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

// Connected returns a client whose Options share their connections. What the client says is fixed by that.
func (c Client) Connected() Client {
	if c.connections == nil {
		c.connections = c.transport()
	}
	return c
}

// maxHeader is how many bytes the header of an answer may have.
const maxHeader = 1 << 20

func (c Client) transport() http.RoundTripper {
	t := remote.DefaultTransport.(*http.Transport).Clone()
	// One host takes most of the traffic; fewer idle connections than jobs would mean a handshake a request.
	most := c.Jobs
	for _, h := range c.Hosts {
		most = max(most, h.Jobs)
	}
	t.MaxIdleConnsPerHost = max(t.MaxIdleConnsPerHost, 2*most)
	t.MaxIdleConns = max(t.MaxIdleConns, 2*most)
	t.MaxResponseHeaderBytes = maxHeader
	careless := t.Clone()
	careless.TLSClientConfig = insecureTLS()
	checked := guard{careful: t, careless: careless, insecure: c.insecure}
	backoff := c.Backoff.withDefaults()
	within := &httplimit.Transport{Inner: checked, Idle: c.Idle}
	paced := &pace{inner: within, most: backoff.Most, until: map[string]time.Time{}}
	// Nobody waits for another attempt, but everybody for Retry-After, in a slot of the limit.
	narrow := sizes{limited{paced, c.JobsOf, cmp.Or(c.Limits, &Limits{})}}
	return answerMissing{&pings{inner: retryReads{answers{narrow}, backoff}, known: map[string]*ping{}}}
}

// guard refuses plain HTTP to anything but loopback and the hosts for which it is allowed. go-containerregistry by
// itself would also fall back to HTTP for private address ranges and .local names. A host that a registry refers to,
// such as that of its tokens, is one of its own.
type guard struct {
	careful, careless http.RoundTripper
	insecure          func(host string) bool
}

func (g guard) RoundTrip(req *http.Request) (*http.Response, error) {
	switch {
	case g.insecure(req.URL.Host):
		return g.careless.RoundTrip(req)
	case req.URL.Scheme != "https" && !loopback(req.URL.Hostname()):
		if req.Body != nil {
			_ = req.Body.Close() // as every RoundTripper has to
		}
		return nil, &PlainHTTPError{req.URL.Host}
	}
	resp, err := g.careful.RoundTrip(req)
	// What net/http makes http.ErrSchemeMismatch of.
	var answer tls.RecordHeaderError
	if errors.As(err, &answer) && string(answer.RecordHeader[:]) == "HTTP/" && !loopback(req.URL.Hostname()) {
		err = fmt.Errorf("%w: %w", &PlainHTTPError{req.URL.Host}, http.ErrSchemeMismatch)
	}
	return resp, err
}

// PlainHTTPError is returned for a registry that answers only by plain HTTP and is not on loopback.
type PlainHTTPError struct{ Host string }

func (e *PlainHTTPError) Error() string { return "refusing plain HTTP to " + e.Host }

// Hint says what to do about it.
func (e *PlainHTTPError) Hint() string {
	return fmt.Sprintf("--insecure allows it, or registries: {%q: {insecure: true}} in multiarch.yaml", e.Host)
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// HubName is the full name of an image of Docker Hub that has a name of one word: docker.io/library/hello.
func HubName(word string) string { return "docker.io/library/" + word }
