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
// name or IPv4 address, or an IPv6 address in brackets, and a port. It is compiled when it is first needed, as path is.
var hostPattern = sync.OnceValue(func() *regexp.Regexp {
	const label = `[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?`
	return regexp.MustCompile(`^(?:` + label + `(?:\.` + label + `)*|\[([0-9A-Fa-f:]+)\])(?::([0-9]{1,5}))?$`)
})

// CheckHost returns a *HostError for a registry's host, with its port if it has one, that consists of anything but
// letters, digits, dots and hyphens, or of an IPv6 address in brackets. Hosts end up in pipelines and in other
// programs' files.
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

// HostError reports what is not the host of a registry. Host has no password in it.
type HostError struct{ Host string }

func (e *HostError) Error() string { return fmt.Sprintf("invalid host %q", e.Host) }

// Hint says how to write it.
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

// Check returns a *HostError or a *PathError for a repository that go-containerregistry accepts and no registry has.
func Check(r name.Repository) error {
	if err := CheckHost(r.RegistryStr()); err != nil {
		return err
	}
	return CheckPath(r.RepositoryStr())
}

// CheckName is Check for the name of a repository, which may lack its registry.
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

// Split cuts the name of a repository into its registry, "" if it has none, and its path. By docker's rule the first
// part is a registry if it has a dot or a colon, or is localhost.
func Split(repository string) (host, path string) {
	first, rest, more := strings.Cut(repository, "/")
	if more && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return first, rest
	}
	return "", repository
}
