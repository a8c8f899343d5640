package cache_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRecordsAreBoundToTheirKeys(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	require.NoError(t, s.Put("kind", "first", 1))
	files, err := filepath.Glob(filepath.Join(dir, "records", "*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	raw, err := os.ReadFile(files[0])
	require.NoError(t, err)
	require.NoError(t, s.Put("kind", "second", 2))
	for _, keys := range []string{"second", "third"} {
		require.NoError(t, s.Put("kind", keys, 3))
	}
	all, err := filepath.Glob(filepath.Join(dir, "records", "*"))
	require.NoError(t, err)
	for _, file := range all {
		require.NoError(t, os.WriteFile(file, raw, 0o644))
	}
	var got int
	assert.True(t, s.Get("kind", "first", &got))
	assert.Equal(t, 1, got)
	for _, key := range []string{"second", "third"} {
		assert.False(t, s.Get("kind", key, &got), "a copy of another record is rejected")
	}
}

// TestKeysMayContainAnyBytes uses keys that are equal after JSON encoding.
func TestKeysMayContainAnyBytes(t *testing.T) {
	s := open(t, t.TempDir())
	keys := []string{"\xff", "\xfe", "\ufffd"}
	for i, key := range keys {
		require.NoError(t, s.Put("kind", key, i))
	}
	for i, key := range keys {
		var got int
		assert.True(t, s.Get("kind", key, &got))
		assert.Equal(t, i, got)
	}
}

func TestWriteSurvivesTheRemovalOfTheCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	s := open(t, dir)
	calls := 0
	h, err := s.Write(func(w io.Writer) (v1.Hash, error) {
		if calls++; calls == 1 {
			require.NoError(t, os.RemoveAll(dir))
		}
		return content("content")(w)
	})
	require.NoError(t, err)
	assert.Equal(t, 2, calls)
	r, ok := s.OpenChecked(h)
	require.True(t, ok)
	defer r.Close()
	require.NoError(t, os.RemoveAll(dir))
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.Equal(t, "content", string(got), "open blobs stay readable")
	require.NoError(t, s.Put("kind", "key", 1))

	_, err = s.Write(func(io.Writer) (v1.Hash, error) { return v1.Hash{}, os.RemoveAll(dir) })
	assert.ErrorContains(t, err, "removed 3 times", "the number of attempts is limited")
}

// TestOtherFilesAreKept uses a cache directory that contains other files, such as a home directory.
func TestOtherFilesAreKept(t *testing.T) {
	dir := t.TempDir()
	own := []string{"go/bin/tool", "go/pkg/mod/file", "blobs/sha256/other", "records/letter", "tmp/mine", "notes"}
	long := time.Now().Add(-100 * 24 * time.Hour)
	for _, name := range own {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, nil, 0o644))
		for f := file; f != dir; f = filepath.Dir(f) {
			require.NoError(t, os.Chtimes(f, long, long))
		}
	}
	s := open(t, dir) // trims
	put(t, s, "content")
	require.NoError(t, s.Put("kind", "key", 1))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "go", strings.Repeat("a", 32), "0"), 0o755))
	damaged, err := s.CheckEntries(t.Context())
	require.NoError(t, err)
	assert.Empty(t, damaged)
	require.NoError(t, s.Clean())
	usage, err := s.Usage()
	require.NoError(t, err)
	for _, u := range usage {
		assert.Zero(t, u.Files, u.Area)
	}
	for _, name := range own {
		assert.FileExists(t, filepath.Join(dir, name))
	}
}
