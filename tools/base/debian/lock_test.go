package debian_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/base/debian"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// upToDate lists the packages that trixie locks.
const upToDate = "app 1.0, lib 1.0+deb13u1 (trixie-security), zone 2026b (trixie-updates)"

type lockCase struct {
	change func(s *testSuites, b *config.Debian)
	want   string // locked for amd64
	notes  string // "" if there must be none
	err    string
}

func (c lockCase) test(t *testing.T) {
	key := newKey(t)
	suites := trixie(key)
	base := config.Debian{Suite: "trixie", Packages: []string{"app", "zone"}}
	if c.change != nil {
		c.change(suites, &base)
	}
	l := newLockTest(t, suites, key)
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
		security := strings.Contains(p.Archive, "security") || strings.Contains(p.Archive, "/updates")
		assert.Equal(t, security, got.Origin(p).Security)
	}
}

func TestLockSelectsHighestVersion(t *testing.T) {
	for name, c := range map[string]lockCase{
		"of all archives": {want: upToDate},
		"without updates": {
			change: func(_ *testSuites, b *config.Debian) { b.Security.Off = true }, want: "app 1.0, lib 1.0, zone 2026a",
		},
		"with component": {
			change: func(_ *testSuites, b *config.Debian) { b.Components = []string{"main"} }, want: upToDate,
		},
		"with epoch": {
			change: func(s *testSuites, _ *config.Debian) {
				s.main.packages = onBoth("app 1.0: Depends: lib\nlib 1:0.5\nzone 9")
			}, want: "app 1.0, lib 1:0.5, zone 2026b (trixie-updates)",
		},
		"with tilde": {
			change: func(s *testSuites, _ *config.Debian) {
				s.main.packages = onBoth("app 1.0~rc1: Depends: lib\nlib 2.0~deb13u1\nzone 1")
				s.security.packages = onBoth("app 1.0~~: Depends: lib\nlib 2.0~deb13u2")
			}, want: "app 1.0~rc1, lib 2.0~deb13u2 (trixie-security), zone 2026b (trixie-updates)",
		},
		"of equal versions, the suite's": {
			change: func(s *testSuites, _ *config.Debian) { s.security.packages = onBoth("lib 1.0\nzone 2026b") },
			want:   "app 1.0, lib 1.0, zone 2026b (trixie-updates)",
		},
		"with new dependency in the security archive": {
			change: func(s *testSuites, _ *config.Debian) {
				s.security.packages = onBoth("lib 1.1: Depends: lib-data (= 1.1)\nlib-data 1.1")
			}, want: "app 1.0, lib 1.1 (trixie-security), lib-data 1.1 (trixie-security), zone 2026b (trixie-updates)",
		},
		"even if a package depends on a lower one": {
			change: func(s *testSuites, _ *config.Debian) {
				s.main.packages = onBoth("app 1.0: Depends: lib (= 1.0)\nlib 1.0\nzone 1")
			}, err: "app depends on lib (= 1.0), but lib has version 1.0+deb13u1",
		},
	} {
		t.Run(name, c.test)
	}
}

func TestLockReadsSuiteUnderBothNames(t *testing.T) {
	old := time.Now().Add(-60 * 24 * time.Hour)
	for name, c := range map[string]lockCase{
		"only under the alias": {
			change: func(s *testSuites, b *config.Debian) {
				b.Suite, s.main.path = "stable", "/debian/dists/stable"
			}, want: upToDate,
		},
		"the requested name first": {
			change: func(s *testSuites, b *config.Debian) {
				b.Suite = "stable"
				alias := s.copyTo("/debian/dists/stable", s.main)
				alias.date, alias.packages = old, onBoth("app 0.9: Depends: lib\nlib 0.9\nzone 2025a")
			}, want: "app 0.9, lib 1.0+deb13u1 (trixie-security), zone 2026b (trixie-updates)",
		},
		"the codename if the alias is being updated": {
			change: func(s *testSuites, b *config.Debian) {
				b.Suite = "stable"
				alias := s.copyTo("/debian/dists/stable", s.main)
				alias.date, alias.corrupted = old, true
			}, want: upToDate, notes: "using dists/trixie of",
		},
		"the codename if the alias has expired": {
			change: func(s *testSuites, b *config.Debian) {
				b.Suite = "stable"
				s.copyTo("/debian/dists/stable", s.main).validFor = -time.Hour
			}, want: upToDate,
		},
		"fails if the suite is being updated": {
			change: func(s *testSuites, _ *config.Debian) { s.main.corrupted = true },
			err:    "verifying dists/trixie/main/binary-a",
		},
		"fails if the suite has expired": {
			change: func(s *testSuites, _ *config.Debian) { s.main.validFor = -time.Hour },
			err:    "the Release file of suite trixie expired on ",
		},
	} {
		t.Run(name, c.test)
	}
}

func TestLockRetriesTemporaryErrorsOnly(t *testing.T) {
	key := newKey(t)
	for status, want := range map[int]int{
		http.StatusServiceUnavailable: 4, http.StatusTooManyRequests: 4,
		http.StatusNotFound: 1, http.StatusUnauthorized: 1, http.StatusNotImplemented: 1,
	} {
		l := newLockTest(t, trixie(key), key)
		l.before = func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			return true
		}
		_, err := l.lock(t)
		var unavailable *debian.UnavailableError
		require.ErrorAs(t, err, &unavailable)
		assert.Len(t, l.takeRequests(), want, "requests after status %d", status)
	}
}

func TestLockUsesNextMirrorIfReleaseExpired(t *testing.T) {
	key := newKey(t)
	suites := trixie(key)
	good := newLockTest(t, suites, key)
	suites.security.validFor = -time.Hour
	expired := newLockTest(t, suites, key)
	expired.locker.Mirrors.Security = []string{expired.URL + "/debian-security", good.URL + "/debian-security"}
	got, err := expired.lock(t)
	require.NoError(t, err)
	assert.Equal(t, upToDate, versions(got, "arm64"))
}

func TestLockAcceptsExpiredReleaseOfFrozenMirrorAndSnapshot(t *testing.T) {
	key := newKey(t)
	suites := trixie(key)
	suites.security.validFor = -time.Hour
	l := newLockTest(t, suites, key)
	l.locker.Mirrors.Security = []string{l.URL + "/debian-security"}
	l.locker.Mirrors.Frozen = l.locker.Mirrors.Security
	_, err := l.lock(t)
	require.NoError(t, err)

	l.locker.Mirrors.Frozen = nil
	suites.security.path = "/archive/debian-security/20260101T000000Z/dists/trixie-security"
	suites.security.put(t, l.mirror)
	l.locker.Mirrors.Security = []string{l.URL + "/archive/debian-security/20260101T000000Z/"}
	_, err = l.lock(t)
	require.NoError(t, err)
}

func TestLockRetriesAndResumesDownloads(t *testing.T) {
	key := newKey(t)
	l := newLockTest(t, trixie(key), key)
	requests := map[string]int{}
	l.before = func(w http.ResponseWriter, r *http.Request) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		requests[r.URL.Path]++
		content, ok := l.files[r.URL.Path]
		if !ok {
			return false
		}
		switch {
		case strings.HasSuffix(r.URL.Path, "InRelease") && requests[r.URL.Path] <= 2:
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		case strings.HasSuffix(r.URL.Path, ".xz") && requests[r.URL.Path] == 1:
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
	assert.Equal(t, upToDate, versions(got, "amd64"))
	assert.Contains(t, strings.Join(l.notes, "\n"), "503 Service Unavailable; retrying")
}

func TestLockHonoursRetryAfter(t *testing.T) {
	key := newKey(t)
	l := newLockTest(t, trixie(key), key)
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

func TestLockStopsRedirectLoops(t *testing.T) {
	key := newKey(t)
	l := newLockTest(t, trixie(key), key)
	l.before = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, r.URL.Path, http.StatusFound)
		return true
	}
	_, err := l.lock(t)
	require.ErrorContains(t, err, "redirects")
	assert.LessOrEqual(t, len(l.takeRequests()), 11)
}
