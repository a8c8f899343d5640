package lock_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

var update = flag.Bool("update", false, "rewrite testdata/multiarch.lock in the current format")

const file = "testdata/multiarch.lock"

// TestFormatIsStable checks that parsing and formatting returns the same bytes.
func TestFormatIsStable(t *testing.T) {
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	f, err := lock.Parse(file, content)
	require.NoError(t, err)
	got, err := f.Format()
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(file, got, 0o644))
	}
	assert.Equal(t, string(content), string(got), "to accept: go test ./tools/spec/lock -update")
}

const yaml = `version: 1
platforms: [linux/amd64, linux/amd64/v2, linux/arm/v7]
bases:
  under: {image: "registry.example.com/base:tag", platforms: {linux/arm/v7: linux/arm, linux/amd64/v2: linux/amd64}}
  python: {debian: {suite: trixie, packages: [python3-flask, python3], exclude: [mawk]}}
  unused: {image: "registry.example.com/unused"}
images:
  one: {files: [{from: a, to: /a}], base: under}
  two: {files: [{from: a, to: /a}], base: {default: python, linux/arm/v7: static}}
`

func wants(t *testing.T, text string) []lock.Requirement {
	t.Helper()
	c, err := config.Parse("multiarch.yaml", []byte(text))
	require.NoError(t, err)
	return lock.Requirements(c, nil)
}

func TestWants(t *testing.T) {
	w := wants(t, yaml)
	require.Len(t, w, 2, "unused and built-in bases are not locked")
	assert.Equal(t, "python", w[0].Name)
	assert.Equal(t, []string{"amd64"}, w[0].Architectures(),
		"two platforms share the architecture, the third has another base")
	assert.Len(t, w[0].Platforms, 2)
	assert.Equal(t, "under", w[1].Name)
	assert.Len(t, w[1].Platforms, 3)
}

func TestStale(t *testing.T) {
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	for name, c := range map[string]struct{ from, to, want string }{
		"nothing": {"", "", ""},
		"another tag": {"base:tag", "base:other",
			"bases.under: changed to registry.example.com/base:other, but registry.example.com/base:tag@sha256:"},
		"another word": {"linux/arm/v7: linux/arm,", "linux/arm/v7: linux/arm/v6,",
			"bases.under: another image for linux/arm/v7 is locked in multiarch.lock"},
		"a platform": {"[linux/amd64,", "[linux/s390x, linux/amd64,",
			"bases.python: s390x is not locked in multiarch.lock\n" +
				"bases.under: linux/s390x is not locked in multiarch.lock"},
		"a package": {"python3]", "python3, tzdata]",
			"bases.python: packages changed to python3, python3-flask, tzdata, but python3, python3-flask is locked"},
		"no security": {"exclude: [mawk]", "exclude: [mawk], security: false",
			"bases.python: security changed to false, but true is locked"},
		"a suite": {"trixie", "forky", "bases.python: suite changed to forky, but trixie is locked"},
		"a mirror": {"exclude: [mawk]", "exclude: [mawk], mirror: \"http://m.example/debian\"",
			"bases.python: mirror changed to http://m.example/debian, but none is locked"},
		"an exclusion": {", exclude: [mawk]", "", "bases.python: exclude changed to none, but mawk is locked"},
		"another kind": {"{debian: {suite: trixie, packages: [python3-flask, python3], exclude: [mawk]}}",
			"{image: x/y}", "bases.python: locked as another kind of base in multiarch.lock"},
		"a base": {", base: under}", ", base: unused}",
			"bases.unused: not in multiarch.lock\nbases.under: locked, but not used by any image"},
		"one fewer": {", base: under}", "}", "bases.under: locked, but not used by any image"},
		"fixed by digest": {"base:tag", "base:tag@sha256:" + zeros,
			"bases.under: changed to registry.example.com/base:tag@sha256:" + zeros},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := lock.Parse(file, content)
			require.NoError(t, err)
			text := replaceOnce(t, yaml, c.from, c.to)
			got := ""
			for _, s := range f.Stale(wants(t, text)) {
				got += s.Error() + "\n"
				assert.Equal(t, "run: multiarch lock", s.Hint())
			}
			if c.want == "" {
				assert.Empty(t, got)
				return
			}
			assert.Contains(t, got, c.want)
		})
	}
	var none *lock.File
	assert.Len(t, none.Stale(wants(t, yaml)), 2)
	assert.ErrorContains(t, none.Covers(wants(t, yaml)[0]), "there is no multiarch.lock")
}

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"

func replaceOnce(t *testing.T, text, from, to string) string {
	t.Helper()
	if from == "" {
		return text
	}
	before, after, ok := strings.Cut(text, from)
	require.True(t, ok, from)
	return before + to + after
}

// TestLockOfEarlierVersionRemainsUsable checks that its bases can be built, and that locking again
// adds security updates.
func TestLockOfEarlierVersionRemainsUsable(t *testing.T) {
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	text := string(content)
	text = replaceOnce(t, text, `        "security": true,`+"\n", "")
	text = replaceOnce(t, text, `        "archives": {
          "trixie-security": {"codename": "trixie-security", "date": "2026-01-03T03:04:05Z", "sha256": "`+
		strings.Repeat("c", 64)+`", "security": true}
        },
`, "")
	text = replaceOnce(t, text, `, "archive": "trixie-security"`, "")
	f, err := lock.Parse(file, []byte(text))
	require.NoError(t, err)
	for _, c := range []struct{ from, to, want string }{
		{"", "", "bases.python: locked without the security updates of suite trixie"},
		{"exclude: [mawk]", "exclude: [mawk], security: false", ""},
	} {
		w := wants(t, replaceOnce(t, yaml, c.from, c.to))[0]
		assert.Nil(t, f.Covers(w))
		if stale := f.StaleBase(w); c.want == "" {
			assert.Nil(t, stale)
		} else {
			assert.EqualError(t, stale, c.want)
		}
	}
}

func TestChangesMarkSecurityUpdates(t *testing.T) {
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	read := func(version string) *lock.File {
		f, err := lock.Parse(file, []byte(replaceOnce(t, string(content), `"python3", "version": "3.13.5-1"`,
			`"python3", "version": "`+version+`"`)))
		require.NoError(t, err)
		return f
	}
	changes := lock.Changes(read("3.13.5-1"), read("3.13.5-2"))
	require.Len(t, changes, 1)
	assert.True(t, changes[0].Security)
	assert.Equal(t,
		"python python3: 3.13.5-1 (amd64), 3.13.5-1+b1 (armhf) -> 3.13.5-1+b1 (armhf), 3.13.5-2 (amd64) (security)",
		changes[0].String())
}

func TestParseRejectsInvalidFiles(t *testing.T) {
	for text, want := range map[string]string{
		``:                                   "EOF",
		`{`:                                  "unexpected EOF",
		`[]`:                                 "cannot unmarshal array",
		`{"version": 2, "bases": {}}`:        "unsupported version 2",
		`{"version": 1, "bases": {}} {}`:     "unexpected data after the end of the object",
		`{"version": 1, "bases": {"x": {}}}`: "bases.x: must have exactly one of image, debian and static",
		`{"version": 1, "bases": {"x": {"image": {"image": "a", "mediaType": "b", ` +
			`"platforms": {"linux/amd64": {}}}}}}`: "bases.x.platforms.linux/amd64",
		`{"version": 1, "bases": {"x": {"debian": {"architectures": {"amd64": [{"name": "a", "version": "1", "path": "p", ` +
			`"size": 1, "sha256": ""}]}}}}}`: `package "a" needs path, size and sha256`,
		`{"version": 1, "bases": {"x": {"debian": {"archives": {"a": {}}, "architectures": {"amd64": [{"name": "a", ` +
			`"path": "p", "size": 1, "archive": "b", ` +
			`"sha256": "` + zeros + `"}]}}}}}`: `package "a" is from "b", which is not in archives`,
		`{"version": 1, "bases": {"x": {"debian": {"security": "ftp://x"}}}}`: `invalid security archive "ftp://x"`,
		"<<<<<<< HEAD\n": "invalid character",
	} {
		_, err := lock.Parse("multiarch.lock", []byte(text))
		var broken *lock.InvalidError
		require.ErrorAs(t, err, &broken, text)
		assert.ErrorContains(t, err, "multiarch.lock: ")
		assert.ErrorContains(t, err, want)
		assert.Contains(t, broken.Hint(), "multiarch lock")
	}
}

func TestChanges(t *testing.T) {
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	read := func(from, to string) *lock.File {
		f, err := lock.Parse(file, []byte(replaceOnce(t, string(content), from, to)))
		require.NoError(t, err)
		return f
	}
	old := read("", "")
	assert.Empty(t, lock.Changes(old, read("2026-", "2027-")), "a new date alone is not a change")
	next := read(`"3.1.1-1"`, `"3.1.2-1"`)
	changes := lock.Changes(old, next)
	require.Len(t, changes, 1)
	assert.Equal(t, "python python3-flask: 3.1.1-1 (amd64) -> 3.1.2-1 (amd64)", changes[0].String())
	assert.Len(t, lock.Changes(nil, old), 7)
	assert.Contains(t, lock.Changes(old, nil)[0].String(), " removed")
}

func FuzzFormat(f *testing.F) {
	content, err := os.ReadFile(file)
	require.NoError(f, err)
	f.Add(content)
	f.Add([]byte(`{"version":1,"bases":{"a\"[{":{"debian":{"packages":["}\\","\n"]}}}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		parsed, err := lock.Parse("x", content)
		if err != nil {
			return
		}
		once, err := parsed.Format()
		require.NoError(t, err)
		again, err := lock.Parse("x", once)
		require.NoError(t, err, string(once))
		twice, err := again.Format()
		require.NoError(t, err)
		assert.Equal(t, string(once), string(twice))
	})
}
