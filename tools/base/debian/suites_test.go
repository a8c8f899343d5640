package debian_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/base/debian"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// testSuite is a suite on a mirror.
type testSuite struct {
	path      string // below the mirror: /debian/dists/trixie
	suite     string
	codename  string
	label     string            // default: Debian
	date      time.Time         // default: yesterday
	validFor  time.Duration     // from now; 0 means no Valid-Until
	packages  map[string]string // by architecture; lines of NAME VERSION[: FIELD: VALUE]
	key       *openpgp.Entity
	corrupted bool // indexes differ from their checksums
}

// rename changes the path and the names of the suite.
func (s *testSuite) rename(path, suite, codename string) {
	s.path, s.suite, s.codename = path, suite, codename
}

// put adds the suite to a mirror.
func (s testSuite) put(t testing.TB, m *mirror) {
	t.Helper()
	var sums, architectures strings.Builder
	for architecture, packages := range s.packages {
		index := ""
		for line := range strings.Lines(packages) {
			head, field, _ := strings.Cut(strings.TrimSpace(line), ": ")
			name, version, _ := strings.Cut(head, " ")
			var fields []string
			if field != "" {
				fields = []string{field}
			}
			index += stanza(name, version, architecture, fields...)
		}
		content := compress(t, ".xz", []byte(index))
		file := "main/binary-" + architecture + "/Packages.xz"
		fmt.Fprintf(&sums, " %s %d %s\n", sha(content), len(content), file)
		fmt.Fprintf(&architectures, " %s", architecture)
		if s.corrupted {
			content[len(content)/2] ^= 1
		}
		m.put(s.path+"/"+file, content)
	}
	if s.date.IsZero() {
		s.date = time.Now().Add(-24 * time.Hour)
	}
	if s.label == "" {
		s.label = "Debian"
	}
	text := fmt.Sprintf("Origin: Debian\nLabel: %s\nSuite: %s\nCodename: %s\nDate: %s\n",
		s.label, s.suite, s.codename, s.date.UTC().Format(time.RFC1123))
	if s.validFor != 0 {
		text += "Valid-Until: " + time.Now().Add(s.validFor).UTC().Format(time.RFC1123) + "\n"
	}
	text += fmt.Sprintf("Architectures: all%s\nComponents: main\nSHA256:\n%s", architectures.String(), sums.String())
	m.put(s.path+"/InRelease", sign(t, text, s.key))
}

// onBoth returns the same packages for both architectures of the tests.
func onBoth(packages string) map[string]string {
	return map[string]string{"amd64": packages, "arm64": packages}
}

// testSuites contains a suite and its updates. Tests may remove the updates and add more suites.
type testSuites struct {
	main, updates, security *testSuite
	more                    []*testSuite
}

// trixie returns stable suites signed with key.
func trixie(key *openpgp.Entity) *testSuites {
	return &testSuites{
		main: &testSuite{
			path: "/debian/dists/trixie", suite: "stable", codename: "trixie",
			packages: onBoth("app 1.0: Depends: lib\nlib 1.0\nzone 2026a"), key: key,
		},
		updates: &testSuite{
			path: "/debian/dists/trixie-updates", suite: "stable-updates", codename: "trixie-updates",
			validFor: time.Hour, packages: onBoth("zone 2026b"), key: key,
		},
		security: &testSuite{
			path: "/debian-security/dists/trixie-security", suite: "stable-security", codename: "trixie-security",
			label: "Debian-Security", validFor: time.Hour, packages: onBoth("lib 1.0+deb13u1"), key: key,
		},
	}
}

// copyTo adds a copy of a suite at another path, and returns it.
func (s *testSuites) copyTo(path string, suite *testSuite) *testSuite {
	c := *suite
	c.path = path
	s.more = append(s.more, &c)
	return &c
}

// lockTest locks a base on a mirror with the suites of a test.
type lockTest struct {
	*mirror
	base   config.Debian
	locker debian.Locker
	mu     sync.Mutex
	notes  []string
}

func newLockTest(t *testing.T, suites *testSuites, key *openpgp.Entity) *lockTest {
	t.Helper()
	m := newMirror(t)
	for _, s := range append([]*testSuite{suites.main, suites.updates, suites.security}, suites.more...) {
		if s != nil {
			s.put(t, m)
		}
	}
	l := &lockTest{mirror: m, base: config.Debian{Suite: "trixie", Packages: []string{"app", "zone"}}}
	l.locker = debian.Locker{
		Mirrors: debian.Mirrors{}.With([]string{m.URL + "/debian"}, nil), Keyring: publicKey(t, key),
		Notify: func(message string) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.notes = append(l.notes, message)
		},
	}
	debian.DisableLockerPause(&l.locker)
	return l
}

func (l *lockTest) lock(t *testing.T) (*lock.Debian, error) {
	return l.locker.Lock(t.Context(), lock.Requirement{
		Name: "b", Base: config.Base{Debian: &l.base},
		Platforms: []arch.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}},
	})
}

// versions lists the locked packages of an architecture with the archives of their updates.
func versions(d *lock.Debian, architecture string) string {
	var out []string
	for _, p := range d.Architectures[architecture] {
		version := p.Name + " " + p.Version
		if p.Archive != "" {
			version += " (" + p.Archive + ")"
		}
		out = append(out, version)
	}
	return strings.Join(out, ", ")
}
