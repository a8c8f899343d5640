package cache_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/build/cache"
)

func open(t *testing.T, dir string) *cache.Store {
	t.Helper()
	s, err := cache.Open(dir)
	require.NoError(t, err)
	return s
}

// content returns a function that writes a blob.
func content(text string) func(io.Writer) (v1.Hash, error) {
	return func(w io.Writer) (v1.Hash, error) {
		if _, err := io.WriteString(w, text); err != nil {
			return v1.Hash{}, err
		}
		h, _, err := v1.SHA256(strings.NewReader(text))
		return h, err
	}
}

func put(t *testing.T, s *cache.Store, text string) v1.Hash {
	t.Helper()
	h, err := s.Write(content(text))
	require.NoError(t, err)
	return h
}

func blobFile(dir string, h v1.Hash) string { return filepath.Join(dir, "blobs", h.Algorithm, h.Hex) }

func TestBlobsAreStoredByDigest(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	want, size, err := v1.SHA256(strings.NewReader("content"))
	require.NoError(t, err)
	assert.False(t, s.Check(want))
	assert.False(t, s.Has(want, size))
	_, err = s.Blob(want)
	assert.ErrorIs(t, err, os.ErrNotExist)

	assert.Equal(t, want, put(t, s, "content"))
	assert.True(t, s.Check(want))
	assert.True(t, s.Has(want, size))
	assert.False(t, s.Has(want, size+1))
	r, err := s.Blob(want)
	require.NoError(t, err)
	defer r.Close()
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.Equal(t, "content", string(got))

	require.NoError(t, os.WriteFile(blobFile(dir, want), []byte("CONTENT"), 0o644))
	assert.False(t, s.Check(want), "damage is detected")
	assert.NoFileExists(t, blobFile(dir, want), "the damaged blob is removed")
}

func TestFailedWriteLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	cause := errors.New("cause")
	_, err := s.Write(func(w io.Writer) (v1.Hash, error) {
		_, _ = io.WriteString(w, "half")
		return v1.Hash{}, cause
	})
	assert.ErrorIs(t, err, cause)
	for _, d := range []string{"tmp", "blobs/sha256"} {
		left, err := os.ReadDir(filepath.Join(dir, d))
		require.NoError(t, err)
		assert.Empty(t, left)
	}
}

func TestRecordsAreStoredByKey(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var got map[string]int
	assert.False(t, s.Get("kind", "a/../key\x00", &got))
	require.NoError(t, s.Put("kind", "a/../key\x00", map[string]int{"x": 1}))
	assert.True(t, s.Get("kind", "a/../key\x00", &got))
	assert.Equal(t, map[string]int{"x": 1}, got)
	assert.False(t, s.Get("other", "a/../key\x00", &got))
	s.Forget("kind", "a/../key\x00")
	assert.False(t, s.Get("kind", "a/../key\x00", &got))
}

func TestDamagedRecordsAreMissing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for i, damaged := range []string{"", "\n", "x", "0000\n{}", strings.Repeat("0", 64) + "\n{\"x\":1}"} {
		key := fmt.Sprint(i)
		require.NoError(t, s.Put("kind", key, 1))
		files, err := filepath.Glob(filepath.Join(dir, "records", "*"))
		require.NoError(t, err)
		require.Len(t, files, 1)
		require.NoError(t, os.WriteFile(files[0], []byte(damaged), 0o644))
		var got int
		assert.False(t, s.Get("kind", key, &got))
		assert.NoFileExists(t, files[0])
	}
}

func TestConcurrentWriters(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			s, err := cache.Open(dir)
			if !assert.NoError(t, err) {
				return
			}
			h, err := s.Write(content(fmt.Sprint(i % 3)))
			assert.NoError(t, err)
			assert.True(t, s.Check(h))
			assert.NoError(t, s.Put("kind", "key", i))
			var got int
			assert.True(t, s.Get("kind", "key", &got))
		})
	}
	wg.Wait()
}

func TestOldEntriesAreTrimmed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	old, recent := put(t, s, "old"), put(t, s, "recent")
	long := time.Now().Add(-100 * 24 * time.Hour)
	for _, file := range []string{blobFile(dir, old), filepath.Join(dir, "trimmed")} {
		require.NoError(t, os.Chtimes(file, long, long))
	}
	open(t, dir)
	assert.NoFileExists(t, blobFile(dir, old))
	assert.FileExists(t, blobFile(dir, recent))
}

func TestUnusableDirectoryHasAHint(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	_, err := cache.Open(file)
	var unusable *cache.UnusableError
	require.ErrorAs(t, err, &unusable)
	assert.Contains(t, err.Error(), file)
	assert.Contains(t, unusable.Hint(), "MULTIARCH_CACHE")
}
