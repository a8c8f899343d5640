package gobuild_test

import (
	"archive/zip"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// serveModules serves modules with one file each from a directory. Keys are path or path@version; the default version
// is v1.0.0.
func serveModules(t *testing.T, sources map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, source := range sources {
		path, version, ok := strings.Cut(name, "@")
		if !ok {
			version = "v1.0.0"
		}
		at := filepath.Join(dir, path, "@v")
		require.NoError(t, os.MkdirAll(at, 0o755))
		mod := "module " + path + "\n\ngo 1.24\n"
		require.NoError(t, os.WriteFile(filepath.Join(at, version+".info"), []byte(`{"Version":"`+version+`"}`), 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(at, version+".mod"), []byte(mod), 0o644))
		prefix := path + "@" + version + "/"
		zipFile(t, filepath.Join(at, version+".zip"), map[string]string{prefix + "go.mod": mod, prefix + "source.go": source})
	}
	modCache := t.TempDir()
	t.Cleanup(func() { makeWritable(modCache) })
	for name, value := range map[string]string{
		"GOPROXY": "file://" + dir, "GOFLAGS": "-mod=mod", "GOSUMDB": "off", "GOMODCACHE": modCache,
	} {
		t.Setenv(name, value)
	}
}

// zipFile writes a zip archive.
func zipFile(t *testing.T, name string, files map[string]string) {
	t.Helper()
	f, err := os.Create(name)
	require.NoError(t, err)
	defer f.Close()
	archive := zip.NewWriter(f)
	for path, content := range files {
		w, err := archive.Create(path)
		require.NoError(t, err)
		_, err = w.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
}

// makeWritable makes the directories of a module cache writable, so that they can be removed.
func makeWritable(dir string) {
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(p, 0o755)
		}
		return nil
	})
}
