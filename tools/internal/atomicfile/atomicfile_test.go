package atomicfile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/internal/atomicfile"
)

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func requireOnly(t *testing.T, path, content string) {
	t.Helper()
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, content, string(got))
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "no temporary file is left")
}

func TestWriteReplacesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, atomicfile.Write(path, 0o600, text("one")))
	requireOnly(t, path, "one")
	require.NoError(t, os.Chmod(path, 0o640))
	require.NoError(t, atomicfile.Write(path, 0o600, text("two")))
	requireOnly(t, path, "two")
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode().Perm(), "an existing file keeps its permissions")
}

func TestFailedWriteKeepsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o644))
	failing := func(w io.Writer) error {
		_, _ = io.WriteString(w, "new")
		return errors.New("disk full")
	}
	require.EqualError(t, atomicfile.Write(path, 0o644, failing), "disk full")
	requireOnly(t, path, "old")
	require.EqualError(t, atomicfile.WriteVia(path+".tmp", path, 0o644, failing), "disk full")
	requireOnly(t, path, "old")
}

func TestStageWritesOnlyTheTemporaryFile(t *testing.T) {
	temp := filepath.Join(t.TempDir(), "temp")
	require.NoError(t, atomicfile.Stage(temp, 0o666, text("new")))
	requireOnly(t, temp, "new")
	info, err := os.Stat(temp)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o666), info.Mode().Perm(), "umask does not apply")
	require.ErrorIs(t, atomicfile.Stage(temp, 0o666, text("other")), os.ErrExist)
	requireOnly(t, temp, "new")
}

func TestFailedStageLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	err := atomicfile.Stage(filepath.Join(dir, "temp"), 0o600, func(w io.Writer) error {
		_, _ = io.WriteString(w, "new")
		return errors.New("disk full")
	})
	require.EqualError(t, err, "disk full")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func TestRemovedTemporaryFileIsNoSecondError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	err := atomicfile.WriteVia(path+".tmp", path, 0o644, func(io.Writer) error {
		require.NoError(t, os.Remove(path+".tmp"))
		return errors.New("disk full")
	})
	require.EqualError(t, err, "disk full")
}

func TestWriteViaReplacesALeftover(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path+".tmp", []byte("left behind by a killed process"), 0o644))
	require.NoError(t, atomicfile.WriteVia(path+".tmp", path, 0o644, text("new")))
	requireOnly(t, path, "new")
}
