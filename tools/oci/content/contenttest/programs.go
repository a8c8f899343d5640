package contenttest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FakeProgram puts a shell script with the given name first on PATH, which otherwise has only the programs of the
// system. It returns the working directory of the script, which may write files there.
func FakeProgram(t testing.TB, name, script string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\ncd "+dir+"\n"+script), 0o755))
	t.Setenv("PATH", dir+":/bin:/usr/bin")
	return dir
}

// RequireTool skips the test if a program is not installed, unless MULTIARCH_TEST_TOOLS=all.
func RequireTool(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("MULTIARCH_TEST_TOOLS") == "all" {
			t.Fatalf("%s is missing, and MULTIARCH_TEST_TOOLS=all", name)
		}
		t.Skipf("%s is missing", name)
	}
}

// Output runs a program and returns its standard output.
func Output(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s %v: %s", name, args, stderr.String())
	return out
}
