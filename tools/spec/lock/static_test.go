package lock_test

import (
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

func staticOf(digit string) *lock.Static {
	return &lock.Static{Digest: v1.Hash{Algorithm: "sha256", Hex: strings.Repeat(digit, 64)}, CARoots: "v0.0." +
		digit, TimeZones: "202" + digit + "a"}
}

func TestStaticBase(t *testing.T) {
	c, err := config.Parse("multiarch.yaml", []byte(`version: 1
platforms: [linux/amd64]
bases:
  other: {builtin: static}
images:
  one: {files: [{from: a, to: /a}]}
  two: {files: [{from: a, to: /a}], base: other}
  three: {files: [{from: a, to: /a}], base: scratch}
`))
	require.NoError(t, err)
	assert.Empty(t, lock.Requirements(c, nil))
	old, now := staticOf("1"), staticOf("2")
	wants := lock.Requirements(c, now)
	require.Len(t, wants, 2)
	assert.Equal(t, []string{"other", "static"}, []string{wants[0].Name, wants[1].Name})

	var none *lock.File
	assert.Empty(t, none.Stale(wants), "without a lock file nothing has changed")
	assert.False(t, none.HasStatic())
	earlier := &lock.File{Bases: map[string]lock.Base{}}
	assert.Empty(t, earlier.Stale(wants), "a lock of an earlier version stays valid")
	assert.False(t, earlier.Records("static"))

	f := &lock.File{Bases: map[string]lock.Base{"static": {Static: old}, "other": {Static: now}}}
	content, err := f.Format()
	require.NoError(t, err)
	f, err = lock.Parse("multiarch.lock", content)
	require.NoError(t, err)
	assert.True(t, f.HasStatic())
	stale := f.Stale(wants)
	require.Len(t, stale, 1)
	assert.EqualError(t, stale[0],
		"bases.static: locked as "+old.String()+", but this version of multiarch builds "+now.String())

	next := &lock.File{Bases: map[string]lock.Base{"static": {Static: now}, "other": {Static: now}}}
	var changes []string
	for _, change := range lock.Changes(f, next) {
		changes = append(changes, change.String())
	}
	assert.Equal(t, []string{
		"static: " + old.Digest.String() + " -> " + now.Digest.String(),
		"static CA roots: v0.0.1 -> v0.0.2",
		"static time zones: 2021a -> 2022a",
	}, changes)
}

func TestBasesMustBeOneThing(t *testing.T) {
	for _, text := range []string{
		`{"version": 1, "bases": {"a": {}}}`,
		`{"version": 1, "bases": {"a": {"static": {"digest": "sha256:` + strings.Repeat("1", 64) +
			`", "caRoots": "", "timeZones": ""}, "debian": {}}}}`,
		`{"version": 1, "bases": {"a": {"static": {"digest": "sha512:` + strings.Repeat("1", 128) +
			`", "caRoots": "", "timeZones": ""}}}}`,
	} {
		_, err := lock.Parse("multiarch.lock", []byte(text))
		var broken *lock.InvalidError
		assert.ErrorAs(t, err, &broken, text)
	}
}
