package reference_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/reference"
	"github.com/multiarch-build/multiarch/tools/oci/reference/referencetest"
)

func TestCheckHost(t *testing.T) {
	for _, host := range []string{
		"ghcr.io", "localhost", "localhost:5000", "127.0.0.1:1", "a", "A-1.example.COM:65535", "1.2.3.4",
		"[::1]", "[::1]:5000", "[2001:db8::1]:443", "xn--bcher-kva.example", "registry-1.docker.io",
	} {
		assert.NoError(t, reference.CheckHost(host), host)
	}
	hosts := referencetest.Hosts()
	t.Logf("%d hostile hosts", len(hosts))
	require.GreaterOrEqual(t, len(hosts), 63)
	for _, host := range hosts {
		err := reference.CheckHost(host)
		var wrong *reference.HostError
		assert.ErrorAs(t, err, &wrong, "%q", host)
	}
}

func TestRedact(t *testing.T) {
	const d = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for in, want := range map[string]string{
		"user:secret@example.com/app:v1":      "xxxxx@example.com/app:v1",
		"user:secret@example.com":             "xxxxx@example.com",
		"user:secret@localhost/app@" + d:      "xxxxx@localhost/app@" + d,
		"https://user:secret@example.com/app": "https://xxxxx@example.com/app",
		"user:se/cret@example.com/app":        "xxxxx@example.com/app",
		"user:1/secret@example.com/app":       "xxxxx@example.com/app",
		"user:se@cret@example.com/app":        "xxxxx@example.com/app",
		"secret@example.com/app":              "xxxxx@example.com/app",
		"secret@ghcr.io":                      "xxxxx@ghcr.io",
		"user:secret@":                        "xxxxx@",
		"example.com/app@" + d:                "example.com/app@" + d,
		"example.com:5000/app:v1@" + d:        "example.com:5000/app:v1@" + d,
		"example.com:5000/app:v1@latest":      "example.com:5000/app:v1@latest",
		"app@latest":                          "app@latest",
		"example.com/app:v1":                  "example.com/app:v1",
		"":                                    "",
	} {
		assert.Equal(t, want, reference.Redact(in), in)
	}
}

func TestRedactText(t *testing.T) {
	const d = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for in, want := range map[string]string{
		`opening user:secret@example.com/app: no`:              `opening xxxxx@example.com/app: no`,
		`reference "user:secret@h/x" and 'u:secret@h/y'`:       `reference "xxxxx@h/x" and 'xxxxx@h/y'`,
		`Get "https://u:secret@example.com/v2/": EOF`:          `Get "https://xxxxx@example.com/v2/": EOF`,
		`go: reading https://proxy.example.com/x/@v/list: 404`: `go: reading https://proxy.example.com/x/@v/list: 404`,
		`go: reading http://localhost:8080/x/@v/list: 404`:     `go: reading http://localhost:8080/x/@v/list: 404`,
		`localhost:5000/app:v1@` + d + ` and app:v1@` + d + ` done`: `localhost:5000/app:v1@` + d + ` and app:v1@` + d +
			` done`,
		`"u:se@cr@et@h/x" is no reference, nor is "v:w@h"`: `"xxxxx@h/x" is no reference, nor is "xxxxx@h"`,
		`run: go run example.com/x@v1.2.3`:                 `run: go run example.com/x@v1.2.3`,
		`git@github.com:org/repo`:                          `git@github.com:org/repo`,
	} {
		assert.Equal(t, want, reference.RedactText(in), in)
	}
}

// FuzzCheckHost: what is accepted is plain everywhere, and go-containerregistry and net/url read the same host.
func FuzzCheckHost(f *testing.F) {
	for _, host := range append(referencetest.Hosts(), "ghcr.io", "[::1]:5000") {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if reference.CheckHost(host) != nil {
			return
		}
		assert.Empty(t, strings.Trim(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-:[]"))
		assert.NotContains(t, "-.:", host[:1])
		r, err := name.NewRegistry(host)
		require.NoError(t, err)
		if host != "docker.io" {
			assert.Equal(t, host, r.RegistryStr())
		}
		u, err := url.Parse("https://" + host + "/v2/")
		require.NoError(t, err)
		assert.Equal(t, host, u.Host)
	})
}

// FuzzCheckName: an accepted name is that of a repository whose host and path are accepted.
func FuzzCheckName(f *testing.F) {
	for _, n := range []string{"a/b", "user:secret@example.com/x", "example.com/a/../b", "localhost/x", "a;b.com/x"} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, n string) {
		err := reference.CheckName(n)
		if err == nil {
			r, err := name.NewRepository(n)
			require.NoError(t, err)
			require.NoError(t, reference.CheckHost(r.RegistryStr()))
			require.NoError(t, reference.CheckPath(r.RepositoryStr()))
		}
	})
}

// FuzzRedact: no password survives, wherever it is printed.
func FuzzRedact(f *testing.F) {
	f.Add("user", "password", "example.com/app")
	f.Fuzz(func(t *testing.T, user, password, rest string) {
		if len(password) < 4 || strings.ContainsAny(user+password, "/@:\n\"'` \t=(<>") || user == "" ||
			strings.Contains(user+rest, password) || strings.ContainsAny(rest, "@") {
			return
		}
		host, _, _ := strings.Cut(rest, "/")
		if reference.CheckHost(host) != nil {
			return
		}
		assert.NotContains(t, reference.Redact(user+":"+password+"@"+rest), password)
		if !strings.ContainsFunc(user+password, func(r rune) bool { return r <= ' ' || r > '~' }) {
			assert.NotContains(t, reference.RedactText("opening "+user+":"+password+"@"+rest+": no"), password)
		}
	})
}
