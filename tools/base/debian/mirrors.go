package debian

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// DefaultMirror is the mirror of machines that name no other.
const DefaultMirror = "http://deb.debian.org/debian"

// defaultSecurity are the mirrors of the security archive for machines that name no other.
var defaultSecurity = []string{"http://deb.debian.org/debian-security", "http://security.debian.org/debian-security"}

// DefaultSnapshot is Debian's snapshot archive, which keeps every file of every archive.
const DefaultSnapshot = "http://snapshot.debian.org/archive"

// Mirrors are the base URLs of Debian's archives. Each list is in the order in which mirrors are asked.
type Mirrors struct {
	Main     []string // of suites and their updates
	Security []string // of security updates
	// Frozen are those mirrors whose Releases are accepted after their Valid-Until.
	Frozen []string
	// Snapshot is the base URL of the snapshot archive, "" if it is not to be asked.
	Snapshot string

	chosen bool // Security was given, and is not replaced by what belongs to Main
}

// With returns m with other mirrors, of which either list may be empty. If only main is given, security updates are
// looked for in the security archive beside it, then in its own tree, and then where m has them.
func (m Mirrors) With(main, security []string) Mirrors {
	if len(main) > 0 {
		m.Main = main
		if !m.chosen {
			m.Security = unique(siblings(main), main, m.Security)
		}
	}
	if len(security) > 0 {
		m.Security, m.chosen = security, true
	}
	return m
}

// Of returns the mirrors of a base: those that it names, and m for the rest. An archive with other keys than Debian's is
// not in Debian's snapshot archive, which is not asked for its packages.
func (m Mirrors) Of(mirror string, security config.Security, keyring string) Mirrors {
	if keyring != "" && m.Snapshot == DefaultSnapshot {
		m.Snapshot = ""
	}
	return m.With(word(mirror), word(security.Mirror))
}

func word(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// Pool returns the archive that has the locked packages of one origin.
func (m Mirrors) Pool(origin lock.Archive) *Archive {
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
	// A snapshot is taken after a Release is signed: the last one before it may lack what the Release has added. Mirrors
	// keep what a Release has dropped for longer than a day.
	for _, at := range []time.Time{date, date.AddDate(0, 0, 1)} {
		a.Snapshots = append(a.Snapshots, strings.TrimRight(m.Snapshot, "/")+"/"+name+"/"+at.UTC().Format("20060102T150405Z"))
	}
	return a
}

// snapshotTime matches a mirror that is an archive as it was at some time.
var snapshotTime = regexp.MustCompile(`/[0-9]{8}T[0-9]{6}Z(/|$)`)

// siblings returns the security archives beside mirrors: .../debian-security beside .../debian.
func siblings(mirrors []string) []string {
	var out []string
	for _, mirror := range mirrors {
		parts := strings.Split(strings.TrimRight(mirror, "/"), "/")
		for i := len(parts) - 1; i > 2; i-- { // before that are the scheme and the host
			if parts[i] == "debian" {
				parts[i] = "debian-security"
				out = append(out, strings.Join(parts, "/"))
				break
			}
		}
	}
	return out
}

// unique joins lists of mirrors, each mirror once.
func unique(lists ...[]string) []string {
	var out []string
	for _, mirror := range slices.Concat(lists...) {
		if mirror = strings.TrimRight(mirror, "/"); !slices.Contains(out, mirror) {
			out = append(out, mirror)
		}
	}
	return out
}
