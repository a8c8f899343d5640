package debian_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/base/debian"
	"github.com/multiarch-build/multiarch/tools/build/cache"
	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// snapshots imitates Debian's snapshot archive: it has files of some times, and redirects any other time to the nearest
// earlier one.
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
		var times []string
		for file := range s.files {
			archive, rest, _ := strings.Cut(file, "/")
			if at, _, _ := strings.Cut(rest, "/"); archive == m[1] && at <= m[2] {
				times = append(times, at)
			}
		}
		if len(times) == 0 {
			http.NotFound(w, r)
			return
		}
		slices.Sort(times)
		if at := times[len(times)-1]; at != m[2] {
			http.Redirect(w, r, (&url.URL{Path: "/archive/" + m[1] + "/" + at + "/" + m[3]}).String(), http.StatusMovedPermanently)
			return
		}
		content, ok := s.files[m[1]+"/"+m[2]+"/"+m[3]]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	t.Cleanup(s.Close)
	return s
}

// TestFetchFromSnapshots: a package that the mirrors have lost comes from the snapshot archive, at the time of the
// Release that vouches for it.
func TestFetchFromSnapshots(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 10000)
	other := append([]byte("x"), content[1:]...)
	const relock = "run: multiarch lock --update"
	for name, c := range map[string]struct {
		files    map[string][]byte // of the snapshot archive
		security bool
		mirror   []byte // what the mirror has in its place
		want     string // a request that is made; "" if it fails
		err      string
	}{
		"at that time":          {files: map[string][]byte{"debian/20260912T075541Z/" + escapedPath: content}, want: "/archive/debian/20260912T075541Z/" + escapedPath},
		"at an earlier time":    {files: map[string][]byte{"debian/20260912T022000Z/" + escapedPath: content}, want: "/archive/debian/20260912T022000Z/" + escapedPath},
		"of the latest earlier": {files: map[string][]byte{"debian/20260101T000000Z/" + escapedPath: other, "debian/20260912T022000Z/" + escapedPath: content}, want: "/archive/debian/20260912T022000Z/" + escapedPath},
		"in the next snapshot only": {
			files: map[string][]byte{"debian/20260912T022000Z/other": content, "debian/20260912T082000Z/" + escapedPath: content}, want: "/archive/debian/20260912T082000Z/" + escapedPath,
		},
		"of the security archive": {
			files: map[string][]byte{"debian-security/20260912T022000Z/" + escapedPath: content}, security: true, want: "/archive/debian-security/20260912T022000Z/" + escapedPath,
		},
		"of another archive":        {files: map[string][]byte{"debian/20260912T022000Z/" + escapedPath: content}, security: true, err: "404 Not Found"},
		"before all snapshots":      {files: map[string][]byte{"debian/20270101T000000Z/" + escapedPath: content}, err: "404 Not Found"},
		"of a package that is lost": {files: map[string][]byte{"debian/20260912T022000Z/other": content}, err: "404 Not Found"},
		"with other content":        {files: map[string][]byte{"debian/20260912T022000Z/" + escapedPath: other}, err: "unexpected content"},
		"while the mirror has other content": {
			files: map[string][]byte{"debian/20260912T022000Z/" + escapedPath: content}, mirror: other, want: "/archive/debian/20260912T022000Z/" + escapedPath,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, s := newMirror(t), newSnapshots(t, c.files)
			if c.mirror != nil {
				m.put("/debian/"+escapedPath, c.mirror)
			}
			mirrors := debian.Mirrors{Snapshot: s.URL + "/archive/"}.With([]string{m.URL + "/debian"}, []string{m.URL + "/debian-security"})
			a := mirrors.Archive(lock.Archive{Release: lock.Release{Date: "2026-09-12T07:55:41Z"}, Security: c.security})
			debian.SetPause(a, time.Millisecond)
			d, err := a.Fetch(t.Context(), newStore(t), zlib(content))
			if c.err == "" {
				require.NoError(t, err)
				assert.Equal(t, content, contentOf(t, d))
				assert.Contains(t, s.requests, c.want)
				return
			}
			require.ErrorContains(t, err, c.err)
			var hinting fault.Hinter
			require.ErrorAs(t, err, &hinting)
			assert.Contains(t, hinting.Hint(), relock)
			assert.ErrorContains(t, err, s.URL+"/archive/debian")
		})
	}
	t.Run("that cannot be reached", func(t *testing.T) {
		m := newMirror(t)
		mirrors := debian.Mirrors{Snapshot: "http://127.0.0.1:1/archive"}.With([]string{m.URL + "/debian"}, nil)
		a := mirrors.Archive(lock.Archive{Release: lock.Release{Date: "2026-09-12T07:55:41Z"}})
		debian.SetPause(a, time.Millisecond)
		_, err := a.Fetch(t.Context(), newStore(t), zlib(content))
		var gone *debian.UnavailableError
		require.ErrorAs(t, err, &gone)
		assert.ErrorContains(t, err, "http://127.0.0.1:1/archive/debian/20260912T075541Z")
		assert.Contains(t, gone.Hint(), relock)
	})
	t.Run("that redirects for ever", func(t *testing.T) {
		m, n := newMirror(t), 0
		loop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n++
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}))
		t.Cleanup(loop.Close)
		a := debian.Mirrors{Snapshot: loop.URL}.With([]string{m.URL}, nil).Archive(lock.Archive{Release: lock.Release{Date: "2026-09-12T07:55:41Z"}})
		_, err := a.Fetch(t.Context(), newStore(t), zlib(content))
		require.ErrorContains(t, err, "stopped after 10 redirects")
		assert.Equal(t, 2*11, n, "of two times")
	})
	t.Run("that is not asked", func(t *testing.T) {
		m := newMirror(t)
		a := debian.Mirrors{}.With([]string{m.URL}, nil).Archive(lock.Archive{Release: lock.Release{Date: "2026-09-12T07:55:41Z"}})
		_, err := a.Fetch(t.Context(), newStore(t), zlib(content))
		var gone *debian.UnavailableError
		require.ErrorAs(t, err, &gone)
		assert.Len(t, gone.Mirrors, 1)
		assert.Contains(t, gone.Hint(), relock)
	})
	t.Run("is not needed", func(t *testing.T) {
		m, s := newMirror(t), newSnapshots(t, nil)
		m.put("/debian/"+escapedPath, content)
		a := debian.Mirrors{Snapshot: s.URL}.With([]string{m.URL + "/debian"}, nil).Archive(lock.Archive{Release: lock.Release{Date: "2026-09-12T07:55:41Z"}})
		_, err := a.Fetch(t.Context(), newStore(t), zlib(content))
		require.NoError(t, err)
		assert.Empty(t, s.requests)
	})
}

// TestFetchOfALock fetches each package from the archive that the lock names, and what is there already from nowhere.
func TestFetchOfALock(t *testing.T) {
	m := newMirror(t)
	base := &lock.Debian{
		Release:  lock.Release{Date: "2026-09-12T07:55:41Z"},
		Security: &config.Security{},
		Archives: map[string]lock.Archive{
			"trixie-security": {Release: lock.Release{Date: "2026-09-13T07:55:41Z"}, Security: true}, "trixie-updates": {Release: lock.Release{Date: "2026-09-14T07:55:41Z"}},
		},
	}
	var packages []lock.Package
	for name, at := range map[string]string{"a": "/debian/", "b": "/debian-security/", "c": "/debian/"} {
		content := []byte(name)
		p := lock.Package{Name: name + "x", Version: "1", Architecture: "all", Path: "pool/" + name, Size: 1, SHA256: sha(content)}
		p.Archive = map[string]string{"b": "trixie-security", "c": "trixie-updates"}[name]
		packages = append(packages, p)
		m.put(at+p.Path, content)
	}
	f := debian.Fetcher{Mirrors: func() (debian.Mirrors, error) { return debian.Mirrors{}.With([]string{m.URL + "/debian"}, nil), nil }}
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

	// Nothing is missing: nobody is asked where mirrors are.
	f.Mirrors = func() (debian.Mirrors, error) { panic("asked") }
	_, err = f.Fetch(t.Context(), store, base, packages, nil)
	require.NoError(t, err)

	// A base with a mirror of its own.
	f.Mirrors = func() (debian.Mirrors, error) { return debian.Mirrors{Main: []string{"http://127.0.0.1:1"}}, nil }
	base.Mirror, base.Security = m.URL+"/debian", nil
	_, err = f.Fetch(t.Context(), newStore(t), base, packages, nil)
	require.NoError(t, err)
}

// TestFetchRetries counts what a mirror can do wrong for a moment.
func TestFetchRetries(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 10000)
	cases := map[string]func(w http.ResponseWriter, r *http.Request){
		"408":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestTimeout) },
		"429":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"500":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"502":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"503":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"504":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGatewayTimeout) },
		"no answer": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"half a body": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(content[:500])
			panic(http.ErrAbortHandler)
		},
		"a short range": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(content[:10])
		},
	}
	for name, fail := range cases {
		t.Run(name, func(t *testing.T) {
			m, n := newMirror(t), 0
			m.put("/debian/"+escapedPath, content)
			m.before = func(w http.ResponseWriter, r *http.Request) bool {
				if n++; n > 2 {
					return false
				}
				fail(w, r)
				return true
			}
			d, err := m.archive("stable", nil).Fetch(t.Context(), newStore(t), zlib(content))
			require.NoError(t, err)
			assert.Equal(t, content, contentOf(t, d))
		})
	}
	t.Logf("%d faults", len(cases))
	require.NotEmpty(t, cases)
}

// TestFetchIgnoresWhatIsWrongInPart: a mirror that breaks off in the middle of other content does not spoil what the
// next mirror has.
func TestFetchIgnoresWhatIsWrongInPart(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 10000)
	bad, good := newMirror(t), newMirror(t)
	bad.before = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Length", "100000")
		_, _ = w.Write([]byte("junk"))
		return true
	}
	good.put("/debian/"+escapedPath, content)
	a := bad.archive("stable", nil)
	a.Mirrors = append(a.Mirrors, good.URL+"/debian")
	d, err := a.Fetch(t.Context(), newStore(t), zlib(content))
	require.NoError(t, err)
	assert.Equal(t, content, contentOf(t, d))
	assert.Len(t, good.takeRequests(), 2)
	assert.NotErrorAs(t, err, new(*cache.WrongContentError))
}

// TestNotSatisfiable: 416 is an answer to a range, and is not asked for again without one.
func TestNotSatisfiable(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 10000)
	m := newMirror(t)
	m.before = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return true
	}
	_, err := m.archive("stable", nil).Fetch(t.Context(), newStore(t), zlib(content))
	require.ErrorContains(t, err, "416")
	assert.Len(t, m.takeRequests(), 1)
}
