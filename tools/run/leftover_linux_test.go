package run

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRemoveLeftoversRemovesWhatNoProcessUses(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	used, release, err := lockedDirectory()
	require.NoError(t, err)
	defer release()
	// The kernel releases the lock of a killed process.
	left, died, err := lockedDirectory()
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(left, "root", "sealed"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(left, "root", "sealed", "file"), nil, 0o400))
	require.NoError(t, os.Chmod(filepath.Join(left, "root", "sealed"), 0o500))
	died()
	other := filepath.Join(os.TempDir(), "multiarch-other")
	require.NoError(t, os.Mkdir(other, 0o755))
	file := filepath.Join(os.TempDir(), rootPrefix+"file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	link := filepath.Join(os.TempDir(), rootPrefix+"link")
	require.NoError(t, os.Symlink(other, link))
	young := filepath.Join(os.TempDir(), newPrefix+"1")
	require.NoError(t, os.Mkdir(young, 0o700))

	removeLeftovers()
	assert.NoDirExists(t, left)
	for _, kept := range []string{used, other, file, link, young} {
		_, err := os.Lstat(kept)
		assert.NoError(t, err)
	}
}
