package reference

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
)

// hostPattern is the grammar of <domain> in github.com/distribution/reference, which docker and podman follow: a DNS
// name or IPv4 address, or an IPv6 address in brackets, and an optional port. It is compiled on first use, like path.
var hostPattern = sync.OnceValue(func() *regexp.Regexp {
	const label = `[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?`
	return regexp.MustCompile(`^(?:` + label + `(?:\.` + label + `)*|\[([0-9A-Fa-f:]+)\])(?::([0-9]{1,5}))?$`)
})

// CheckHost returns a *HostError unless host is a host name or IP address with an optional port. Pipelines and the
// configuration of other programs contain hosts, so that other characters could be interpreted there.
func CheckHost(host string) error {
	m := hostPattern().FindStringSubmatch(host)
	if m == nil || len(host) > 255 {
		return &HostError{Redact(host)}
	}
	if m[1] != "" {
		if a, err := netip.ParseAddr(m[1]); err != nil || !a.Is6() {
			return &HostError{host}
		}
	}
	if m[2] != "" {
		if port, err := strconv.Atoi(m[2]); err != nil || port < 1 || port > 65535 {
			return &HostError{host}
		}
	}
	return nil
}

// HostError reports an invalid host of a registry. Host contains no password.
type HostError struct{ Host string }

func (e *HostError) Error() string { return fmt.Sprintf("invalid host %q", e.Host) }

// Hint describes valid hosts.
func (e *HostError) Hint() string {
	if strings.Contains(e.Host, "@") {
		return "leave out the user name and password, and log in instead: " +
			"multiarch login REGISTRY --username NAME --password-stdin"
	}
	if scheme, _, ok := strings.Cut(e.Host, "://"); ok {
		return fmt.Sprintf("leave out %q", scheme+"://")
	}
	return "use letters, digits, dots and hyphens, or an IPv6 address in brackets, then :PORT if needed, " +
		"such as registry.example.com:5000"
}

// Check returns a *HostError or a *PathError for a repository that go-containerregistry accepts, but no registry.
func Check(r name.Repository) error {
	if err := CheckHost(r.RegistryStr()); err != nil {
		return err
	}
	return CheckPath(r.RepositoryStr())
}

// CheckName is like Check for the name of a repository, with or without its registry.
func CheckName(repository string) error {
	r, err := name.NewRepository(repository)
	if err != nil {
		host, path := Split(repository)
		if host != "" && CheckHost(host) != nil {
			return CheckHost(host)
		}
		return &PathError{Redact(path)}
	}
	return Check(r)
}

// Split splits the name of a repository into its registry, which may be "", and its path. As in docker, the first part
// is a registry if it contains a dot or a colon, or is localhost.
func Split(repository string) (host, path string) {
	first, rest, more := strings.Cut(repository, "/")
	if more && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return first, rest
	}
	return "", repository
}
