// Package tools_test holds the architecture: which package may know which.
package tools_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/multiarch-build/multiarch/"

// mayImport says which of our packages each of our packages may import. Data flows one way, from arch and config at the
// top to the commands at the bottom; build, publish, inspect and run are strangers to each other.
var mayImport = map[string][]string{
	"tools/memo":                      {},
	"tools/finding":                   {"tools/nearest"},
	"tools/filecap":                   {"tools/nearest"},
	"tools/validate":                  {"tools/finding", "tools/inspect"},
	"tools/nearest":                   {},
	"tools/reference":                 {},
	"tools/arch":                      {"tools/nearest"},
	"tools/config":                    {"tools/arch", "tools/filecap", "tools/finding", "tools/nearest", "tools/reference"},
	"tools/rootfs":                    {},
	"tools/layer":                     {"tools/filecap", "tools/rootfs"},
	"tools/git":                       {"tools/config"},
	"tools/image":                     {"tools/arch", "tools/layer", "tools/nearest"},
	"tools/lock":                      {"tools/arch", "tools/config", "tools/inputfile"},
	"tools/plan":                      {"tools/arch", "tools/config", "tools/image", "tools/lock", "tools/nearest"},
	"tools/cache":                     {},
	"tools/httplimit":                 {},
	"tools/manifest":                  {},
	"tools/registry":                  {"tools/httplimit", "tools/manifest", "tools/reference"},
	"tools/registry/registrytest":     {"tools/registry"},
	"tools/base":                      {"tools/layer", "tools/lock", "tools/plan"},
	"tools/base/debian":               {"tools/cache", "tools/config", "tools/httplimit", "tools/inputfile", "tools/layer", "tools/lock", "tools/nearest"},
	"tools/base/pull":                 {"tools/arch", "tools/cache", "tools/image", "tools/layer", "tools/lock", "tools/memo", "tools/registry"},
	"tools/gobuild":                   {"tools/arch", "tools/cache", "tools/inputfile"},
	"tools/build":                     {"tools/arch", "tools/base", "tools/base/debian", "tools/cache", "tools/config", "tools/filecap", "tools/gobuild", "tools/image", "tools/inputfile", "tools/layer", "tools/lock", "tools/memo", "tools/plan", "tools/rootfs"},
	"tools/indexjson":                 {},
	"tools/publish":                   {"tools/arch", "tools/indexjson", "tools/inputfile", "tools/nearest", "tools/registry"},
	"tools/inspect":                   {"tools/arch", "tools/finding", "tools/inputfile", "tools/manifest", "tools/memo", "tools/nearest", "tools/registry"},
	"tools/index":                     {"tools/arch", "tools/indexjson", "tools/nearest"},
	"tools/run":                       {"tools/arch", "tools/inputfile"},
	"tools/pipeline":                  {"tools/arch", "tools/nearest", "tools/reference"},
	"tools/smoke":                     {"tools/arch", "tools/run"},
	"tools/bazel":                     {"tools/arch", "tools/base", "tools/config", "tools/image", "tools/inputfile", "tools/lock", "tools/plan", "tools/reference"},
	"tools/assemble":                  {"tools/arch", "tools/base", "tools/base/debian", "tools/config", "tools/image", "tools/layer", "tools/lock", "tools/rootfs"},
	"tools/gazelle":                   {"tools/bazel", "tools/config"},
	"tools/multiarch":                 {"tools/arch", "tools/base", "tools/base/debian", "tools/base/pull", "tools/bazel", "tools/build", "tools/cache", "tools/config", "tools/finding", "tools/git", "tools/gobuild", "tools/image", "tools/index", "tools/inputfile", "tools/inspect", "tools/lock", "tools/nearest", "tools/pipeline", "tools/plan", "tools/publish", "tools/reference", "tools/registry", "tools/run", "tools/smoke"},
	"tools/bench":                     {},
	"tools/inputfile":                 {},
	"tools/reference/referencetest":   {},
	"tools/rules/reference":           {},
	"tools/rules/tests/cross/program": {},
	"app/hello":                       {"app/internal/serve"},
	"app/clock":                       {"app/internal/serve"},
	"app/internal/serve":              {},
}

// withoutRegistries are the packages that must work where there is no network: not even indirectly may they know how
// to reach a registry.
var withoutRegistries = []string{"tools/arch", "tools/config", "tools/layer", "tools/image", "tools/lock", "tools/plan", "tools/cache", "tools/base", "tools/gobuild", "tools/build", "tools/index", "tools/run", "tools/bazel", "tools/assemble"}

type listed struct {
	ImportPath string
	Name       string
	Imports    []string
	Deps       []string
}

func list(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Name,Imports,Deps", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	require.NoError(t, err)
	all := map[string]listed{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
		all[strings.TrimPrefix(p.ImportPath, module)] = p
	}
	require.NotEmpty(t, all)
	return all
}

func TestImportsGoOneWay(t *testing.T) {
	all := list(t)
	for path, p := range all {
		if strings.Contains(path, "/internal/") && !strings.HasPrefix(path, "app/") {
			continue // only its parent can import it, and the parent is held to its own list
		}
		allowed, known := mayImport[path]
		if len(p.Imports) == 0 {
			continue // only tests
		}
		assert.True(t, known, "%s is new: say in mayImport what it may import", path)
		for _, i := range p.Imports {
			own, ours := strings.CutPrefix(i, module)
			if ours && !strings.HasPrefix(own, path+"/internal/") {
				assert.True(t, slices.Contains(allowed, own), "%s must not import %s", path, own)
			}
		}
	}
	for path := range mayImport {
		_, exists := all[path]
		assert.True(t, exists, "mayImport speaks of %s, which is not there", path)
	}
}

func TestNobodyReachesARegistryUnasked(t *testing.T) {
	all := list(t)
	for _, path := range withoutRegistries {
		require.NotEmpty(t, all[path].Deps, path)
		for _, forbidden := range []string{"github.com/google/go-containerregistry/pkg/v1/remote", "github.com/google/go-containerregistry/pkg/authn"} {
			assert.False(t, slices.Contains(all[path].Deps, forbidden), "%s depends on %s", path, forbidden)
		}
	}
}

func TestNoDrawers(t *testing.T) {
	for path, p := range list(t) {
		for _, drawer := range []string{"util", "utils", "common", "helper", "helpers", "misc", "shared"} {
			assert.NotEqual(t, drawer, p.Name, path)
		}
	}
}
