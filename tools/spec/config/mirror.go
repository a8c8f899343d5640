package config

import (
	"net/url"
	"strings"
	"unicode"

	"github.com/multiarch-build/multiarch/tools/oci/reference"
)

// mirrorPath matches the path of a mirror.
var mirrorPath = lazy(`^(/[A-Za-z0-9._~+-]*)*$`)

// isMirror reports whether s is the base URL of an archive served over HTTP. As in apt's sources,
// it may contain a user name and password.
func isMirror(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && reference.CheckHost(u.Host) == nil &&
		mirrorPath().MatchString(
			u.EscapedPath(),
		) && !strings.ContainsAny(s, "?#") && !strings.ContainsFunc(s, unicode.IsControl)
}
