package registry_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

func TestInvalidNames(t *testing.T) {
	for wrong, hint := range map[string]string{
		"ghcr.io/Onap/hello":             `repositories must be lower case: write "ghcr.io/onap/hello"`,
		"ghcr.io/Onap/Hello:V1":          `repositories must be lower case: write "ghcr.io/onap/hello:V1"`,
		"localhost:5000/Onap/hello":      `repositories must be lower case: write "localhost:5000/onap/hello"`,
		"Onap/hello":                     `repositories must be lower case: write "onap/hello"`,
		"ghcr.io/onap/../prod/hello":     "use lower-case letters, digits, and / . _ - between them",
		"ghcr.io/onap/./hello:v1":        "use lower-case letters, digits, and / . _ - between them",
		"ghcr.io/onap/hello:not a tag":   "",
		"ghcr.io/Onap/hello:not a tag":   "",
		"ghcr.io/onap/hello@sha256:1234": "",
	} {
		_, err := registry.Client{}.Parse(wrong)
		var invalid *registry.NameError
		require.ErrorAs(t, err, &invalid, wrong)
		assert.Equal(t, hint, invalid.Hint(), wrong)
		assert.Contains(t, err.Error(), `reference "`+wrong+`"`)
	}
	_, err := registry.Client{}.Repository("ghcr.io/Onap/hello")
	var invalid *registry.NameError
	require.ErrorAs(t, err, &invalid)
	assert.Equal(t, `repositories must be lower case: write "ghcr.io/onap/hello"`, invalid.Hint())
	_, err = registry.Client{}.Repository("ghcr.io/onap/..")
	require.Error(t, err)
}
