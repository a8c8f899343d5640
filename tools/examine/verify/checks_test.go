package verify_test

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/examine/verify"
	"github.com/multiarch-build/multiarch/tools/internal/testmatrix"
	"github.com/multiarch-build/multiarch/tools/oci/source"
	"github.com/multiarch-build/multiarch/tools/oci/source/sourcetest"
	"github.com/multiarch-build/multiarch/tools/spec/finding"
)

// sourceOf makes a source of an image.
func sourceOf(t *testing.T, img v1.Image) *source.Source {
	t.Helper()
	root, err := sourcetest.Describe(img)
	require.NoError(t, err)
	return &source.Source{Name: "image", Root: root, Image: img}
}

// crowd is a layer with /app/hello and n entries besides.
func crowd(t *testing.T, n int, kind byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	program := elfFile(binary.LittleEndian, 64, 62, "")
	require.NoError(t, w.WriteHeader(&tar.Header{
		Name:     "app/hello",
		Mode:     0o755,
		Size:     int64(len(program)),
		Typeflag: tar.TypeReg,
	}))
	_, err := io.WriteString(w, program)
	require.NoError(t, err)
	for i := range n {
		require.NoError(t, w.WriteHeader(&tar.Header{
			Name:     fmt.Sprintf("data/%d/%d", i/1000, i),
			Mode:     0o644,
			Typeflag: kind,
		}))
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestVerifyChecksWhatStarts(t *testing.T) {
	program := string(sourcetest.Compile(t, "linux/amd64"))
	hello := sourcetest.File{Name: "app/hello", Text: program, Mode: 0o755}
	script := func(line string) sourcetest.File {
		return sourcetest.File{Name: "app/hello", Text: line + "\n", Mode: 0o755}
	}
	env := sourcetest.File{Name: "usr/bin/env", Text: program, Mode: 0o755}
	const sh = "linux/amd64: layer 1 (sha256:...): /app/hello: its #! line names "
	for name, c := range map[string]struct {
		config func(*v1.Config)
		files  []sourcetest.File
		kind   finding.Kind
		want   string // "" for an image without a problem
	}{
		"all is well": {files: []sourcetest.File{hello}},
		"entrypoint elsewhere": {
			func(c *v1.Config) { c.Entrypoint = []string{"/hello"} }, []sourcetest.File{hello},
			finding.MissingEntrypoint, "linux/amd64: the entrypoint /hello does not exist; the image has /app/hello",
		},
		"command elsewhere": {
			func(c *v1.Config) { c.Entrypoint, c.Cmd = nil, []string{"bin/hello"} }, []sourcetest.File{hello},
			finding.MissingEntrypoint, "linux/amd64: the entrypoint bin/hello does not exist; the image has /app/hello",
		},
		"entrypoint nowhere": {
			func(c *v1.Config) { c.Entrypoint = []string{"/bin/other"} }, []sourcetest.File{hello},
			finding.MissingEntrypoint, "linux/amd64: the entrypoint /bin/other does not exist",
		},
		"relative to the working directory": {
			func(c *v1.Config) { c.Entrypoint, c.WorkingDir = []string{"./hello"}, "/app" }, []sourcetest.File{hello}, "", "",
		},
		"behind a link": {
			func(c *v1.Config) { c.Entrypoint = []string{"/bin/run"} },
			[]sourcetest.File{hello, {Name: "opt", Link: "app"}, {Name: "bin/run", Link: "../opt/hello"}}, "", "",
		},
		"behind a link to nowhere": {
			func(c *v1.Config) { c.Entrypoint = []string{"/bin/hello"} },
			[]sourcetest.File{hello, {Name: "bin/hello", Link: "../opt/hello"}},
			finding.MissingEntrypoint, "linux/amd64: the entrypoint /bin/hello does not exist; the image has /app/hello",
		},
		"truncated in its segments": {
			nil, []sourcetest.File{{Name: "app/hello", Text: program[:600_000], Mode: 0o755}},
			finding.IncompleteProgram, fmt.Sprintf("linux/amd64: layer 1 (sha256:...): /app/hello: is incomplete: "+
				"its headers describe %d bytes, and it has 600000", len(program)),
		},
		"without its last byte": {
			nil, []sourcetest.File{{Name: "app/hello", Text: program[:len(program)-1], Mode: 0o755}},
			finding.IncompleteProgram, fmt.Sprintf("linux/amd64: layer 1 (sha256:...): /app/hello: is incomplete: "+
				"its headers describe %d bytes, and it has %d", len(program), len(program)-1),
		},
		"truncated in its headers": {
			nil, []sourcetest.File{{Name: "app/hello", Text: program[:100], Mode: 0o755}},
			finding.IncompleteProgram, "",
		},
		"too short for a header": {
			nil, []sourcetest.File{{Name: "app/hello", Text: program[:10], Mode: 0o755}},
			finding.InvalidEntrypoint, "linux/amd64: layer 1 (sha256:...): /app/hello: the entrypoint /app/hello is neither " +
				"an ELF executable nor a script with a #! line",
		},
		"a byte more": {files: []sourcetest.File{{Name: "app/hello", Text: program + "x", Mode: 0o755}}},
		"a truncated program beside": {
			nil, []sourcetest.File{hello, {Name: "bin/other", Text: program[:len(program)/2], Mode: 0o755}},
			finding.IncompleteProgram, "",
		},
		"missing interpreter": {
			nil, []sourcetest.File{script("#!/bin/sh")}, finding.MissingInterpreter,
			sh + "/bin/sh, which the image does not have",
		},
		"an interpreter that cannot run": {
			nil, []sourcetest.File{script("#!/bin/sh"), {Name: "bin/sh", Text: "text", Mode: 0o755}},
			finding.MissingInterpreter, sh + "/bin/sh, which is neither an ELF executable nor a script",
		},
		"an interpreter with a missing interpreter": {
			nil, []sourcetest.File{script("#!/bin/sh"), {Name: "bin/sh", Text: "#!/bin/busybox\n", Mode: 0o755}},
			finding.MissingInterpreter,
			"linux/amd64: layer 1 (sha256:...): /bin/sh: its #! line names /bin/busybox, which the image does not have",
		},
		"an interpreter that env finds": {
			nil, []sourcetest.File{
				script("#!/usr/bin/env -S python3 -u"),
				env,
				{Name: "bin/python3", Text: program, Mode: 0o755},
			}, "", "",
		},
		"an interpreter that env does not find": {
			nil, []sourcetest.File{script("#!/usr/bin/env python3"), env},
			finding.MissingInterpreter, sh + "/usr/bin/env python3, which is in no directory of PATH",
		},
		"a user by number": {
			func(c *v1.Config) { c.User = "65532:65532" }, []sourcetest.File{hello}, "", "",
		},
		"a user by name": {
			func(c *v1.Config) { c.User = "app:staff" }, []sourcetest.File{
				hello, {Name: "etc/passwd", Text: "root:x:0:0::/:\napp:x:1:1::/:\n"}, {Name: "etc/group", Text: "staff:x:1:\n"},
			}, "", "",
		},
		"an unknown user": {
			func(c *v1.Config) { c.User = "ap" }, []sourcetest.File{hello, {Name: "etc/passwd", Text: "app:x:1:1::/:\n"}},
			finding.UnknownUser, "linux/amd64: the user ap is not in /etc/passwd",
		},
		"an unknown group": {
			func(c *v1.Config) { c.User = "1:staff" }, []sourcetest.File{hello, {Name: "etc/group", Text: "root:x:0:\n"}},
			finding.UnknownUser, "linux/amd64: the group staff is not in /etc/group",
		},
		"a user but no list": {
			func(c *v1.Config) { c.User = "app" }, []sourcetest.File{hello},
			finding.UnknownUser, "linux/amd64: the user app cannot be looked up: the image has no /etc/passwd",
		},
		"a missing working directory": {
			func(c *v1.Config) { c.WorkingDir = "/srv" }, []sourcetest.File{hello},
			finding.MissingWorkdir, "linux/amd64: the working directory /srv does not exist",
		},
		"a working directory that is a file": {
			func(c *v1.Config) { c.WorkingDir = "/app/hello" }, []sourcetest.File{hello},
			finding.MissingWorkdir, "linux/amd64: the working directory /app/hello is not a directory",
		},
		"a working directory behind a link": {
			func(c *v1.Config) { c.WorkingDir = "/srv" }, []sourcetest.File{hello, {Name: "srv", Link: "/app"}}, "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			img := sourcetest.Image(t, "linux/amd64", func(f *v1.ConfigFile) {
				if c.config != nil {
					c.config(&f.Config)
				}
			}, sourcetest.Layer(t, c.files...))
			v := verifyImage(t, img)
			if c.kind == "" {
				assert.Empty(t, lines(v.Problems))
				return
			}
			require.Len(t, v.Problems, 1, "%v", lines(v.Problems))
			assert.Equal(t, c.kind, v.Problems[0].Kind)
			if c.want != "" {
				assert.Equal(t, c.want, lines(v.Problems)[0])
			}
			v.Allow(c.kind)
			assert.Empty(t, v.Problems)
		})
	}
}

func TestVerifyFindsTruncatedProgramsOfEveryFormat(t *testing.T) {
	cases := 0
	for _, platform := range []string{"linux/amd64", "linux/arm/v7", "linux/s390x", "windows/amd64"} {
		program := string(sourcetest.Compile(t, platform))
		for _, length := range []int{2000, len(program) / 2, len(program) - 1} {
			cases++
			name, entrypoint := "app/hello", "/app/hello"
			if strings.HasPrefix(platform, "windows") {
				name, entrypoint = "Files/app/hello.exe", `C:\app\hello.exe`
			}
			img := sourcetest.Image(t, platform, func(f *v1.ConfigFile) {
				f.Config.Entrypoint, f.Config.WorkingDir = []string{entrypoint}, ""
			}, sourcetest.Layer(t, sourcetest.File{Name: name, Text: program[:length], Mode: 0o755}))
			v := verifyImage(t, img)
			require.Len(t, v.Problems, 1, "%s cut at %d: %v", platform, length, lines(v.Problems))
			assert.Equal(t, finding.IncompleteProgram, v.Problems[0].Kind)
		}
	}
	t.Logf("%d truncated programs", cases)
	require.Positive(t, cases)
}

func TestVerifyOfAMillionFiles(t *testing.T) {
	testmatrix.SkipUnlessFull(t, "needs 1.7 GB of memory")
	const files = 1_000_000
	v := verifyLayer(t, crowd(t, files, tar.TypeReg))
	assert.Empty(t, lines(v.Problems))
}

func TestVerifySaysThatALayerHasTooManyEntries(t *testing.T) {
	v := verifyLayer(t, crowd(t, 1_000_000, tar.TypeDir))
	require.Len(t, v.Problems, 1)
	assert.Equal(t, finding.NotExamined, v.Problems[0].Kind)
	assert.Equal(t, "linux/amd64: layer 1 (sha256:...): its files are not examined: "+
		"it has more than 4,000,000 files, or 700,000 directories, links and programs", lines(v.Problems)[0])
}

func TestChecksRememberVerdictsAndLayers(t *testing.T) {
	known := verify.MapMemory{}
	img := sourcetest.Image(t, "linux/amd64", nil, sourcetest.SharedLayer(t),
		sourcetest.HelloLayer(t, string(sourcetest.Compile(t, "linux/amd64"))))
	s := sourceOf(t, img)
	first, err := verify.Checks{Memory: known}.Verify(t.Context(), s)
	require.NoError(t, err)
	require.Empty(t, lines(first.Problems))
	require.Len(t, known, 3, "a verdict and two layers")

	again, err := verify.Checks{Memory: known}.Verify(t.Context(), s)
	require.NoError(t, err)
	assert.Equal(t, first, again)

	// Another image of the same layers needs none of their bytes, and gets the same answers.
	other := sourcetest.Image(t, "linux/amd64", func(f *v1.ConfigFile) { f.Config.Entrypoint = []string{"/hello"} },
		sourcetest.SharedLayer(t),
		sourcetest.HelloLayer(t, string(sourcetest.Compile(t, "linux/amd64"))))
	dir := sourcetest.WriteLayout(t, other)
	manifest, err := other.Manifest()
	require.NoError(t, err)
	for _, l := range manifest.Layers {
		require.NoError(t, os.Remove(filepath.Join(dir, "blobs", "sha256", l.Digest.Hex)))
	}
	v, err := verify.Checks{Memory: known}.Verify(t.Context(), sourcetest.Open(t, "oci:"+dir))
	require.NoError(t, err)
	assert.Equal(t, []string{"linux/amd64: the entrypoint /hello does not exist; the image has /app/hello"},
		lines(v.Problems))
}

func TestChecksDoNotRememberDamage(t *testing.T) {
	known := verify.MapMemory{}
	img := sourcetest.Image(t, "linux/amd64", nil, sourcetest.HelloLayer(t, string(sourcetest.Compile(t, "linux/amd64"))))
	dir := sourcetest.WriteLayout(t, img)
	manifest, err := img.Manifest()
	require.NoError(t, err)
	blob := filepath.Join(dir, "blobs", "sha256", manifest.Layers[0].Digest.Hex)
	right, err := os.ReadFile(blob)
	require.NoError(t, err)
	wrong := slices.Clone(right)
	wrong[len(wrong)/2] ^= 1
	require.NoError(t, os.WriteFile(blob, wrong, 0o644))
	v, err := verify.Checks{Memory: known}.Verify(t.Context(), sourcetest.Open(t, "oci:"+dir))
	require.NoError(t, err)
	require.NotEmpty(t, v.Problems)
	assert.Empty(t, slices.Collect(maps.Keys(known)))

	require.NoError(t, os.WriteFile(blob, right, 0o644))
	v, err = verify.Checks{Memory: known}.Verify(t.Context(), sourcetest.Open(t, "oci:"+dir))
	require.NoError(t, err)
	assert.Empty(t, lines(v.Problems))
}

func TestChecksReadLayersThatAreAwayOnlyIfNeeded(t *testing.T) {
	program := sourcetest.HelloLayer(t, string(sourcetest.Compile(t, "linux/amd64")))
	explicit := sourcetest.Layer(t, sourcetest.File{Name: "app/"}, sourcetest.File{
		Name: "app/hello",
		Text: string(sourcetest.Compile(t, "linux/amd64")),
		Mode: 0o755,
	})
	for name, c := range map[string]struct {
		top    v1.Layer
		config func(*v1.Config)
		away   int
	}{
		"a static program":                     {explicit, nil, 1},
		"a directory that may be a link below": {program, nil, 0},
		"a user by number":                     {explicit, func(c *v1.Config) { c.User = "1:1" }, 1},
		"a user by name":                       {explicit, func(c *v1.Config) { c.User = "root" }, 0},
		"an entrypoint to look for in PATH": {
			explicit, func(c *v1.Config) { c.Entrypoint = []string{"hello"}; c.Env = []string{"PATH=/app"} }, 0,
		},
		"an entrypoint that may be a layer further": {
			explicit, func(c *v1.Config) { c.Entrypoint = []string{"/etc/hello"} }, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			base := sourcetest.SharedLayer(t)
			digest, err := base.Digest()
			require.NoError(t, err)
			img := sourcetest.Image(t, "linux/amd64", func(f *v1.ConfigFile) {
				if c.config != nil {
					c.config(&f.Config)
				}
			}, base, c.top)
			checks := verify.Checks{IsRemote: func(d v1.Descriptor) bool { return d.Digest == digest }}
			v, err := checks.Verify(t.Context(), sourceOf(t, img))
			require.NoError(t, err)
			assert.Equal(t, c.away, v.SkippedLayers)
			if c.away > 0 {
				assert.Empty(t, lines(v.Problems))
				assert.Equal(t,
					[]string{"linux/amd64: layer 1 (sha256:...): not examined: it is not downloaded, and no check depends on it"},
					lines(v.Notes))
			}
		})
	}
}
