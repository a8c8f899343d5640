package debian_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/base/debian"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// dist is a suite as a mirror has it.
type dist struct {
	at       string // below the mirror: /debian/dists/trixie
	suite    string
	codename string
	label    string    // Debian, unless it is given
	date     time.Time // yesterday, unless it is given
	until    time.Duration
	packages map[string]string // by architecture: NAME VERSION[: FIELD: VALUE], a line each
	key      *openpgp.Entity
	changed  bool // its indexes are not what it says
}

// put puts a suite into a mirror.
func (d dist) put(t testing.TB, m *mirror) {
	t.Helper()
	var sums, archs strings.Builder
	for a, packages := range d.packages {
		index := ""
		for line := range strings.Lines(packages) {
			head, field, _ := strings.Cut(strings.TrimSpace(line), ": ")
			name, version, _ := strings.Cut(head, " ")
			var fields []string
			if field != "" {
				fields = []string{field}
			}
			index += stanza(name, version, a, fields...)
		}
		content := pack(t, ".xz", []byte(index))
		file := "main/binary-" + a + "/Packages.xz"
		fmt.Fprintf(&sums, " %s %d %s\n", sha(content), len(content), file)
		fmt.Fprintf(&archs, " %s", a)
		if d.changed {
			content[len(content)/2] ^= 1
		}
		m.put(d.at+"/"+file, content)
	}
	if d.date.IsZero() {
		d.date = time.Now().Add(-24 * time.Hour)
	}
	if d.label == "" {
		d.label = "Debian"
	}
	text := fmt.Sprintf("Origin: Debian\nLabel: %s\nSuite: %s\nCodename: %s\nDate: %s\n", d.label, d.suite, d.codename, d.date.UTC().Format(time.RFC1123))
	if d.until != 0 {
		text += "Valid-Until: " + time.Now().Add(d.until).UTC().Format(time.RFC1123) + "\n"
	}
	text += fmt.Sprintf("Architectures: all%s\nComponents: main\nSHA256:\n%s", archs.String(), sums.String())
	m.put(d.at+"/InRelease", sign(t, text, d.key))
}

// everywhere has the same packages for both architectures of the tests.
func everywhere(packages string) map[string]string {
	return map[string]string{"amd64": packages, "arm64": packages}
}

// archives are those of a stable suite, its updates and its security updates.
func archives(key *openpgp.Entity) map[string]*dist {
	return map[string]*dist{
		"main": {at: "/debian/dists/trixie", suite: "stable", codename: "trixie", packages: everywhere("app 1.0: Depends: lib\nlib 1.0\nzone 2026a"), key: key},
		"updates": {
			at: "/debian/dists/trixie-updates", suite: "stable-updates", codename: "trixie-updates", until: time.Hour, packages: everywhere("zone 2026b"), key: key,
		},
		"security": {
			at: "/debian-security/dists/trixie-security", suite: "stable-security", codename: "trixie-security", label: "Debian-Security", until: time.Hour,
			packages: everywhere("lib 1.0+deb13u1"), key: key,
		},
	}
}

// locking locks a base of the suites that a test makes.
type locking struct {
	*mirror
	key    *openpgp.Entity
	base   config.Debian
	locker debian.Locker
	mu     sync.Mutex
	notes  []string
}

func newLocking(t *testing.T, dists map[string]*dist, key *openpgp.Entity) *locking {
	m := newMirror(t)
	for _, d := range dists {
		d.put(t, m)
	}
	l := &locking{mirror: m, key: key, base: config.Debian{Suite: "trixie", Packages: []string{"app", "zone"}}}
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

func (l *locking) lock(t *testing.T) (*lock.Debian, error) {
	return l.locker.Lock(t.Context(), lock.Requirement{Name: "b", Base: config.Base{Debian: &l.base}, Platforms: []arch.Platform{
		{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"},
	}})
}

// versions are those of an architecture, with the archives that they are from.
func versions(d *lock.Debian, architecture string) string {
	var out []string
	for _, p := range d.Architectures[architecture] {
		word := p.Name + " " + p.Version
		if p.Archive != "" {
			word += " (" + p.Archive + ")"
		}
		out = append(out, word)
	}
	return strings.Join(out, ", ")
}

const usual = "app 1.0, lib 1.0+deb13u1 (trixie-security), zone 2026b (trixie-updates)"

func TestLockOfAllArchives(t *testing.T) {
	old := time.Now().Add(-60 * 24 * time.Hour)
	alone := "app 1.0, lib 1.0, zone 2026a"
	for name, c := range map[string]struct {
		change func(all map[string]*dist, l *config.Debian)
		want   string // versions for amd64
		notes  string
		err    string
	}{
		"the highest version": {want: usual},
		"without": {
			change: func(all map[string]*dist, b *config.Debian) { b.Security.Off = true }, want: alone,
		},
		"the alias of the suite": {
			change: func(all map[string]*dist, b *config.Debian) {
				b.Suite = "stable"
				all["main"].at = "/debian/dists/stable"
			}, want: usual,
		},
		"an alias before its codename": {
			change: func(all map[string]*dist, b *config.Debian) {
				b.Suite = "stable"
				asked := *all["main"]
				asked.at, asked.date, asked.packages = "/debian/dists/stable", old, everywhere("app 0.9: Depends: lib\nlib 0.9\nzone 2025a")
				all["asked"] = &asked
			}, want: "app 0.9, lib 1.0+deb13u1 (trixie-security), zone 2026b (trixie-updates)",
		},
		"an alias that is being updated": {
			change: func(all map[string]*dist, b *config.Debian) {
				b.Suite = "stable"
				asked := *all["main"]
				asked.at, asked.date, asked.changed = "/debian/dists/stable", old, true
				all["asked"] = &asked
			}, want: usual, notes: "using dists/trixie of",
		},
		"a suite that is being updated": {
			change: func(all map[string]*dist, b *config.Debian) { all["main"].changed = true }, err: "verifying dists/trixie/main/binary-a",
		},
		"a security alias that lags behind": {
			change: func(all map[string]*dist, b *config.Debian) {
				b.Suite = "stable"
				all["main"].at = "/debian/dists/stable"
				older := *all["security"]
				older.at, older.codename = "/debian-security/dists/stable-security", "bookworm-security"
				all["older"] = &older
			}, want: usual,
		},
		"nothing but a security alias that lags behind": {
			change: func(all map[string]*dist, b *config.Debian) {
				all["security"].at, all["security"].codename = "/debian-security/dists/stable-security", "bookworm-security"
			}, err: "security updates of suite trixie: the Release file of suite stable-security is for suite stable-security, codename bookworm-security",
		},
		"nothing but a security alias": {
			change: func(all map[string]*dist, b *config.Debian) {
				all["security"].at = "/debian-security/dists/stable-security"
			},
			want: "app 1.0, lib 1.0+deb13u1 (stable-security), zone 2026b (trixie-updates)",
		},
		"security updates that are being updated": {
			change: func(all map[string]*dist, b *config.Debian) {
				other := *all["security"]
				other.at, all["security"].changed = "/debian-security/dists/stable-security", true
				all["other"] = &other
			}, want: "app 1.0, lib 1.0+deb13u1 (stable-security), zone 2026b (trixie-updates)",
		},
		"security updates that are being updated, and no others": {
			change: func(all map[string]*dist, b *config.Debian) { all["security"].changed = true },
			err:    "security updates of suite trixie: downloading the package index of suite trixie-security, component main, for a",
		},
		"security updates that have expired": {
			change: func(all map[string]*dist, b *config.Debian) { all["security"].until = -time.Hour },
			err:    "security updates of suite trixie: downloading the Release file of suite trixie-security from http",
		},
		"security updates that have expired, and an alias that has not": {
			change: func(all map[string]*dist, b *config.Debian) {
				other := *all["security"]
				other.at, all["security"].until = "/debian-security/dists/stable-security", -time.Hour
				all["other"] = &other
			}, want: "app 1.0, lib 1.0+deb13u1 (stable-security), zone 2026b (trixie-updates)",
		},
		"security updates that have expired, of a frozen archive": {
			change: func(all map[string]*dist, b *config.Debian) {
				all["security"].until, b.CheckValidUntil = -time.Hour, new(bool)
			}, want: usual,
		},
		"a suite that has expired": {
			change: func(all map[string]*dist, b *config.Debian) { all["main"].until = -time.Hour }, err: "the Release file of suite trixie expired on ",
		},
		"an alias that has expired": {
			change: func(all map[string]*dist, b *config.Debian) {
				b.Suite = "stable"
				older := *all["main"]
				older.at, older.until = "/debian/dists/stable", -time.Hour
				all["older"] = &older
			}, want: usual,
		},
		"security updates with another key": {
			change: func(all map[string]*dist, b *config.Debian) { all["security"].key = newKey(t) }, err: "verifying the signature of suite trixie-security by key",
		},
		"updates with another key": {
			change: func(all map[string]*dist, b *config.Debian) { all["updates"].key = newKey(t) }, err: "verifying the signature of suite trixie-updates by key",
		},
		"no security updates": {
			change: func(all map[string]*dist, b *config.Debian) { delete(all, "security") }, err: "security updates of suite trixie: downloading the Release file of suite trixie-security from",
		},
		"no updates": {
			change: func(all map[string]*dist, b *config.Debian) { delete(all, "updates") },
			want:   "app 1.0, lib 1.0+deb13u1 (trixie-security), zone 2026a", notes: "suite trixie: no updates between point releases",
		},
		"the suite itself in place of its security updates": {
			change: func(all map[string]*dist, b *config.Debian) {
				other := *all["main"]
				other.at = all["security"].at
				all["security"] = &other
			}, err: "the Release file of suite trixie-security is for suite stable, codename trixie",
		},
		"an architecture without security updates": {
			change: func(all map[string]*dist, b *config.Debian) { delete(all["security"].packages, "amd64") },
			want:   "app 1.0, lib 1.0, zone 2026b (trixie-updates)", notes: "suite trixie-security has no packages for amd64; using suite trixie only",
		},
		"in one tree": {
			change: func(all map[string]*dist, b *config.Debian) { all["security"].at = "/debian/dists/trixie-security" }, want: usual,
		},
		"a component that only the suite has": {
			change: func(all map[string]*dist, b *config.Debian) {
				b.Components = []string{"main"}
			}, want: usual,
		},
		"an epoch before all else": {
			change: func(all map[string]*dist, b *config.Debian) {
				all["main"].packages = everywhere("app 1.0: Depends: lib\nlib 1:0.5\nzone 9")
			}, want: "app 1.0, lib 1:0.5, zone 2026b (trixie-updates)",
		},
		"a tilde before the end": {
			change: func(all map[string]*dist, b *config.Debian) {
				all["main"].packages = everywhere("app 1.0~rc1: Depends: lib\nlib 2.0~deb13u1\nzone 1")
				all["security"].packages = everywhere("app 1.0~~: Depends: lib\nlib 2.0~deb13u2")
			}, want: "app 1.0~rc1, lib 2.0~deb13u2 (trixie-security), zone 2026b (trixie-updates)",
		},
		"equal versions": {
			change: func(all map[string]*dist, b *config.Debian) {
				all["security"].packages = everywhere("lib 1.0\nzone 2026b")
			},
			want: "app 1.0, lib 1.0, zone 2026b (trixie-updates)",
		},
		"a new package in the security archive": {
			change: func(all map[string]*dist, b *config.Debian) {
				all["security"].packages = everywhere("lib 1.1: Depends: lib-data (= 1.1)\nlib-data 1.1")
			}, want: "app 1.0, lib 1.1 (trixie-security), lib-data 1.1 (trixie-security), zone 2026b (trixie-updates)",
		},
		"what needs an older version": {
			change: func(all map[string]*dist, b *config.Debian) {
				all["main"].packages = everywhere("app 1.0: Depends: lib (= 1.0)\nlib 1.0\nzone 1")
			}, err: "app depends on lib (= 1.0), but lib has version 1.0+deb13u1",
		},
		"unstable": {
			change: func(all map[string]*dist, b *config.Debian) {
				b.Suite = "sid"
				all["main"].at, all["main"].suite, all["main"].codename = "/debian/dists/sid", "unstable", "sid"
			}, want: alone,
		},
		"the alias of unstable": {
			change: func(all map[string]*dist, b *config.Debian) {
				b.Suite = "unstable"
				all["main"].at, all["main"].suite, all["main"].codename = "/debian/dists/unstable", "unstable", "sid"
			}, want: alone,
		},
		"testing": {
			change: func(all map[string]*dist, b *config.Debian) {
				b.Suite = "testing"
				all["main"].at, all["main"].suite, all["main"].codename = "/debian/dists/testing", "testing", "forky"
				all["security"].at, all["security"].suite, all["security"].codename = "/debian-security/dists/testing-security", "testing-security", "forky-security"
				all["updates"].at, all["updates"].suite, all["updates"].codename = "/debian/dists/testing-updates", "testing-updates", "forky-updates"
			}, want: "app 1.0, lib 1.0+deb13u1 (testing-security), zone 2026b (testing-updates)",
		},
		"a suite with its security updates in a folder": {
			change: func(all map[string]*dist, b *config.Debian) {
				b.Suite = "buster"
				all["main"].at, all["main"].suite, all["main"].codename = "/debian/dists/buster", "oldoldstable", "buster"
				all["security"].at, all["security"].suite, all["security"].codename = "/debian-security/dists/buster/updates", "oldoldstable", "buster"
			}, want: "app 1.0, lib 1.0+deb13u1 (buster/updates), zone 2026a", notes: "no updates between point releases",
		},
		"the suite itself in place of the folder": {
			change: func(all map[string]*dist, b *config.Debian) {
				b.Suite = "buster"
				all["main"].at, all["main"].suite, all["main"].codename = "/debian/dists/buster", "oldoldstable", "buster"
				other := *all["main"]
				other.at = "/debian-security/dists/buster/updates"
				all["security"] = &other
			}, err: "the Release file of suite buster/updates is for suite oldoldstable",
		},
	} {
		t.Run(name, func(t *testing.T) {
			key := newKey(t)
			all := archives(key)
			base := config.Debian{Suite: "trixie", Packages: []string{"app", "zone"}}
			if c.change != nil {
				c.change(all, &base)
			}
			l := newLocking(t, all, key)
			l.base = base
			got, err := l.lock(t)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, versions(got, "amd64"))
			assert.Contains(t, strings.Join(l.notes, "\n"), c.notes)
			if c.notes == "" {
				assert.Empty(t, l.notes)
			}
			require.NotNil(t, got.Security)
			assert.Equal(t, base.Security, *got.Security)
			for _, p := range got.Architectures["amd64"] {
				assert.Equal(t, strings.Contains(p.Archive, "security") || strings.Contains(p.Archive, "/updates"), got.Origin(p).Security)
			}
		})
	}
}

// TestSecurityIsNotAsked: what is opted out of, and what a suite does not have, is not looked for.
func TestSecurityIsNotAsked(t *testing.T) {
	key := newKey(t)
	for _, suite := range []string{"trixie", "sid", "experimental", "trixie-backports", "trixie-security"} {
		all := archives(key)
		all["main"].at, all["main"].suite, all["main"].codename = "/debian/dists/"+suite, suite, suite
		l := newLocking(t, all, key)
		l.base.Suite, l.base.Security.Off = suite, suite == "trixie"
		_, err := l.lock(t)
		require.NoError(t, err)
		requests := l.asked()
		assert.NotEmpty(t, requests)
		for _, r := range requests {
			assert.True(t, strings.HasPrefix(r, "/debian/dists/"+suite+"/"), r)
		}
	}
}

func TestSecurityErrorsHelp(t *testing.T) {
	key := newKey(t)
	all := archives(key)
	delete(all, "security")
	l := newLocking(t, all, key)
	_, err := l.lock(t)
	var e *debian.UpdatesError
	require.ErrorAs(t, err, &e)
	assert.Contains(t, e.Hint(), "security: http://deb.debian.org/debian-security")
	assert.Contains(t, e.Hint(), "security: false")

	all = archives(key)
	all["security"].until = -time.Hour
	_, err = newLocking(t, all, key).lock(t)
	require.ErrorAs(t, err, &e)
	assert.Contains(t, e.Hint(), "check this machine's clock")
	assert.Contains(t, e.Hint(), "check_valid_until: false")
}

// TestNextMirrorIsValid: an expired Release on one mirror is no reason to stop if another mirror is up to date, and
// none on a mirror that is frozen.
func TestNextMirrorIsValid(t *testing.T) {
	key := newKey(t)
	all := archives(key)
	good := newLocking(t, all, key)
	all["security"].until = -time.Hour
	stale := newLocking(t, all, key)
	stale.locker.Mirrors.Security = []string{stale.URL + "/debian-security", good.URL + "/debian-security"}
	got, err := stale.lock(t)
	require.NoError(t, err)
	assert.Equal(t, usual, versions(got, "arm64"))

	stale.locker.Mirrors.Security = stale.locker.Mirrors.Security[:1]
	stale.locker.Mirrors.Frozen = stale.locker.Mirrors.Security
	_, err = stale.lock(t)
	require.NoError(t, err)

	// A snapshot is as old as its address says.
	stale.locker.Mirrors.Frozen = nil
	all["security"].at = "/archive/debian-security/20260101T000000Z/dists/trixie-security"
	all["security"].put(t, stale.mirror)
	stale.locker.Mirrors.Security = []string{stale.URL + "/archive/debian-security/20260101T000000Z/"}
	_, err = stale.lock(t)
	require.NoError(t, err)
}

// TestLockRetries: what breaks off or fails for a moment is tried again, and continued.
func TestLockRetries(t *testing.T) {
	key := newKey(t)
	l := newLocking(t, archives(key), key)
	seen := map[string]int{}
	l.before = func(w http.ResponseWriter, r *http.Request) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		seen[r.URL.Path]++
		content, ok := l.files[r.URL.Path]
		if !ok {
			return false
		}
		switch {
		case strings.HasSuffix(r.URL.Path, "InRelease") && seen[r.URL.Path] <= 2:
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		case strings.HasSuffix(r.URL.Path, ".xz") && seen[r.URL.Path] == 1:
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			_, _ = w.Write(content[:50])
			return true
		case strings.HasSuffix(r.URL.Path, ".xz"):
			assert.Equal(t, "bytes=50-", r.Header.Get("Range"))
		}
		return false
	}
	got, err := l.lock(t)
	require.NoError(t, err)
	assert.Equal(t, usual, versions(got, "amd64"))
	assert.Contains(t, strings.Join(l.notes, "\n"), "503 Service Unavailable; retrying")
}

func TestLockGivesUp(t *testing.T) {
	key := newKey(t)
	for status, want := range map[int]int{http.StatusServiceUnavailable: 4, http.StatusTooManyRequests: 4, http.StatusNotFound: 1, http.StatusUnauthorized: 1, http.StatusNotImplemented: 1} {
		l := newLocking(t, archives(key), key)
		l.before = func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			return true
		}
		_, err := l.lock(t)
		var gone *debian.UnavailableError
		require.ErrorAs(t, err, &gone)
		assert.Len(t, l.asked(), want, "%d", status)
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	key := newKey(t)
	l := newLocking(t, archives(key), key)
	var once sync.Once
	l.before = func(w http.ResponseWriter, _ *http.Request) (busy bool) {
		once.Do(func() {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			busy = true
		})
		return busy
	}
	start := time.Now()
	_, err := l.lock(t)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, time.Since(start), time.Second)
}

func TestRedirectLoopEnds(t *testing.T) {
	key := newKey(t)
	l := newLocking(t, archives(key), key)
	l.before = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, r.URL.Path, http.StatusFound)
		return true
	}
	_, err := l.lock(t)
	require.ErrorContains(t, err, "redirects")
	assert.LessOrEqual(t, len(l.asked()), 11)
}
