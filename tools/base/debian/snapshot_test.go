package debian_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/base/debian"
	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// snapshots imitates Debian's snapshot archive. It redirects requests for a time without a snapshot to the latest
// earlier snapshot.
type snapshots struct {
	*httptest.Server
	files    map[string][]byte // by archive/time/path
	requests []string
}

var snapshotPath = regexp.MustCompile(`^/archive/([a-z-]+)/([0-9]{8}T[0-9]{6}Z)/(.*)$`)

func newSnapshots(t *testing.T, files map[string][]byte) *snapshots {
	s := &snapshots{files: files}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests = append(s.requests, r.URL.Path)
		m := snapshotPath.FindStringSubmatch(r.URL.Path)
		if m == nil {
			http.NotFound(w, r)
			return
		}
		archive, requested, path := m[1], m[2], m[3]
		latest := ""
		for file := range s.files {
			parts := strings.SplitN(file, "/", 3)
			if parts[0] == archive && parts[1] <= requested {
				latest = max(latest, parts[1])
			}
		}
		if latest == "" {
			http.NotFound(w, r)
			return
		}
		if latest != requested {
			location := &url.URL{Path: "/archive/" + archive + "/" + latest + "/" + path}
			http.Redirect(w, r, location.String(), http.StatusMovedPermanently)
			return
		}
		content, ok := s.files[archive+"/"+latest+"/"+path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	t.Cleanup(s.Close)
	return s
}

// lockedAt is the date of the Release file in tests, and snapshotAt the earliest snapshot that Fetch tries for it.
const (
	lockedAt   = "2026-09-12T07:55:41Z"
	snapshotAt = "20260912T075541Z"
)

// archiveAt returns the archive for packages of a Release file at lockedAt.
func archiveAt(mirrors debian.Mirrors, security bool) *debian.Archive {
	a := mirrors.Archive(lock.Archive{Release: lock.Release{Date: lockedAt}, Security: security})
	debian.SetPause(a, time.Millisecond)
	return a
}

func TestFetchUsesSnapshotsAfterMirrors(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 10000)
	other := append([]byte("x"), content[1:]...)
	const earlier = "20260912T022000Z"
	for name, c := range map[string]struct {
		files    map[string][]byte // of the snapshot archive, below archive/time/
		security bool
		mirror   []byte // content on the mirror, if any
		want     string // successful request below /archive/, "" if none
		err      string
	}{
		"at the same time": {
			files: map[string][]byte{"debian/" + snapshotAt + "/": content}, want: "debian/" + snapshotAt + "/",
		},
		"at an earlier time": {
			files: map[string][]byte{"debian/" + earlier + "/": content}, want: "debian/" + earlier + "/",
		},
		"at the latest earlier time": {
			files: map[string][]byte{"debian/20260101T000000Z/": other, "debian/" + earlier + "/": content},
			want:  "debian/" + earlier + "/",
		},
		"only in the next snapshot": {
			files: map[string][]byte{"debian/" + earlier + "/other": content, "debian/20260912T082000Z/": content},
			want:  "debian/20260912T082000Z/",
		},
		"of the security archive": {
			files:    map[string][]byte{"debian-security/" + earlier + "/": content},
			security: true, want: "debian-security/" + earlier + "/",
		},
		"only of another archive": {
			files: map[string][]byte{"debian/" + earlier + "/": content}, security: true, err: "404 Not Found",
		},
		"only at a later time": {
			files: map[string][]byte{"debian/20270101T000000Z/": content}, err: "404 Not Found",
		},
		"without the package": {
			files: map[string][]byte{"debian/" + earlier + "/other": content}, err: "404 Not Found",
		},
		"with other content": {
			files: map[string][]byte{"debian/" + earlier + "/": other}, err: "unexpected content",
		},
		"if the mirror has other content": {
			files:  map[string][]byte{"debian/" + earlier + "/": content},
			mirror: other, want: "debian/" + earlier + "/",
		},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string][]byte{}
			for path, content := range c.files {
				if strings.HasSuffix(path, "/") {
					path += escapedPath
				}
				files[path] = content
			}
			m, s := newMirror(t), newSnapshots(t, files)
			if c.mirror != nil {
				m.put("/debian/"+escapedPath, c.mirror)
			}
			mirrors := debian.Mirrors{Snapshot: s.URL + "/archive/"}.
				With([]string{m.URL + "/debian"}, []string{m.URL + "/debian-security"})
			d, err := archiveAt(mirrors, c.security).Fetch(t.Context(), newStore(t), zlib(content))
			if c.err == "" {
				require.NoError(t, err)
				assert.Equal(t, content, contentOf(t, d))
				assert.Contains(t, s.requests, "/archive/"+c.want+escapedPath)
				return
			}
			require.ErrorContains(t, err, c.err)
			var hinter fault.Hinter
			require.ErrorAs(t, err, &hinter)
			assert.Contains(t, hinter.Hint(), "run: multiarch lock --update")
			assert.ErrorContains(t, err, s.URL+"/archive/debian")
		})
	}
}

func TestFetchReportsUnreachableSnapshots(t *testing.T) {
	mirrors := debian.Mirrors{Snapshot: "http://127.0.0.1:1/archive"}.With([]string{newMirror(t).URL + "/debian"}, nil)
	_, err := archiveAt(mirrors, false).Fetch(t.Context(), newStore(t), zlib([]byte("x")))
	var unavailable *debian.UnavailableError
	require.ErrorAs(t, err, &unavailable)
	assert.ErrorContains(t, err, "http://127.0.0.1:1/archive/debian/"+snapshotAt)
	assert.Contains(t, unavailable.Hint(), "run: multiarch lock --update")
}

func TestFetchStopsRedirectLoopsOfSnapshots(t *testing.T) {
	requests := 0
	loop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		http.Redirect(w, r, r.URL.Path, http.StatusFound)
	}))
	t.Cleanup(loop.Close)
	mirrors := debian.Mirrors{Snapshot: loop.URL}.With([]string{newMirror(t).URL}, nil)
	_, err := archiveAt(mirrors, false).Fetch(t.Context(), newStore(t), zlib([]byte("x")))
	require.ErrorContains(t, err, "stopped after 10 redirects")
	assert.Equal(t, 2*11, requests, "for two snapshots")
}

func TestFetchWithoutSnapshots(t *testing.T) {
	mirrors := debian.Mirrors{}.With([]string{newMirror(t).URL}, nil)
	_, err := archiveAt(mirrors, false).Fetch(t.Context(), newStore(t), zlib([]byte("x")))
	var unavailable *debian.UnavailableError
	require.ErrorAs(t, err, &unavailable)
	assert.Len(t, unavailable.Mirrors, 1)
	assert.Contains(t, unavailable.Hint(), "run: multiarch lock --update")
}

func TestFetchDoesNotRequestSnapshotsOfAvailablePackages(t *testing.T) {
	m, s := newMirror(t), newSnapshots(t, nil)
	content := []byte("x")
	m.put("/debian/"+escapedPath, content)
	mirrors := debian.Mirrors{Snapshot: s.URL}.With([]string{m.URL + "/debian"}, nil)
	_, err := archiveAt(mirrors, false).Fetch(t.Context(), newStore(t), zlib(content))
	require.NoError(t, err)
	assert.Empty(t, s.requests)
}

func TestFetcherUsesLockedArchives(t *testing.T) {
	m := newMirror(t)
	base := &lock.Debian{
		Release:  lock.Release{Date: lockedAt},
		Security: &config.Security{},
		Archives: map[string]lock.Archive{
			"trixie-security": {Release: lock.Release{Date: "2026-09-13T07:55:41Z"}, Security: true},
			"trixie-updates":  {Release: lock.Release{Date: "2026-09-14T07:55:41Z"}},
		},
	}
	var packages []lock.Package
	for name, path := range map[string]string{"a": "/debian/", "b": "/debian-security/", "c": "/debian/"} {
		content := []byte(name)
		p := lock.Package{
			Name: name + "x", Version: "1", Architecture: "all", Path: "pool/" + name, Size: 1, SHA256: sha(content),
			Archive: map[string]string{"b": "trixie-security", "c": "trixie-updates"}[name],
		}
		packages = append(packages, p)
		m.put(path+p.Path, content)
	}
	mirrors := debian.Mirrors{}.With([]string{m.URL + "/debian"}, nil)
	f := debian.Fetcher{Mirrors: func() (debian.Mirrors, error) { return mirrors, nil }}
	store := newStore(t)
	var last int64
	debs, err := f.Fetch(t.Context(), store, base, packages, func(done, total int64) {
		assert.Equal(t, last+1, done)
		assert.EqualValues(t, 3, total)
		last = done
	})
	require.NoError(t, err)
	assert.EqualValues(t, 3, last)
	assert.Len(t, m.takeRequests(), 3)
	for i, d := range debs {
		assert.Equal(t, packages[i].Name[:1], string(contentOf(t, d)))
	}

	// If all packages are stored, Mirrors is not called.
	f.Mirrors = func() (debian.Mirrors, error) { panic("called") }
	_, err = f.Fetch(t.Context(), store, base, packages, nil)
	require.NoError(t, err)

	// The mirror of the base replaces the machine's.
	f.Mirrors = func() (debian.Mirrors, error) { return debian.Mirrors{Main: []string{"http://127.0.0.1:1"}}, nil }
	base.Mirror, base.Security = m.URL+"/debian", nil
	_, err = f.Fetch(t.Context(), newStore(t), base, packages, nil)
	require.NoError(t, err)
}
