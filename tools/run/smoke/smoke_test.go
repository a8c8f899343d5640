package smoke_test

import (
	"errors"
	"net"
	"os"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/run/smoke"
)

// What programs do is tested by tools/multiarch/testdata/script/smoke.txtar and smoke_failures.txtar.

func TestAnotherProgramListens(t *testing.T) {
	l, err := net.Listen("tcp", ":0")
	require.NoError(t, err)
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	var tester smoke.Tester
	err = tester.Run(t.Context(), "hello", empty.Image, arch.Platform{OS: "linux", Architecture: "amd64"},
		smoke.Check{HTTP: &smoke.HTTP{Port: port}})
	assert.ErrorContains(t, err, "hello, linux/amd64: smoke test: port ")
	assert.ErrorContains(t, err, "is in use")
}

func TestUnable(t *testing.T) {
	var tester smoke.Tester
	windows := arch.Platform{OS: "windows", Architecture: "amd64"}
	err := tester.Run(t.Context(), "hello", empty.Image, windows, smoke.Check{})
	var unable *smoke.UnableError
	require.ErrorAs(t, err, &unable)
	assert.Equal(t, windows, unable.Platform)
	assert.ErrorContains(t, err, "windows/amd64 images cannot run on")
}

func TestAnImageThatCannotBeStarted(t *testing.T) {
	var tester smoke.Tester
	err := tester.Run(t.Context(), "hello", empty.Image, arch.Platform{OS: "linux", Architecture: "amd64"}, smoke.Check{})
	var unable *smoke.UnableError
	if errors.As(err, &unable) && os.Getenv("MULTIARCH_TEST_TOOLS") != "all" {
		t.Skipf("this machine runs no linux/amd64: %v", err)
	}
	var failed *smoke.Error
	require.ErrorAs(t, err, &failed)
	assert.ErrorContains(t, err, "hello, linux/amd64: smoke test: ")
	assert.Equal(t, "reproduce it with: multiarch run hello --platform linux/amd64", failed.Hint())
}
