package reference_test

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/reference"
)

func TestCheckPath(t *testing.T) {
	for _, sound := range []string{"a", "0", "library/hello", "a/b/c", "a.b", "a_b", "a__b", "a-b", "a---b", "x9/y.z-1"} {
		assert.NoError(t, reference.CheckPath(sound), sound)
	}
	const characters = "use lower-case letters, digits, and / . _ - between them"
	for wrong, hint := range map[string]string{
		"":          characters,
		"..":        characters,
		"a/..":      characters,
		"../a":      characters,
		"a/../b":    characters,
		"a/./b":     characters,
		"a//b":      characters,
		"/a":        characters,
		"a/":        characters,
		"a..b":      characters,
		"a___b":     characters,
		"-a":        characters,
		"a-":        characters,
		"a:b":       characters,
		"a b":       characters,
		"a\n":       characters,
		"a%2e":      characters,
		"A/..":      characters,
		"Onap/hi":   `repositories must be lower case: write "onap/hi"`,
		"ONAP/api":  `repositories must be lower case: write "onap/api"`,
		"onap/aPi3": `repositories must be lower case: write "onap/api3"`,
	} {
		err := reference.CheckPath(wrong)
		var path *reference.PathError
		require.ErrorAs(t, err, &path, wrong)
		assert.Equal(t, hint, path.Hint(), wrong)
	}
}

// FuzzCheckPath accepts only what go-containerregistry accepts as well, and nothing that a server could clean.
func FuzzCheckPath(f *testing.F) {
	f.Add("team/hello")
	f.Add("a/../b")
	f.Fuzz(func(t *testing.T, p string) {
		if reference.CheckPath(p) != nil || len(p) > 200 || len(p) < 2 {
			return
		}
		repository, err := name.NewRepository("registry.example.com/" + p)
		require.NoError(t, err)
		require.Equal(t, p, repository.RepositoryStr())
		require.NotContains(t, "/"+p+"/", "/../")
		require.NotContains(t, "/"+p+"/", "/./")
	})
}
