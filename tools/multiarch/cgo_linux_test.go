package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCgoOnDebian compiles a program that calls the C library, for two architectures, and runs it on a Debian base. On
// the static base, verify reports the missing libraries.
func TestCgoOnDebian(t *testing.T) {
	skipShort(t)
	t.Parallel()
	tool(t, "x86_64-linux-gnu-gcc")
	tool(t, "aarch64-linux-gnu-gcc")
	tool(t, "qemu-aarch64-static")
	s := services{t.TempDir(), t.TempDir()}
	s.write(t, "go.mod", "module example.com/roots\n\ngo 1.24\n")
	s.write(t, "main.go", `package main

// #cgo LDFLAGS: -lm
// #include <math.h>
// #include <string.h>
// #include <gnu/libc-version.h>
import "C"

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	x := float64(len(os.Args)) // so that no compiler knows the result
	version := C.GoString(C.gnu_get_libc_version())
	fmt.Printf("%s %.4f %t\n", runtime.GOARCH, C.cbrt(C.double(x+1)),
		int(C.strlen(C.gnu_get_libc_version())) == len(version))
}
`)
	s.write(t, "multiarch.yaml", `version: 1
platforms: [linux/amd64, linux/arm64]
bases:
  c: {debian: {suite: stable, packages: [libc6]}}
images:
  roots: {go: {package: ., cgo: true}, base: c, user: "65532"}
  rootless: {go: {package: ., cgo: true}, base: static}
`)
	cmd := s.command("lock")
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() == 5 && os.Getenv("MULTIARCH_TEST_TOOLS") != "all" {
		t.Skipf("no mirror to ask, or one that is being updated: %s", out)
	} else {
		require.NoError(t, err, string(out))
	}
	run := func(args ...string) (string, error) {
		out, err := s.command(args...).CombinedOutput()
		return string(out), err
	}
	first, err := run("build", "-q", "--no-verify")
	require.NoError(t, err, first)
	out, err := run("verify", "oci:dist:roots")
	require.NoError(t, err, out)
	assert.NotContains(t, out, "library")
	for platform, want := range map[string]string{
		"linux/amd64": "amd64 1.2599 true\n",
		"linux/arm64": "arm64 1.2599 true\n",
	} {
		out, err := run("run", "-q", "roots", "--platform", platform)
		require.NoError(t, err, out)
		assert.Equal(t, want, out)
	}
	again, err := run("build", "-q", "--no-verify")
	require.NoError(t, err, again)
	assert.Equal(t, first, again)
	moved := services{filepath.Join(t.TempDir(), "elsewhere"), t.TempDir()}
	command(t, "cp", "-r", s.dir, moved.dir)
	elsewhere, err := moved.command("build", "-q", "--no-verify").Output()
	require.NoError(t, err)
	assert.Equal(t, first, string(elsewhere), "the bits do not depend on the folder or the cache")

	out, err = run("verify", "oci:dist:rootless")
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, out)
	assert.Equal(t, exitDiffers, exit.ExitCode())
	for _, want := range []string{
		`linux/arm64: layer 2 \(sha256:[0-9a-f]{64}\): /app/rootless: its interpreter is /lib/ld-linux-aarch64.so.1, which ` +
			`the image does not have`,
		`linux/arm64: layer 2 \(sha256:[0-9a-f]{64}\): /app/rootless: it needs the library libm.so.6, which the image does ` +
			`not have`,
		`linux/amd64: layer 2 \(sha256:[0-9a-f]{64}\): /app/rootless: it needs the library libc.so.6, which the image does ` +
			`not have`,
	} {
		assert.Regexp(t, want, out)
	}
}
