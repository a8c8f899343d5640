package debian_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/base/debian"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// securityAlias is the path of trixie's security updates under their alias.
const securityAlias = "/debian-security/dists/stable-security"

func TestLockFindsSecurityUpdates(t *testing.T) {
	const fromAlias = "app 1.0, lib 1.0+deb13u1 (stable-security), zone 2026b (trixie-updates)"
	for name, c := range map[string]lockCase{
		"under the codename if the alias refers to an older release": {
			change: func(s *testSuites, b *config.Debian) {
				b.Suite, s.main.path = "stable", "/debian/dists/stable"
				s.copyTo(securityAlias, s.security).codename = "bookworm-security"
			}, want: upToDate,
		},
		"under the alias": {
			change: func(s *testSuites, _ *config.Debian) { s.security.path = securityAlias }, want: fromAlias,
		},
		"under the alias while the codename is being updated": {
			change: func(s *testSuites, _ *config.Debian) {
				s.copyTo(securityAlias, s.security)
				s.security.corrupted = true
			}, want: fromAlias,
		},
		"under the alias if the codename has expired": {
			change: func(s *testSuites, _ *config.Debian) {
				s.copyTo(securityAlias, s.security)
				s.security.validFor = -time.Hour
			}, want: fromAlias,
		},
		"of a frozen archive": {
			change: func(s *testSuites, b *config.Debian) {
				s.security.validFor, b.CheckValidUntil = -time.Hour, new(bool)
			}, want: upToDate,
		},
		"in the tree of the suite": {
			change: func(s *testSuites, _ *config.Debian) { s.security.path = "/debian/dists/trixie-security" },
			want:   upToDate,
		},
		"of testing": {
			change: func(s *testSuites, b *config.Debian) {
				b.Suite = "testing"
				s.main.rename("/debian/dists/testing", "testing", "forky")
				s.security.rename("/debian-security/dists/testing-security", "testing-security", "forky-security")
				s.updates.rename("/debian/dists/testing-updates", "testing-updates", "forky-updates")
			}, want: "app 1.0, lib 1.0+deb13u1 (testing-security), zone 2026b (testing-updates)",
		},
		"in a subdirectory": {
			change: func(s *testSuites, b *config.Debian) {
				b.Suite = "buster"
				s.main.rename("/debian/dists/buster", "oldoldstable", "buster")
				s.security.rename("/debian-security/dists/buster/updates", "oldoldstable", "buster")
			},
			want:  "app 1.0, lib 1.0+deb13u1 (buster/updates), zone 2026a",
			notes: "no updates between point releases",
		},
	} {
		t.Run(name, c.test)
	}
}

func TestLockRejectsInvalidSecurityUpdates(t *testing.T) {
	for name, c := range map[string]lockCase{
		"of an older release": {
			change: func(s *testSuites, _ *config.Debian) {
				s.security.path, s.security.codename = securityAlias, "bookworm-security"
			},
			err: "security updates of suite trixie: the Release file of suite stable-security is for suite " +
				"stable-security, codename bookworm-security",
		},
		"that are being updated": {
			change: func(s *testSuites, _ *config.Debian) { s.security.corrupted = true },
			err: "security updates of suite trixie: downloading the package index of suite trixie-security, " +
				"component main, for a",
		},
		"that have expired": {
			change: func(s *testSuites, _ *config.Debian) { s.security.validFor = -time.Hour },
			err: "security updates of suite trixie: downloading the Release file of suite trixie-security " +
				"from http",
		},
		"with another key": {
			change: func(s *testSuites, _ *config.Debian) { s.security.key = newKey(t) },
			err:    "verifying the signature of suite trixie-security by key",
		},
		"that are missing": {
			change: func(s *testSuites, _ *config.Debian) { s.security = nil },
			err: "security updates of suite trixie: downloading the Release file of suite trixie-security " +
				"from",
		},
		"replaced by the suite": {
			change: func(s *testSuites, _ *config.Debian) {
				s.copyTo(s.security.path, s.main)
				s.security = nil
			}, err: "the Release file of suite trixie-security is for suite stable, codename trixie",
		},
		"replaced by the suite in the subdirectory": {
			change: func(s *testSuites, b *config.Debian) {
				b.Suite = "buster"
				s.main.rename("/debian/dists/buster", "oldoldstable", "buster")
				s.copyTo("/debian-security/dists/buster/updates", s.main)
				s.security = nil
			}, err: "the Release file of suite buster/updates is for suite oldoldstable",
		},
	} {
		t.Run(name, c.test)
	}
}

func TestLockWithoutUpdates(t *testing.T) {
	const suiteOnly = "app 1.0, lib 1.0, zone 2026a"
	for name, c := range map[string]lockCase{
		"missing updates between point releases": {
			change: func(s *testSuites, _ *config.Debian) { s.updates = nil },
			want:   "app 1.0, lib 1.0+deb13u1 (trixie-security), zone 2026a",
			notes:  "suite trixie: no updates between point releases",
		},
		"updates with another key are an error": {
			change: func(s *testSuites, _ *config.Debian) { s.updates.key = newKey(t) },
			err:    "verifying the signature of suite trixie-updates by key",
		},
		"no security updates for an architecture": {
			change: func(s *testSuites, _ *config.Debian) { delete(s.security.packages, "amd64") },
			want:   "app 1.0, lib 1.0, zone 2026b (trixie-updates)",
			notes:  "suite trixie-security has no packages for amd64; using suite trixie only",
		},
		"sid": {
			change: func(s *testSuites, b *config.Debian) {
				b.Suite = "sid"
				s.main.rename("/debian/dists/sid", "unstable", "sid")
			}, want: suiteOnly,
		},
		"unstable": {
			change: func(s *testSuites, b *config.Debian) {
				b.Suite = "unstable"
				s.main.rename("/debian/dists/unstable", "unstable", "sid")
			}, want: suiteOnly,
		},
	} {
		t.Run(name, c.test)
	}
}

func TestLockDoesNotRequestUpdatesThatItDoesNotUse(t *testing.T) {
	key := newKey(t)
	for _, suite := range []string{"trixie", "sid", "experimental", "trixie-backports", "trixie-security"} {
		suites := trixie(key)
		suites.main.rename("/debian/dists/"+suite, suite, suite)
		l := newLockTest(t, suites, key)
		l.base.Suite, l.base.Security.Off = suite, suite == "trixie"
		_, err := l.lock(t)
		require.NoError(t, err)
		requests := l.takeRequests()
		assert.NotEmpty(t, requests)
		for _, r := range requests {
			assert.True(t, strings.HasPrefix(r, "/debian/dists/"+suite+"/"), r)
		}
	}
}

func TestUpdatesErrorHints(t *testing.T) {
	key := newKey(t)
	suites := trixie(key)
	suites.security = nil
	_, err := newLockTest(t, suites, key).lock(t)
	var e *debian.UpdatesError
	require.ErrorAs(t, err, &e)
	assert.Contains(t, e.Hint(), "security: http://deb.debian.org/debian-security")
	assert.Contains(t, e.Hint(), "security: false")

	suites = trixie(key)
	suites.security.validFor = -time.Hour
	_, err = newLockTest(t, suites, key).lock(t)
	require.ErrorAs(t, err, &e)
	assert.Contains(t, e.Hint(), "check this machine's clock")
	assert.Contains(t, e.Hint(), "check_valid_until: false")
}
