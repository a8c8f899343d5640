package debian_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/base/debian"
)

// uncompressed stores indexes without compression.
var uncompressed = indexFormat{extensions: []string{""}}

func TestReleaseNeedsOneValidSignature(t *testing.T) {
	m, key := newMirror(t), newKey(t)
	indexes := map[string]string{"main/amd64": "", "main/arm64": ""}
	m.suite(t, "stable", indexes, uncompressed, newKey(t), key, newKey(t))
	for _, suite := range []string{"stable", "codename-of-stable"} {
		m.put("/debian/dists/"+suite+"/InRelease", m.files["/debian/dists/stable/InRelease"])
		r, err := m.archive(suite, publicKey(t, key)).Release(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "stable", r.Suite)
		assert.Equal(t, "codename-of-stable", r.Codename)
		assert.Equal(t, time.Date(2026, 9, 12, 7, 55, 41, 0, time.UTC), r.Date)
		assert.Equal(t, []string{"amd64", "arm64"}, r.Architectures)
		assert.Equal(t, sha(m.files["/debian/dists/stable/InRelease"]), r.SHA256)
	}
}

func TestReleaseErrors(t *testing.T) {
	key, other := newKey(t), newKey(t)
	m := newMirror(t)
	text := m.release(t, "stable", map[string]string{"main/amd64": ""}, uncompressed)
	signed := string(sign(t, text, key))
	expired, err := openpgp.NewEntity("Old", "", "old@example.com", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: 3600,
		Time: func() time.Time { return time.Now().Add(-48 * time.Hour) },
	})
	require.NoError(t, err)
	for name, c := range map[string]struct{ content, want string }{
		"unsigned":    {text, "verifying the signature of suite stable: the file is not signed"},
		"unknown key": {string(sign(t, text, other)), "by key " + other.PrimaryKey.KeyIdString()},
		"changed":     {strings.Replace(signed, "13.1", "13.2", 1), "by key " + key.PrimaryKey.KeyIdString()},
		"cut":         {signed[:strings.Index(signed, "-----BEGIN PGP SIGNATURE")], "the file is not signed"},
		"expired key": {string(sign(t, text, expired)), "by key"},
		"empty":       {"", "the file is not signed"},
	} {
		t.Run(name, func(t *testing.T) {
			m.put("/debian/dists/stable/InRelease", []byte(c.content))
			_, err := m.archive("stable", publicKey(t, key, expired)).Release(t.Context())
			var bad *debian.SignatureError
			require.ErrorAs(t, err, &bad)
			assert.Equal(t, "stable", bad.Suite)
			assert.ErrorContains(t, err, "suite stable")
			assert.ErrorContains(t, err, c.want)
			assert.NotEmpty(t, bad.Hint())
		})
	}
	t.Run("default keyring", func(t *testing.T) {
		m.put("/debian/dists/stable/InRelease", []byte(signed))
		_, err := m.archive("stable", nil).Release(t.Context())
		var bad *debian.SignatureError
		require.ErrorAs(t, err, &bad)
	})
	t.Run("another suite", func(t *testing.T) {
		m.put("/debian/dists/testing/InRelease", []byte(signed))
		_, err := m.archive("testing", publicKey(t, key)).Release(t.Context())
		var wrong *debian.WrongSuiteError
		require.ErrorAs(t, err, &wrong)
		assert.ErrorContains(t, err, "the Release file of suite testing is for suite stable, codename codename-of-stable")
	})
	t.Run("ignores unsigned text", func(t *testing.T) {
		m.put("/debian/dists/stable/InRelease", []byte("Codename: before\n\n"+signed+"\nCodename: after\n"))
		r, err := m.archive("stable", publicKey(t, key)).Release(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "codename-of-stable", r.Codename)
	})
	t.Run("invalid checksums", func(t *testing.T) {
		m.put("/debian/dists/stable/InRelease", sign(t, "Suite: stable\nSHA256:\n abc\n", key))
		_, err := m.archive("stable", publicKey(t, key)).Release(t.Context())
		assert.ErrorContains(t, err, `the Release file: expected digest, size and path, got "abc"`)
	})
}

func TestReleaseTriesAllMirrors(t *testing.T) {
	key := newKey(t)
	good, bad, empty := newMirror(t), newMirror(t), newMirror(t)
	good.suite(t, "stable", map[string]string{"main/amd64": ""}, uncompressed, key)
	bad.suite(t, "stable", map[string]string{"main/amd64": ""}, uncompressed, newKey(t))
	a := good.archive("stable", publicKey(t, key))
	a.Mirrors = []string{"http://127.0.0.1:1/debian", empty.URL + "/debian", bad.URL + "/debian", good.URL + "/debian"}
	_, err := a.Release(t.Context())
	require.NoError(t, err)
	assert.Len(t, empty.takeRequests(), 1)
	assert.Len(t, bad.takeRequests(), 1)
}

func TestReleaseUnavailable(t *testing.T) {
	empty := newMirror(t)
	a := empty.archive("stable", nil)
	a.Mirrors = []string{"http://someone:secret@127.0.0.1:1/debian", empty.URL + "/debian"}
	_, err := a.Release(t.Context())
	var unavailable *debian.UnavailableError
	require.ErrorAs(t, err, &unavailable)
	assert.Equal(t, []string{"http://someone:xxxxx@127.0.0.1:1/debian", empty.URL + "/debian"}, unavailable.Mirrors)
	assert.ErrorContains(t, err, "404 Not Found")
	assert.NotContains(t, err.Error(), "secret")

	for suite, hint := range map[string]string{
		"trixi":            `did you mean "trixie"? known: trixie, bookworm, `,
		"trixie-backprots": `did you mean "trixie-backports"? known: `,
		"noble":            "known: trixie, bookworm, ",
		"stable":           "old suites are at http://archive.debian.org/debian",
	} {
		a.Suite = suite
		_, err = a.Release(t.Context())
		require.ErrorAs(t, err, &unavailable)
		assert.Contains(t, unavailable.Hint(), hint)
	}
	a.Mirrors = a.Mirrors[:1]
	_, err = a.Release(t.Context())
	require.ErrorAs(t, err, &unavailable)
	assert.Contains(t, unavailable.Hint(), "check the mirror's URL and that this machine can reach it")

	a.Mirrors = nil
	_, err = a.Release(t.Context())
	assert.ErrorContains(t, err, "no mirror configured")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.Mirrors = []string{empty.URL + "/debian"}
	_, err = a.Release(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	assert.NotErrorAs(t, err, &unavailable)
}

// beginning responds with the beginning of a file, and sends nothing after that.
type beginning string

func (b beginning) RoundTrip(r *http.Request) (*http.Response, error) {
	body, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, string(b))
		<-r.Context().Done()
		_ = w.CloseWithError(r.Context().Err())
	}()
	return &http.Response{StatusCode: http.StatusOK, Body: body, Request: r}, nil
}

func TestReleaseStopsAtASilentMirror(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &debian.Archive{Mirrors: []string{"http://mirror.example"}, Suite: "stable", Transport: beginning("-----BEGIN")}
		_, err := a.Release(t.Context())
		assert.ErrorContains(t, err, "timeout: the server has not sent more of the response for 1m0s")
	})
}

func TestReleaseStopsAtAnEndlessMirror(t *testing.T) {
	m := newMirror(t)
	a := m.archive("stable", nil)
	m.before = func(w http.ResponseWriter, r *http.Request) bool {
		junk := make([]byte, 1<<20)
		for r.Context().Err() == nil {
			if _, err := w.Write(junk); err != nil {
				break
			}
		}
		return true
	}
	_, err := a.Release(t.Context())
	var sum *debian.ChecksumError
	require.ErrorAs(t, err, &sum)
	assert.ErrorContains(t, err, "expected at most 16777216 bytes, got more")
}

func TestIndexReadsSmallestAvailableFile(t *testing.T) {
	key := newKey(t)
	indexes := map[string]string{
		"main/amd64":    stanza("one", "1.0", "amd64") + stanza("both", "1.0", "all"),
		"contrib/amd64": stanza("two", "1.0", "amd64", "Depends: one"),
		"main/arm64":    stanza("one", "1.1", "arm64"),
	}
	for _, c := range []struct {
		format indexFormat
		want   string // requested file
	}{
		{indexFormat{extensions: []string{".xz", ".gz"}}, "Packages.xz"},
		{
			indexFormat{extensions: []string{".xz"}, byHash: true},
			"by-hash/SHA256/" + sha(compress(t, ".xz", []byte(indexes["main/amd64"]))),
		},
		{indexFormat{extensions: []string{".gz", ""}}, "Packages.gz"},
		{uncompressed, "Packages"},
	} {
		m := newMirror(t)
		m.suite(t, "stable", indexes, c.format, key)
		a := m.archive("stable", publicKey(t, key))
		a.Components = []string{"main", "contrib"}
		r, err := a.Release(t.Context())
		require.NoError(t, err)
		m.takeRequests()
		x, err := a.Index(t.Context(), r, "amd64")
		require.NoError(t, err)
		assert.Equal(t, "/debian/dists/stable/main/binary-amd64/"+c.want, m.takeRequests()[0])
		got, err := x.Resolve([]string{"two", "both"}, nil)
		require.NoError(t, err)
		assert.Len(t, got, 3)

		// Without the file by hash, the file by name is read.
		hash := sha(compress(t, ".xz", []byte(indexes["main/arm64"])))
		delete(m.files, "/debian/dists/stable/main/binary-arm64/by-hash/SHA256/"+hash)
		a.Components = nil
		x, err = a.Index(t.Context(), r, "arm64")
		require.NoError(t, err)
		got, err = x.Resolve([]string{"one"}, nil)
		require.NoError(t, err)
		assert.Equal(t, "1.1", got[0].Version)
	}
}

func TestIndexErrors(t *testing.T) {
	m, key := newMirror(t), newKey(t)
	indexes := map[string]string{"main/amd64": stanza("one", "1.0", "amd64"), "main/arm64": ""}
	m.suite(t, "stable", indexes, indexFormat{extensions: []string{".gz"}}, key)
	a := m.archive("stable", publicKey(t, key))
	r, err := a.Release(t.Context())
	require.NoError(t, err)

	_, err = a.Index(t.Context(), r, "arm46")
	var unknown *debian.UnknownError
	require.ErrorAs(t, err, &unknown)
	assert.Equal(t, `architecture "arm46" not found in suite stable`, err.Error())
	assert.Equal(t, `did you mean "arm64"? known: amd64, arm64`, unknown.Hint())

	a.Components = []string{"mian"}
	_, err = a.Index(t.Context(), r, "amd64")
	require.ErrorAs(t, err, &unknown)
	assert.Equal(t, `did you mean "main"? known: main, contrib`, unknown.Hint())
	a.Components = nil

	const at = "/debian/dists/stable/main/binary-amd64/Packages.gz"
	good := m.files[at]
	var sum *debian.ChecksumError
	for name, content := range map[string][]byte{
		"changed": append([]byte("x"), good[1:]...),
		"shorter": good[:len(good)-1],
		"longer":  append(good[:len(good):len(good)], 0),
	} {
		m.put(at, content)
		_, err = a.Index(t.Context(), r, "amd64")
		require.ErrorAs(t, err, &sum, name)
		assert.ErrorContains(t, err, "verifying dists/stable/main/binary-amd64/Packages.gz: expected ")
	}

	// If the connection breaks, the index is read from the next mirror.
	m.before = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("x"))
		return true
	}
	_, err = a.Index(t.Context(), r, "amd64")
	var unavailable *debian.UnavailableError
	require.ErrorAs(t, err, &unavailable)
	other := newMirror(t)
	other.put(at, good)
	a.Mirrors = append(a.Mirrors, other.URL+"/debian")
	_, err = a.Index(t.Context(), r, "amd64")
	require.NoError(t, err)
}
