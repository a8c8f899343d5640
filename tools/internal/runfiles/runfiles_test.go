package runfiles_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/internal/runfiles"
)

const launchFile = `{"self": "_main/images/push.exe.launch.json", "args": [
  {"text": "release"}, {"text": "--prebuilt"}, {"text": "%s", "file": "_main/images/push.json"},
  {"text": "oci:%s:x", "file": "other/a b"}
]}`

// write writes files below a new directory and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return dir
}

func TestFindIgnoresOtherPrograms(t *testing.T) {
	l, err := runfiles.Find(filepath.Join(t.TempDir(), "multiarch"))
	require.NoError(t, err)
	assert.Nil(t, l)
	l, err = runfiles.Find("multiarch-that-is-not-on-the-path")
	require.NoError(t, err)
	assert.Nil(t, l)
}

func TestFindLocatesRunfiles(t *testing.T) {
	const self = "_main/images/push.exe.launch.json"
	for name, c := range map[string]struct {
		executable string
		files      map[string]string
		runfiles   string
	}{
		"beside the executable": {
			"bin/images/push.exe",
			map[string]string{"bin/images/push.exe.launch.json": launchFile, "bin/images/push.exe.runfiles/" + self: launchFile},
			"bin/images/push.exe.runfiles",
		},
		"in the runfiles of another executable": {
			"bin/all.runfiles/_main/images/push.exe",
			map[string]string{"bin/all.runfiles/" + self: launchFile},
			"bin/all.runfiles",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, c.files)
			l, err := runfiles.Find(filepath.Join(dir, c.executable))
			require.NoError(t, err)
			at := filepath.Join(dir, c.runfiles)
			assert.Equal(t, []string{
				"release", "--prebuilt", at + "/_main/images/push.json", "oci:" + at + "/other/a b:x",
			}, l.Args)
		})
	}
}

func TestFindUsesTheEnvironment(t *testing.T) {
	dir := write(t, map[string]string{
		"bin/images/push.exe.launch.json":        launchFile,
		"copy/_main/images/push.exe.launch.json": launchFile,
		"MANIFEST": "_main/images/push.exe.launch.json C:/x\r\n" +
			"_main/images/push.json C:/push.json\r\n" +
			" other/a\\sb C:/a\\sb\\nc\n",
		"bin/images/push.exe.runfiles/MANIFEST":      "unrelated /x\n",
		"bin/images/push.exe.runfiles/_repo_mapping": "",
	})
	executable := filepath.Join(dir, "bin/images/push.exe")
	t.Run("manifest", func(t *testing.T) {
		t.Setenv("RUNFILES_MANIFEST_FILE", filepath.Join(dir, "MANIFEST"))
		l, err := runfiles.Find(executable)
		require.NoError(t, err)
		assert.Equal(t, []string{"release", "--prebuilt", "C:/push.json", "oci:C:/a b\nc:x"}, l.Args)
		_, err = l.Path("_main/gone")
		require.EqualError(t, err, "finding _main/gone: it is not in the manifest of the runfiles")
	})
	t.Run("directory", func(t *testing.T) {
		t.Setenv("RUNFILES_DIR", filepath.Join(dir, "copy"))
		l, err := runfiles.Find(executable)
		require.NoError(t, err)
		assert.Equal(t, filepath.Join(dir, "copy/_main/images/push.json"), l.Args[2])
	})
	t.Run("none", func(t *testing.T) {
		_, err := runfiles.Find(executable)
		var missing *runfiles.MissingError
		require.ErrorAs(t, err, &missing)
		assert.NotEmpty(t, missing.Hint())
	})
}

func TestFindReportsBrokenLaunchFile(t *testing.T) {
	dir := write(t, map[string]string{"push.exe.launch.json": "{"})
	_, err := runfiles.Find(filepath.Join(dir, "push.exe"))
	require.ErrorContains(t, err, "push.exe.launch.json: unexpected end of JSON input")
}
