// Package tests_test checks the images that Bazel builds from this package's BUILD file.
package tests_test

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/build/cache"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

func TestBaseImage(t *testing.T) {
	needBazel(t)
	under, above := index(t, "plain"), index(t, "above")
	assert.Equal(t, platforms(t, under), platforms(t, above))
	for n, want := range []v1.Config{{Entrypoint: []string{"/app/plain"}, Cmd: []string{"of", "above"}}, {}} {
		_, below, kept := child(t, under, n)
		_, config, layers := child(t, above, n)
		require.Len(t, layers, len(kept)+1)
		for i, l := range kept {
			digest, err := l.Digest()
			require.NoError(t, err)
			same, err := layers[i].Digest()
			require.NoError(t, err)
			assert.Equal(t, digest, same)
		}
		lines, _ := list(t, layers[len(kept)])
		assert.Contains(t, lines[len(lines)-1], "opt/b")
		assert.Equal(t, below.Config.Env, config.Config.Env)
		assert.Equal(t, want.Entrypoint, config.Config.Entrypoint)
		assert.Equal(t, want.Cmd, config.Config.Cmd)
		assert.Equal(t, len(below.History)+1, len(config.History))
	}
}

// TestDirectoriesAndLinksOfTheBase adds files and a program on a base with unusual directories and links.
func TestDirectoriesAndLinksOfTheBase(t *testing.T) {
	needBazel(t)
	_, _, layers := child(t, index(t, "laid"), 0)
	require.Len(t, layers, 3)
	lines, _ := list(t, layers[1])
	assert.Equal(t, []string{
		"0755 65532:65532 data/",
		"0755 0:0 opt/",
		"0750 7:8 opt/app/",
		"0755 65532:65532 opt/app/work/",
		"0755 0:0 run/",
		"0750 3:4 run/state/",
		"0750 3:4 run/state/some/",
		"0750 3:4 run/state/some/none/",
		"0755 0:0 srv/",
		"0700 999:998 srv/pg/",
		"0644 0:0 srv/pg/conf",
	}, lines)
	lines, _ = list(t, layers[2])
	assert.Equal(t, []string{"0755 0:0 opt/", "0750 7:8 opt/app/", "0755 0:0 opt/app/laid"}, lines)
	blob, err := layers[2].Uncompressed()
	require.NoError(t, err)
	defer blob.Close()
	for entries := tar.NewReader(blob); ; {
		h, err := entries.Next()
		require.NoError(t, err)
		if h.Typeflag == tar.TypeReg {
			assert.Len(t, h.PAXRecords["SCHILY.xattr.security.capability"], 20)
			return
		}
	}
}

func TestCompiledPrograms(t *testing.T) {
	needBazel(t)
	i := index(t, "compiled")
	require.Equal(t, []string{"linux/amd64", "linux/arm64"}, platforms(t, i), "in the order of the table, not of the rule")
	for n, name := range platforms(t, i) {
		_, config, layers := child(t, i, n)
		assert.Equal(t, []string{"/app/compiled"}, config.Config.Entrypoint)
		assert.Equal(t, []string{"serve"}, config.Config.Cmd)
		require.Len(t, layers, 2)
		lines, contents := list(t, layers[1])
		assert.Equal(t, []string{"0755 0:0 app/", "0755 0:0 app/compiled"}, lines)
		header, ok := arch.ReadHeader(contents["app/compiled"])
		require.True(t, ok)
		p, err := arch.Parse(name)
		require.NoError(t, err)
		row, ok := arch.Find(p)
		require.True(t, ok)
		assert.Equal(t, row.Header, header, name)
	}
}

// TestPlatformOfOnesOwn builds files for a platform with one more constraint.
func TestPlatformOfOnesOwn(t *testing.T) {
	needBazel(t)
	_, _, layers := child(t, index(t, "custom"), 0)
	_, contents := list(t, layers[0])
	assert.Equal(t, "musl", strings.TrimSpace(string(contents["flavor.txt"])))
}

func TestMakeVariables(t *testing.T) {
	needBazel(t)
	i := index(t, "custom")
	_, file, _ := child(t, i, 0)
	assert.Equal(t, map[string]string{"flavor": "a price$, $(FLAVOR), $FLAVOR"}, file.Config.Labels)
	assert.Subset(t, file.Config.Env, []string{"FLAVOR=price$", "LITERAL=$(FLAVOR)"})
	manifest, err := i.IndexManifest()
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"flavor": "price$"}, manifest.Annotations)
}

// TestModesOfBuiltFiles adds files whose executable bits differ from those in the image.
func TestModesOfBuiltFiles(t *testing.T) {
	needBazel(t)
	i := index(t, "built")
	for n := range platforms(t, i) {
		_, _, layers := child(t, i, n)
		require.Len(t, layers, 1)
		lines, _ := list(t, layers[0])
		for _, want := range []string{
			"0644 0:0 scripts/etc/a", "0755 0:0 scripts/etc/sub/b", "0644 0:0 scripts/script",
			"0644 0:0 built/built.txt", "0755 0:0 built/program/program_/program",
		} {
			assert.Contains(t, lines, want)
		}
	}
}

// TestLayers builds two images with different bases that share layers.
func TestLayers(t *testing.T) {
	needBazel(t)
	i, too := index(t, "layered"), index(t, "layered_too")
	digest := func(l v1.Layer) v1.Hash {
		h, err := l.Digest()
		require.NoError(t, err)
		return h
	}
	for n := range platforms(t, i) {
		_, _, layers := child(t, i, n)
		require.Len(t, layers, 4, "static, programs, common, package")
		_, _, others := child(t, too, n)
		require.Len(t, others, 4, "files, common, exact, program")
		assert.Equal(t, digest(layers[2]), digest(others[1]))

		lines, contents := list(t, layers[1])
		for _, want := range []string{
			"0755 0:0 usr/bin/one", "0755 0:0 usr/bin/two", "0777 0:0 usr/bin/three", "0700 5:6 var/lib/programs/",
			"0644 0:0 scripts/script",
		} {
			assert.Contains(t, lines, want)
		}
		words := "usr/bin/two.runfiles/" + os.Getenv("TEST_WORKSPACE") + "/tools/rules/tests/program/words.txt"
		assert.Contains(t, contents, words)
		header, ok := arch.ReadHeader(contents["usr/bin/one"])
		require.True(t, ok)
		p, err := arch.Parse(platforms(t, i)[n])
		require.NoError(t, err)
		row, _ := arch.Find(p)
		assert.Equal(t, row.Header, header)

		lines, _ = list(t, layers[3])
		assert.Contains(t, lines, "0640 7:8 srv/a")
		blob, err := others[2].Uncompressed()
		require.NoError(t, err)
		defer blob.Close()
		exact, err := io.ReadAll(blob)
		require.NoError(t, err)
		archive, err := os.ReadFile("package.tar")
		require.NoError(t, err)
		assert.True(t, bytes.Equal(archive, exact), "the archive must be unchanged")
	}
	_, _, first := child(t, i, 0)
	_, _, second := child(t, i, 1)
	assert.NotEqual(t, digest(first[1]), digest(second[1]), "each platform has its own programs")
	assert.Equal(t, digest(first[2]), digest(second[2]))
	assert.Equal(t, digest(first[3]), digest(second[3]))
}

func TestRunfiles(t *testing.T) {
	needBazel(t)
	_, _, layers := child(t, index(t, "reader"), 0)
	require.Len(t, layers, 1)
	lines, contents := list(t, layers[0])
	runfiles := "app/reader.runfiles/" + os.Getenv("TEST_WORKSPACE") + "/tools/rules/tests/program/"
	assert.Contains(t, lines, "0755 0:0 app/reader")
	assert.Contains(t, lines, "0644 0:0 "+runfiles+"words.txt")
	assert.Equal(t, "beside the program\n", string(contents[runfiles+"words.txt"]))
	assert.Contains(t, contents, "app/reader.runfiles/_repo_mapping")
	for name := range contents {
		assert.False(t, strings.HasSuffix(name, "program/reader_/reader"), "the program must not be in its runfiles too")
	}
}

// TestPythonRunfiles checks the files that make directories importable.
func TestPythonRunfiles(t *testing.T) {
	needBazel(t)
	_, _, layers := child(t, index(t, "python"), 0)
	require.Len(t, layers, 1)
	lines, contents := list(t, layers[0])
	runfiles := "app/python.runfiles/" + os.Getenv("TEST_WORKSPACE") + "/"
	for _, name := range []string{"tools/__init__.py", "tools/rules/tests/runfiles/lib/__init__.py"} {
		assert.Contains(t, lines, "0644 0:0 "+runfiles+name)
		assert.Empty(t, contents[runfiles+name])
	}
	assert.Contains(t, lines, "0644 0:0 "+runfiles+"tools/rules/tests/runfiles/lib/words.py")
	assert.Contains(t, lines, "0755 0:0 app/python")
	assert.NotEmpty(t, contents["app/python"])
}

func TestShellRunfiles(t *testing.T) {
	needBazel(t)
	i := index(t, "shell")
	for n := range platforms(t, i) {
		_, _, layers := child(t, i, n)
		require.Len(t, layers, 1)
		lines, _ := list(t, layers[0])
		runfiles := "app/shell.runfiles/" + os.Getenv("TEST_WORKSPACE") + "/tools/rules/tests/runfiles/"
		assert.Contains(t, lines, "0755 0:0 app/shell")
		assert.Contains(t, lines, "0644 0:0 "+runfiles+"helper.sh")
		assert.Contains(t, lines, "0644 0:0 "+runfiles+"data.txt")
		assert.Contains(t, lines, "0755 0:0 "+runfiles+"script.sh")
	}
}

func TestPlainFileAsProgram(t *testing.T) {
	needBazel(t)
	i := index(t, "plain")
	require.Equal(t, []string{"linux/amd64", "linux/arm64"}, platforms(t, i))
	amd64, first, below := child(t, i, 0)
	arm64, second, beside := child(t, i, 1)
	require.Len(t, below, 3)
	require.Len(t, beside, 3)
	for n := range below {
		a, err := below[n].Digest()
		require.NoError(t, err)
		b, err := beside[n].Digest()
		require.NoError(t, err)
		assert.Equal(t, a, b)
	}
	lines, contents := list(t, below[1])
	assert.Equal(t, []string{
		"0755 0:0 etc/",
		"0755 65532:65532 etc/plain/",
		"0644 65532:65532 etc/plain/a",
		"0755 65532:65532 etc/plain/sub/",
		"0644 65532:65532 etc/plain/sub/b",
		"0755 0:0 opt/",
		"0755 0:0 opt/one",
	}, lines)
	assert.Equal(t, contents["etc/plain/a"], contents["opt/one"])
	_, contents = list(t, below[2])
	script, err := os.ReadFile("script")
	require.NoError(t, err)
	assert.Equal(t, script, contents["app/plain"])

	// The override applies only to the other platform.
	assert.NotContains(t, first.Config.Env, "A=1")
	assert.Contains(t, second.Config.Env, "A=1")
	for one, want := range map[v1.Image]map[string]string{amd64: {"n": "m"}, arm64: {"n": "m", "o": "p"}} {
		m, err := one.Manifest()
		require.NoError(t, err)
		assert.Equal(t, want, m.Annotations)
	}
	m, err := i.IndexManifest()
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"n": "m"}, m.Annotations)

	// The layout of a single image contains the same image.
	_, d := open(t, "plain_linux_arm64.layout", "plain")
	assert.Equal(t, types.OCIManifestSchema1, d.MediaType)
	assert.Equal(t, m.Manifests[1].Digest, d.Digest)
}

func TestCompressionsAndWindows(t *testing.T) {
	needBazel(t)
	i := index(t, "small")
	require.Equal(t, []string{"linux/amd64", "windows/amd64"}, platforms(t, i))
	want := []string{"etc/", "etc/plain/", "etc/plain/a", "etc/plain/sub/", "etc/plain/sub/b"}
	for n, c := range []struct {
		mediaType types.MediaType
		inside    string
	}{{types.OCILayerZStd, ""}, {types.OCILayer, "Files/"}} {
		_, _, layers := child(t, i, n)
		require.Len(t, layers, 1)
		mediaType, err := layers[0].MediaType()
		require.NoError(t, err)
		assert.Equal(t, c.mediaType, mediaType)
		_, contents := list(t, layers[0])
		for _, name := range want {
			assert.Contains(t, contents, c.inside+name)
		}
	}
}

func TestDirectoriesBuiltByRules(t *testing.T) {
	needBazel(t)
	_, _, layers := child(t, index(t, "nested"), 0)
	require.Len(t, layers, 1)
	_, contents := list(t, layers[0])
	blobs, err := os.ReadDir("small.layout/blobs/sha256")
	require.NoError(t, err)
	assert.Len(t, blobs, 7, "an index, two manifests, two configs, two layers")
	for _, name := range []string{"index.json", "oci-layout", "blobs/sha256/" + blobs[0].Name()} {
		content, err := os.ReadFile("small.layout/" + name)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(content, contents["layout/"+name]), name)
	}
}

func TestTags(t *testing.T) {
	needBazel(t)
	for file, want := range map[string]string{
		"tags.txt":            "latest\nplain-arm64\n",
		"tags.references.txt": "localhost:5000/plain:latest\nlocalhost:5000/plain:plain-arm64\n",
	} {
		got, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, want, string(got))
	}
}

// TestMatchesEmbeddedEngine builds images of the same files with the embedded engine.
func TestMatchesEmbeddedEngine(t *testing.T) {
	needBazel(t)
	// Resolve Bazel's symbolic links, which the embedded engine would add as links.
	dir := t.TempDir()
	resolve(t, "etc", filepath.Join(dir, "etc"))
	resolve(t, "script", filepath.Join(dir, "script"))
	text, err := os.ReadFile("embedded.yaml")
	require.NoError(t, err)
	c, err := config.Parse("embedded.yaml", text)
	require.NoError(t, err)
	p, err := plan.New(c, plan.Options{})
	require.NoError(t, err)
	store, err := cache.Open(t.TempDir())
	require.NoError(t, err)
	results, err := build.Run(t.Context(), p, build.Options{Dir: dir, Store: store})
	require.NoError(t, err)
	require.Len(t, results, 2)
	for _, r := range results {
		t.Run(r.Name, func(t *testing.T) {
			want, err := r.Index.Digest()
			require.NoError(t, err)
			digest, err := os.ReadFile(r.Name + ".digest")
			require.NoError(t, err)
			i := index(t, r.Name)
			got, err := i.Digest()
			require.NoError(t, err)
			assert.Equal(t, got.String()+"\n", string(digest))
			if assert.Equal(t, want, got) {
				return
			}
			// Show differences from the top down.
			raw, err := r.Index.RawManifest()
			require.NoError(t, err)
			other, err := i.RawManifest()
			require.NoError(t, err)
			assert.Equal(t, string(raw), string(other))
			for n := range platforms(t, i) {
				_, config, layers := child(t, i, n)
				_, wantConfig, wantLayers := child(t, r.Index, n)
				assert.Equal(t, wantConfig, config)
				for l := range min(len(layers), len(wantLayers)) {
					lines, _ := list(t, layers[l])
					wantLines, _ := list(t, wantLayers[l])
					assert.Equal(t, wantLines, lines)
				}
			}
		})
	}
}
