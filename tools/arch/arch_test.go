package arch_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/internal/testmatrix"
)

func needGo(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil && os.Getenv("MULTIARCH_TEST_TOOLS") != "all" {
		t.Skip("the go command is not on PATH")
	}
}

func TestEveryRowCrossCompiles(t *testing.T) {
	needGo(t)
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	write("go.mod", "module example.com/row\n\ngo 1.24\n")
	write("main.go", "package main\n\nfunc main() { println(\"row\") }\n")

	slots := make(chan struct{}, runtime.NumCPU())
	rows := arch.Table()
	if !testmatrix.Full() { // compiling the runtime for every row takes minutes
		rows = slices.DeleteFunc(rows, func(r arch.Row) bool {
			return !slices.Contains([]string{"linux/amd64", "linux/s390x", "windows/amd64"}, r.String())
		})
	}
	require.NotEmpty(t, rows)
	for _, row := range rows {
		t.Run(row.Slug(), func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			binary := filepath.Join(dir, row.Slug())
			cmd := exec.Command("go", "build", "-o", binary, ".")
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), append(row.Go.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")...)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))

			bytes, err := os.ReadFile(binary)
			require.NoError(t, err)
			head, ok := arch.ReadHeader(bytes[:arch.HeaderSize])
			require.True(t, ok, "header not recognised")
			assert.Equal(t, row.Header, head)
			assert.Contains(t, head.String(), row.OS+"/"+row.Architecture)
		})
	}
}

func TestNamesRoundTripAndDoNotCollide(t *testing.T) {
	seen := map[string]arch.Platform{}
	for i, row := range arch.Table() {
		parsed, err := arch.Parse(row.String())
		require.NoError(t, err)
		assert.Equal(t, row.Platform, parsed)
		assert.Equal(t, row.Platform, arch.Canonical(row.OS, row.Architecture, row.Variant),
			"the table holds canonical platforms")
		found, ok := arch.Find(row.Platform)
		require.True(t, ok)
		assert.Equal(t, row, found)
		assert.Equal(t, i, arch.Order(row.Platform))

		for _, name := range []string{row.String(), row.Slug(), "official " + row.Official} {
			assert.NotContains(t, seen, name)
			seen[name] = row.Platform
		}
		assert.NotEmpty(t, row.Official)
		assert.NotEmpty(t, row.Go.OS)
	}
	require.NotEmpty(t, seen)
}

// TestGoToolchainKnowsEveryRow compares the table with the go command's list of ports.
func TestGoToolchainKnowsEveryRow(t *testing.T) {
	needGo(t)
	out, err := exec.Command("go", "tool", "dist", "list", "-json").Output()
	require.NoError(t, err)
	var ports []struct{ GOOS, GOARCH string }
	require.NoError(t, json.Unmarshal(out, &ports))
	for _, row := range arch.Table() {
		assert.Contains(t, ports, struct{ GOOS, GOARCH string }{row.Go.OS, row.Go.Arch})
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"linux/amd64":    "linux/amd64",
		"linux/amd64/v1": "linux/amd64",
		"linux/amd64/v3": "linux/amd64/v3",
		"linux/arm64":    "linux/arm64",
		"linux/arm64/v8": "linux/arm64",
		"linux/arm/v7":   "linux/arm/v7",
		"linux/arm/7":    "linux/arm/v7",
		"linux/arm":      "linux/arm/v7",
	} {
		p, err := arch.Parse(in)
		require.NoError(t, err, in)
		assert.Equal(t, want, p.String())
	}
	for _, in := range []string{"", "linux", "linux/arm/", "linux/armv7", "linux/arm/v8", "linux/amd64/",
		"linux//amd64",
		"Linux/amd64", "linux/x86_64", "linux/amd64/v1/v1", "darwin/arm64"} {
		_, err := arch.Parse(in)
		var unknown *arch.UnknownError
		require.ErrorAs(t, err, &unknown, in)
		assert.Equal(t, in, unknown.Name)
	}
}

func TestAnArmDescriptorWithoutVariantProvesNone(t *testing.T) {
	assert.Empty(t, arch.Canonical("linux", "arm", "").Variant)
	assert.Equal(t, "v7", arch.Requested("linux", "arm", "").Variant)
	assert.Equal(t, "v6", arch.Requested("linux", "arm", "6").Variant)
}

func TestTextForm(t *testing.T) {
	in := map[arch.Platform]arch.Platform{{OS: "linux", Architecture: "arm", Variant: "v6"}: {OS: "linux",
		Architecture: "s390x"}}
	bytes, err := json.Marshal(in)
	require.NoError(t, err)
	assert.JSONEq(t, `{"linux/arm/v6": "linux/s390x"}`, string(bytes))
	var out map[arch.Platform]arch.Platform
	require.NoError(t, json.Unmarshal(bytes, &out))
	assert.Equal(t, in, out)
}

func TestBest(t *testing.T) {
	have := []string{"linux/amd64", "linux/amd64/v3", "linux/arm/v5", "linux/arm/v6", "windows/amd64"}
	var platforms []arch.Platform
	for _, s := range have {
		p, err := arch.Parse(s)
		require.NoError(t, err)
		platforms = append(platforms, p)
	}
	for host, want := range map[string]string{
		"linux/amd64":    "linux/amd64",
		"linux/amd64/v2": "linux/amd64",
		"linux/amd64/v4": "linux/amd64/v3",
		"linux/arm/v7":   "linux/arm/v6",
		"linux/arm/v5":   "linux/arm/v5",
		"linux/arm64":    "",
		"linux/s390x":    "",
		"windows/amd64":  "windows/amd64",
	} {
		p, err := arch.Parse(host)
		require.NoError(t, err)
		got := ""
		if i := arch.BestMatch(p, platforms); i >= 0 {
			got = have[i]
		}
		assert.Equal(t, want, got, host)
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range append(arch.Names(), "linux/arm64/v8", "linux/armv7", "//", "linux/arm/") {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := arch.Parse(s)
		if err != nil {
			assert.NotPanics(t, func() { arch.Alias(s) })
			return
		}
		again, err := arch.Parse(p.String())
		require.NoError(t, err)
		assert.Equal(t, p, again)
	})
}

func FuzzReadHeader(f *testing.F) {
	f.Add([]byte("\x7fELF"))
	f.Add([]byte("MZ"))
	f.Fuzz(func(t *testing.T, head []byte) {
		if h, ok := arch.ReadHeader(head); ok {
			assert.NotEmpty(t, h.String())
		}
	})
}
