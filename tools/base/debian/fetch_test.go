package debian_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/base/debian"
	"github.com/multiarch-build/multiarch/tools/build/cache"
)

// escapedPath is the path of a package that URLs must escape.
const escapedPath = "pool/main/z/zlib/zlib1g_1%3a1.3+really~1_amd64.deb"

// zlib returns a package with the given file content at escapedPath.
func zlib(content []byte) debian.Package {
	return debian.Package{
		Name: "zlib1g", Version: "1:1.3", Architecture: "amd64",
		Path: escapedPath, Size: int64(len(content)), SHA256: sha(content),
	}
}

func contentOf(t *testing.T, d debian.Deb) []byte {
	t.Helper()
	r, err := d.Open()
	require.NoError(t, err)
	defer r.Close()
	out, err := io.ReadAll(r)
	require.NoError(t, err)
	return out
}

func TestFetchResumesBrokenDownloads(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 10000)
	p := zlib(content)
	m, store := newMirror(t), newStore(t)
	m.put("/debian/"+escapedPath, content)
	a := m.archive("stable", nil)

	// The connection breaks twice.
	broken := 0
	m.before = func(w http.ResponseWriter, r *http.Request) bool {
		if broken++; broken > 2 {
			return false
		}
		from := 0
		if r.Header.Get("Range") != "" {
			_, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
			assert.NoError(t, err)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(content)-1, len(content)))
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(content)-from))
		if from > 0 {
			w.WriteHeader(http.StatusPartialContent)
		}
		_, _ = w.Write(content[from : from+30000])
		return true
	}
	d, err := a.Fetch(t.Context(), store, p)
	require.NoError(t, err)
	assert.Equal(t, content, contentOf(t, d))
	at := "/debian/" + escapedPath
	assert.Equal(t, []string{at, at + " bytes=30000-", at + " bytes=60000-"}, m.takeRequests())

	// A stored package needs no mirror.
	m.Close()
	d, err = a.Fetch(t.Context(), store, p)
	require.NoError(t, err)
	assert.Equal(t, content, contentOf(t, d))

	// The error names the package and the mirrors.
	_, err = a.Fetch(t.Context(), newStore(t), p)
	var unavailable *debian.UnavailableError
	require.ErrorAs(t, err, &unavailable)
	assert.ErrorContains(t, err, "downloading package zlib1g 1:1.3 ("+escapedPath+") from "+m.URL+"/debian/")
	assert.NotEmpty(t, unavailable.Hint())
}

func TestFetchResumesOnNextMirror(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 10000)
	first, second := newMirror(t), newMirror(t)
	second.put("/debian/"+escapedPath, content)
	first.before = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write(content[:40000])
		return true
	}
	a := first.archive("stable", nil)
	a.Mirrors = append(a.Mirrors, second.URL+"/debian")
	_, err := a.Fetch(t.Context(), newStore(t), zlib(content))
	require.NoError(t, err)
	assert.Equal(t, []string{"/debian/" + escapedPath + " bytes=40000-"}, second.takeRequests())
}

func TestFetchRestartsOnMirrorWithoutRanges(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 10000)
	m := newMirror(t)
	tries := 0
	m.before = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		tries++
		_, _ = w.Write(content[:min(len(content), tries*50000)])
		return true
	}
	d, err := m.archive("stable", nil).Fetch(t.Context(), newStore(t), zlib(content))
	require.NoError(t, err)
	assert.Equal(t, content, contentOf(t, d))
	assert.Equal(t, 2, tries)
}

func TestFetchRejectsInvalidContent(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 100)
	var wrong *cache.WrongContentError
	for name, body := range map[string][]byte{
		"changed": append([]byte("x"), content[1:]...), "longer": append(content[:len(content):len(content)], 'x'),
	} {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t)
			m.put("/debian/"+escapedPath, body)
			a := m.archive("stable", nil)
			_, err := a.Fetch(t.Context(), newStore(t), zlib(content))
			require.ErrorAs(t, err, &wrong)
			assert.Len(t, m.takeRequests(), 1)

			other := newMirror(t)
			other.put("/debian/"+escapedPath, content)
			a.Mirrors = append(a.Mirrors, other.URL+"/debian")
			_, err = a.Fetch(t.Context(), newStore(t), zlib(content))
			require.NoError(t, err)
		})
	}
	t.Run("endless", func(t *testing.T) {
		m := newMirror(t)
		m.before = func(w http.ResponseWriter, r *http.Request) bool {
			junk := make([]byte, 1<<16)
			for r.Context().Err() == nil {
				if _, err := w.Write(junk); err != nil {
					break
				}
			}
			return true
		}
		_, err := m.archive("stable", nil).Fetch(t.Context(), newStore(t), zlib(content))
		require.ErrorAs(t, err, &wrong)
	})
	t.Run("shorter", func(t *testing.T) {
		m := newMirror(t)
		m.put("/debian/"+escapedPath, content[:500])
		_, err := m.archive("stable", nil).Fetch(t.Context(), newStore(t), zlib(content))
		require.Error(t, err)
		assert.LessOrEqual(t, len(m.takeRequests()), 8)
	})
	t.Run("path above the mirror", func(t *testing.T) {
		p := zlib(content)
		p.Path = "../../etc/passwd"
		_, err := newMirror(t).archive("stable", nil).Fetch(t.Context(), newStore(t), p)
		assert.ErrorContains(t, err, "invalid path")
	})
	t.Run("damaged in the store", func(t *testing.T) {
		m, store := newMirror(t), newStore(t)
		m.put("/debian/"+escapedPath, content)
		a := m.archive("stable", nil)
		d, err := a.Fetch(t.Context(), store, zlib(content))
		require.NoError(t, err)
		damage(t, d)
		_, err = a.Fetch(t.Context(), store, zlib(content))
		require.NoError(t, err)
		assert.Len(t, m.takeRequests(), 2)
		assert.Equal(t, content, contentOf(t, d))
	})
}

func TestFetchRetriesTemporaryErrors(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 10000)
	cases := map[string]func(w http.ResponseWriter, r *http.Request){
		"no response": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"partial body": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(content[:500])
			panic(http.ErrAbortHandler)
		},
		"short range": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(content[:10])
		},
	}
	for _, status := range []int{
		http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout,
	} {
		cases[fmt.Sprint(status)] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
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
}

// If a mirror starts to send other content, the resumed download from the next mirror is wrong and must start again.
func TestFetchRestartsAfterInvalidPartialContent(t *testing.T) {
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
}

func TestFetchDoesNotRetryUnexpectedStatus416(t *testing.T) {
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
