package layer_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/multiarch-build/multiarch/tools/oci/filecap"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

// TestCapabilitiesOfSourcesAreReported sets the attribute as setcap does.
func TestCapabilitiesOfSourcesAreReported(t *testing.T) {
	set, err := filecap.Parse("cap_net_raw=ep")
	require.NoError(t, err)
	dir := t.TempDir()
	file := filepath.Join(dir, "d", "ping")
	require.NoError(t, os.Mkdir(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, nil, 0o755))
	if err := unix.Setxattr(file, filecap.Attribute, set.Encode(), 0); err != nil {
		t.Skipf("this system does not allow setting file capabilities: %v", err)
	}
	tree, err := os.OpenRoot(dir)
	require.NoError(t, err)
	for _, from := range []string{"d", "d/ping"} {
		_, err = layer.Collect(tree, layer.Source{From: from, To: "/x"})
		var capability *layer.CapabilityError
		require.ErrorAs(t, err, &capability)
		assert.ErrorContains(t, err, "d/ping has file capabilities")
		_, err = layer.Collect(tree, layer.Source{From: from, To: "/x", Capabilities: set.Encode()})
		assert.NoError(t, err)
	}
}
