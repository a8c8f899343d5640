package debian

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// DefaultMirror is used by machines without another mirror.
const DefaultMirror = "http://deb.debian.org/debian"

// defaultSecurity lists the mirrors of the security archive for machines without another one.
var defaultSecurity = []string{"http://deb.debian.org/debian-security", "http://security.debian.org/debian-security"}

// DefaultSnapshot is Debian's snapshot archive, which keeps every file forever.
const DefaultSnapshot = "http://snapshot.debian.org/archive"

// Mirrors lists base URLs of Debian's archives, in order of preference.
type Mirrors struct {
	Main     []string // of suites and their updates
	Security []string // of security updates
	// Frozen lists the mirrors whose expired Release files are accepted.
	Frozen []string
	// Snapshot is the base URL of the snapshot archive, "" to use none.
	Snapshot string

	securitySet bool // Security was set explicitly and does not follow Main
}

// With returns m with other mirrors. Either list may be empty. If only main is set, the mirrors of security updates are
// the security archives next to main, then main, then those of m.
func (m Mirrors) With(main, security []string) Mirrors {
	if len(main) > 0 {
		m.Main = main
		if !m.securitySet {
			m.Security = mergeUnique(securitySiblings(main), main, m.Security)
		}
	}
	if len(security) > 0 {
		m.Security, m.securitySet = security, true
	}
	return m
}

// ForBase returns m with the mirrors that a base sets. It removes Debian's snapshot archive if the base has a keyring,
// because the snapshot archive does not have other archives, and must not learn the names of private packages.
func (m Mirrors) ForBase(mirror string, security config.Security, keyring string) Mirrors {
	if keyring != "" && m.Snapshot == DefaultSnapshot {
		m.Snapshot = ""
	}
	return m.With(optional(mirror), optional(security.Mirror))
}

func optional(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// Archive returns the archive with the locked packages of an origin.
func (m Mirrors) Archive(origin lock.Archive) *Archive {
	a := &Archive{Mirrors: m.Main}
	name := "debian"
	if origin.Security {
		a.Mirrors, name = m.Security, "debian-security"
	}
	if m.Snapshot == "" {
		return a
	}
	date, err := time.Parse(time.RFC3339, origin.Date)
	if err != nil {
		return a
	}
	// The last snapshot before a Release file was signed may lack packages that are new in it, so the snapshot a day later
	// is tried, too. Mirrors keep packages that a Release file no longer lists for longer than a day.
	for _, at := range []time.Time{date, date.AddDate(0, 0, 1)} {
		a.Snapshots = append(a.Snapshots,
			strings.TrimRight(m.Snapshot, "/")+"/"+name+"/"+at.UTC().Format("20060102T150405Z"))
	}
	return a
}

// snapshotTime matches the URL of a snapshot.
var snapshotTime = regexp.MustCompile(`/[0-9]{8}T[0-9]{6}Z(/|$)`)

// securitySiblings returns the security archives next to mirrors: .../debian-security next to .../debian.
func securitySiblings(mirrors []string) []string {
	var out []string
	for _, mirror := range mirrors {
		parts := strings.Split(strings.TrimRight(mirror, "/"), "/")
		for i := len(parts) - 1; i > 2; i-- { // skip the scheme and the host
			if parts[i] == "debian" {
				parts[i] = "debian-security"
				out = append(out, strings.Join(parts, "/"))
				break
			}
		}
	}
	return out
}

// mergeUnique concatenates lists of mirrors without duplicates.
func mergeUnique(lists ...[]string) []string {
	var out []string
	for _, mirror := range slices.Concat(lists...) {
		if mirror = strings.TrimRight(mirror, "/"); !slices.Contains(out, mirror) {
			out = append(out, mirror)
		}
	}
	return out
}
