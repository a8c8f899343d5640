package main

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestProgramsMatchEmbeddedEngine assembles images with programs that the embedded engine compiled, for every platform.
func TestProgramsMatchEmbeddedEngine(t *testing.T) {
	if os.Getenv("TEST_SRCDIR") != "" {
		t.Skip("Bazel gives tests no go command, which the embedded engine compiles with; go test runs this")
	}
	w := newActionDir(t)
	w.write("go.mod", "module example.com/hello\n\ngo 1.24\n")
	w.write("main.go", "package main\n\nfunc main() { println(\"hello\") }\n")
	index := w.embedded(`
version: 1
platforms: [linux/amd64, windows/amd64]
images:
  hello:
    go: {package: .}
    base: static
    user: "65532"
    cmd: [serve]
    files: [{from: etc/a, to: /etc/a, mode: "0600", owner: "65532:7"}]
    overrides:
      windows/amd64: {base: scratch, user: "7", compression: zstd}
`)
	top, err := index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, top.Manifests, 2)
	w.must("layer", "-content", "static", "-blob", "static.blob", "-descriptor", "static.json")
	for _, c := range []struct {
		os, path, entrypoint, user, compression string
		below                                   []string // layers
	}{
		{"linux", "/app/hello", "/app/hello", "65532", "gzip", []string{"-layer", "static.json"}},
		{"windows", "/app/hello.exe", `C:\app\hello.exe`, "7", "zstd", nil},
	} {
		t.Run(c.os, func(t *testing.T) {
			w := actionDir{t, w.dir}
			var want v1.Descriptor
			for _, d := range top.Manifests {
				if d.Platform.OS == c.os {
					want = d
				}
			}
			one, err := index.Image(want.Digest)
			require.NoError(t, err)
			name, content := lastFile(t, one)
			assert.Equal(t, map[bool]string{true: "Files" + c.path, false: c.path[1:]}[c.os == "windows"], name)
			require.NoError(t, os.WriteFile("program", content, 0o755))

			layer := []string{
				"layer", "-image", "hello", "-platform", c.os + "/amd64", "-os", c.os, "-compression", c.compression,
			}
			w.must(with(layer, "-content", "files", "-blob", "files.blob", "-descriptor", "files.json",
				`-entry={"path":"/etc/a","from":"etc/a","mode":384,"uid":65532,"gid":7}`)...)
			w.must(with(layer, "-content", "program", "-blob", "program.blob", "-descriptor", "program.json",
				fmt.Sprintf(`-entry={"path":%q,"from":"program","binary":true,"mode":493}`, c.path))...)
			w.write("settings",
				fmt.Sprintf(`{"settings":{"entrypoint":[%q],"cmd":["serve"],"user":%q,"created":"1970-01-01T00:00:00Z"}}`,
					c.entrypoint, c.user))
			w.must(with(with([]string{"image", "-platform", c.os + "/amd64", "-settings", "settings", "-manifest", "manifest",
				"-config", "config", "-descriptor", "descriptor"}, c.below...),
				"-layer", "files.json", "-layer", "program.json")...)
			var got v1.Descriptor
			require.NoError(t, readJSON("descriptor", &got))
			assert.Equal(t, want, got)

			// The program of another platform is an error.
			other := map[string]string{"linux": "windows", "windows": "linux"}[c.os]
			code, stderr := w.run("layer", "-image", "hello", "-platform", other+"/amd64", "-content", "program", "-blob", "no",
				"-descriptor", "no.json",
				`-entry={"path":"/app/hello","from":"program","binary":true}`)
			assert.Equal(t, 1, code)
			assert.Contains(t, stderr, "image hello, "+other+"/amd64: program is a program for "+c.os+"/amd64")
			assert.Contains(t, stderr, "hint: ")
			assert.NoFileExists(t, "no")
		})
	}
}

// lastFile returns the only file in the topmost layer of an image.
func lastFile(t *testing.T, one v1.Image) (string, []byte) {
	t.Helper()
	layers, err := one.Layers()
	require.NoError(t, err)
	blob, err := layers[len(layers)-1].Uncompressed()
	require.NoError(t, err)
	defer blob.Close()
	var (
		name    string
		content []byte
	)
	for r := tar.NewReader(blob); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		if h.Typeflag == tar.TypeReg {
			require.Empty(t, name, "one program, and not "+h.Name+" as well")
			name = h.Name
			content, err = io.ReadAll(r)
			require.NoError(t, err)
		}
	}
	require.NotEmpty(t, content)
	return path.Clean(name), content
}

// FuzzParams checks that arguments survive a params file, in which Bazel writes one argument per line.
func FuzzParams(f *testing.F) {
	for _, text := range []string{"layer", "-entry={\"path\":\"/x\"}\n@y", "a\n\nb", "@x\n@x", " a \r\n\t"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		args := strings.Split(text, "\n")
		file := t.TempDir() + "/params"
		require.NoError(t, os.WriteFile(file, []byte(strings.Join(args, "\n")+"\n"), 0o644))
		got, err := expand([]string{"before", "@" + file, "after"})
		require.NoError(t, err)
		assert.Equal(t, with(append([]string{"before"}, args...), "after"), got)

		require.NoError(t, os.WriteFile(file, nil, 0o644))
		got, err = expand([]string{"@" + file, "after"})
		require.NoError(t, err)
		assert.Equal(t, []string{"after"}, got, "an empty file has no arguments")
	})
}

// FuzzStatus checks that values of the workspace status are read completely, including spaces.
func FuzzStatus(f *testing.F) {
	f.Add("STABLE_GIT_TAG", "v1 2  3 ")
	f.Add("STABLE_GIT_BRANCH", "")
	f.Add("", "x")
	f.Fuzz(func(t *testing.T, key, value string) {
		if strings.ContainsAny(key, " \n") || strings.Contains(value, "\n") {
			return // Bazel does not write such keys and values
		}
		file := t.TempDir() + "/status"
		require.NoError(t, os.WriteFile(file, []byte("BUILD_USER x\n"+key+" "+value+"\n"), 0o644))
		got, err := readStatus(file)
		require.NoError(t, err)
		assert.Equal(t, value, got[key])
	})
}
