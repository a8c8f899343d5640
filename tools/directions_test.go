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

// mayImport lists which of our packages each of our packages may import. Data flows one way: the architecture table,
// bytes (oci), what is requested (spec), base images, the two engines, publish and examine. The engines, publish and
// examine do not import each other. internal holds what is not about images.
var mayImport = map[string][]string{
	"tools/arch": {},

	"tools/internal/atomicfile": {},
	"tools/internal/fault":      {},
	"tools/internal/format":     {},
	"tools/internal/git":        {"tools/spec/config"},
	"tools/internal/httplimit":  {},
	"tools/internal/inputfile":  {},
	"tools/internal/memo":       {},
	"tools/internal/progress":   {"tools/internal/format"},
	"tools/internal/testmatrix": {},
	"tools/internal/runfiles":   {},

	"tools/oci/blob":                {},
	"tools/oci/content":             {"tools/arch", "tools/oci/indexjson", "tools/oci/manifest"},
	"tools/oci/content/contenttest": {"tools/arch", "tools/oci/content"},
	"tools/oci/filecap":             {"tools/spec/suggest"},
	"tools/oci/image":               {"tools/arch", "tools/oci/layer", "tools/spec/suggest"},
	"tools/oci/indexjson":           {},
	"tools/oci/join": {
		"tools/internal/fault", "tools/arch", "tools/oci/indexjson", "tools/spec/suggest",
		"tools/oci/manifest", "tools/internal/format",
	},
	"tools/oci/layer": {"tools/oci/filecap", "tools/oci/rootfs"},
	"tools/oci/layout": {
		"tools/internal/atomicfile", "tools/internal/inputfile", "tools/oci/content", "tools/oci/indexjson",
		"tools/internal/memo", "tools/oci/manifest",
	},
	"tools/oci/manifest":                {},
	"tools/oci/reference":               {},
	"tools/oci/reference/referencetest": {},
	"tools/oci/registry": {
		"tools/internal/fault", "tools/internal/httplimit", "tools/oci/manifest", "tools/oci/reference",
	},
	"tools/oci/registry/registrytest": {"tools/oci/registry"},
	"tools/oci/rootfs":                {},
	"tools/oci/source": {
		"tools/arch", "tools/internal/inputfile", "tools/internal/memo", "tools/oci/blob", "tools/oci/manifest",
		"tools/oci/registry", "tools/spec/suggest", "tools/oci/layout",
	},
	"tools/oci/source/sourcetest": {"tools/arch", "tools/oci/registry", "tools/oci/source"},

	"tools/spec/config": {"tools/internal/fault",
		"tools/arch", "tools/oci/filecap", "tools/oci/reference", "tools/spec/finding", "tools/spec/suggest",
	},
	"tools/spec/finding": {"tools/spec/suggest"},
	"tools/spec/lock":    {"tools/internal/fault", "tools/arch", "tools/internal/inputfile", "tools/spec/config"},
	"tools/spec/plan": {"tools/internal/fault",
		"tools/arch", "tools/oci/image", "tools/spec/config", "tools/spec/lock", "tools/spec/suggest",
		"tools/base/static",
	},
	"tools/spec/suggest": {"tools/arch"},

	"tools/base/debian": {"tools/internal/fault",
		"tools/internal/httplimit", "tools/internal/inputfile", "tools/oci/layer", "tools/spec/config",
		"tools/spec/lock", "tools/spec/suggest", "tools/build/cache",
	},
	"tools/base/pull": {
		"tools/internal/fault", "tools/arch", "tools/internal/memo", "tools/oci/image", "tools/oci/layer",
		"tools/oci/registry", "tools/spec/lock", "tools/build/cache", "tools/oci/manifest",
	},
	"tools/base/static": {"tools/oci/layer", "tools/spec/lock", "tools/spec/plan"},

	"tools/build": {"tools/internal/fault",
		"tools/arch", "tools/internal/inputfile", "tools/internal/memo", "tools/oci/filecap", "tools/oci/image",
		"tools/oci/layer", "tools/oci/layout", "tools/oci/rootfs", "tools/spec/config", "tools/spec/lock", "tools/spec/plan",
		"tools/base/debian", "tools/base/static", "tools/build/cache", "tools/build/gobuild",
	},
	"tools/build/cache":   {"tools/internal/atomicfile"},
	"tools/build/gobuild": {"tools/internal/fault", "tools/arch", "tools/internal/inputfile", "tools/build/cache"},

	"tools/bazel": {
		"tools/arch", "tools/internal/inputfile", "tools/oci/image", "tools/oci/layout", "tools/oci/reference",
		"tools/spec/config",
		"tools/spec/lock", "tools/spec/plan", "tools/base/static",
	},
	"tools/bazel/gazelle": {"tools/internal/fault", "tools/spec/config", "tools/bazel"},

	"tools/assemble": {
		"tools/arch", "tools/internal/atomicfile", "tools/internal/fault", "tools/oci/image", "tools/oci/layer",
		"tools/oci/layout", "tools/oci/rootfs", "tools/spec/config", "tools/spec/finding",
		"tools/spec/lock", "tools/spec/suggest", "tools/base/debian", "tools/base/static",
	},

	"tools/publish/load": {
		"tools/arch", "tools/internal/atomicfile", "tools/oci/content", "tools/oci/layout", "tools/spec/suggest",
	},
	"tools/publish/release": {
		"tools/arch", "tools/internal/fault", "tools/internal/format", "tools/internal/inputfile", "tools/oci/join",
		"tools/oci/manifest",
		"tools/oci/reference", "tools/oci/registry", "tools/oci/source", "tools/publish/push", "tools/spec/config",
		"tools/spec/plan", "tools/oci/content",
	},
	"tools/publish/push": {"tools/internal/fault",
		"tools/arch", "tools/oci/content", "tools/oci/registry", "tools/oci/manifest", "tools/internal/format",
		"tools/oci/reference",
	},

	"tools/examine/diff": {
		"tools/arch", "tools/internal/memo", "tools/oci/blob", "tools/oci/source", "tools/examine/internal/display",
	},
	"tools/examine/inspect":  {"tools/arch", "tools/oci/source", "tools/examine/internal/display"},
	"tools/examine/validate": {"tools/oci/layout", "tools/oci/source", "tools/spec/finding", "tools/examine/verify"},
	"tools/examine/verify": {
		"tools/arch", "tools/internal/memo", "tools/oci/blob", "tools/oci/manifest", "tools/oci/source",
		"tools/spec/finding", "tools/examine/internal/display",
	},

	"tools/run":       {"tools/arch", "tools/internal/inputfile"},
	"tools/run/smoke": {"tools/internal/fault", "tools/arch", "tools/run"},

	"tools/ci": {"tools/arch", "tools/oci/reference", "tools/spec/suggest"},

	"tools/rules/tests/cross/program": {},

	"tools/multiarch": {
		"tools/publish/release",
		"tools/internal/atomicfile", "tools/internal/fault", "tools/arch", "tools/internal/git", "tools/internal/inputfile",
		"tools/internal/progress", "tools/oci/image", "tools/oci/join", "tools/oci/reference",
		"tools/oci/registry", "tools/spec/config", "tools/spec/finding", "tools/spec/lock", "tools/spec/plan",
		"tools/spec/suggest", "tools/base/debian", "tools/base/pull", "tools/base/static", "tools/build",
		"tools/build/cache", "tools/build/gobuild", "tools/bazel", "tools/oci/content", "tools/oci/layout",
		"tools/publish/load", "tools/publish/push", "tools/examine/diff", "tools/examine/inspect",
		"tools/examine/verify", "tools/oci/source", "tools/run", "tools/run/smoke", "tools/ci",
		"tools/oci/manifest", "tools/internal/format", "tools/internal/runfiles",
	},

	"tools/bench": {},

	"app/clock":          {"app/internal/serve"},
	"app/hello":          {"app/internal/serve"},
	"app/internal/serve": {},
}

// withoutRegistries are the packages that must work where there is no network: not even indirectly may they know how
// to reach a registry.
var withoutRegistries = []string{
	"tools/arch", "tools/oci/layer", "tools/oci/image", "tools/oci/join", "tools/oci/content", "tools/oci/layout",
	"tools/spec/config", "tools/spec/lock", "tools/spec/plan", "tools/base/static", "tools/build", "tools/build/cache",
	"tools/build/gobuild", "tools/bazel", "tools/assemble", "tools/run",
}

type listed struct {
	ImportPath string
	Name       string
	Imports    []string
	Deps       []string
	// Imports of tests in the package and in its external test package.
	TestImports, XTestImports []string
}

func list(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Name,Imports,Deps,TestImports,XTestImports", "./...")
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
		for _, forbidden := range []string{
			"github.com/google/go-containerregistry/pkg/v1/remote", "github.com/google/go-containerregistry/pkg/authn",
		} {
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
