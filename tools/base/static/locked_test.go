package static_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"

	"github.com/multiarch-build/multiarch/tools/base/static"
)

func TestLockRecordsEmbeddedVersions(t *testing.T) {
	locked, err := static.Lock()
	require.NoError(t, err)
	again, err := static.Lock()
	require.NoError(t, err)
	assert.Equal(t, locked, again)

	content, err := os.ReadFile(filepath.Join("..", "..", "..", "go.mod"))
	if os.IsNotExist(err) {
		t.Skip("no go.mod in this sandbox")
	}
	require.NoError(t, err)
	mod, err := modfile.Parse("go.mod", content, nil)
	require.NoError(t, err)
	want := ""
	for _, r := range mod.Require {
		if r.Mod.Path == "golang.org/x/crypto/x509roots/fallback" {
			want = r.Mod.Version
		}
	}
	assert.Equal(t, want, locked.CARoots, "set rootsVersion to the version in go.mod")

	// Only the Go distribution that zoneinfo.zip was copied from names its version.
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skip("the go command is not available")
	}
	lib := filepath.Join(strings.TrimSpace(string(goroot)), "lib", "time")
	own, err := os.ReadFile("zoneinfo.zip")
	require.NoError(t, err)
	if theirs, err := os.ReadFile(filepath.Join(lib, "zoneinfo.zip")); err != nil || !bytes.Equal(own, theirs) {
		t.Skip("this Go distribution has other time zones")
	}
	script, err := os.ReadFile(filepath.Join(lib, "update.bash"))
	require.NoError(t, err)
	assert.Contains(t, string(script), "\nDATA="+locked.TimeZones+"\n",
		"set zonesVersion to the version in lib/time/update.bash")
}
