package inspect_test

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"encoding/json"
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

	"github.com/multiarch-build/multiarch/tools/inspect"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/spec/finding"
)

// memory keeps what is put into it as a cache does: as JSON.
type memory map[string][]byte

func (m memory) Get(kind, key string, v any) bool {
	raw, ok := m[kind+" "+key]
	return ok && json.Unmarshal(raw, v) == nil
}

func (m memory) Put(kind, key string, v any) error {
	raw, err := json.Marshal(v)
	m[kind+" "+key] = raw
	return err
}

// sourceOf makes a source of an image.
func sourceOf(t *testing.T, img v1.Image) *inspect.Source {
	t.Helper()
	root, err := describe(img)
	require.NoError(t, err)
	return &inspect.Source{Name: "image", Root: root, Image: img}
}

// crowd is a layer with /app/hello and n entries besides.
func crowd(t *testing.T, n int, kind byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	program := elfFile(binary.LittleEndian, 64, 62, "")
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "app/hello", Mode: 0o755, Size: int64(len(program)), Typeflag: tar.TypeReg}))
	_, err := io.WriteString(w, program)
	require.NoError(t, err)
	for i := range n {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: fmt.Sprintf("data/%d/%d", i/1000, i), Mode: 0o644, Typeflag: kind}))
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestVerifyChecksWhatStarts(t *testing.T) {
	program := string(compile(t, "linux/amd64"))
	hello := file{name: "app/hello", text: program, mode: 0o755}
	script := func(line string) file { return file{name: "app/hello", text: line + "\n", mode: 0o755} }
	env := file{name: "usr/bin/env", text: program, mode: 0o755}
	const sh = "linux/amd64: layer 1 (sha256:...): /app/hello: its #! line asks for "
	for name, c := range map[string]struct {
		config func(*v1.Config)
		files  []file
		kind   finding.Kind
		want   string // "" for an image without a problem
	}{
		"all is well": {files: []file{hello}},
		"entrypoint elsewhere": {
			func(c *v1.Config) { c.Entrypoint = []string{"/hello"} }, []file{hello},
			finding.MissingEntrypoint, "linux/amd64: the entrypoint /hello does not exist; the image has /app/hello",
		},
		"command elsewhere": {
			func(c *v1.Config) { c.Entrypoint, c.Cmd = nil, []string{"bin/hello"} }, []file{hello},
			finding.MissingEntrypoint, "linux/amd64: the entrypoint bin/hello does not exist; the image has /app/hello",
		},
		"entrypoint nowhere": {
			func(c *v1.Config) { c.Entrypoint = []string{"/bin/other"} }, []file{hello},
			finding.MissingEntrypoint, "linux/amd64: the entrypoint /bin/other does not exist",
		},
		"relative to the working directory": {
			func(c *v1.Config) { c.Entrypoint, c.WorkingDir = []string{"./hello"}, "/app" }, []file{hello}, "", "",
		},
		"behind a link": {
			func(c *v1.Config) { c.Entrypoint = []string{"/bin/run"} },
			[]file{hello, {name: "opt", link: "app"}, {name: "bin/run", link: "../opt/hello"}}, "", "",
		},
		"behind a link to nowhere": {
			func(c *v1.Config) { c.Entrypoint = []string{"/bin/hello"} },
			[]file{hello, {name: "bin/hello", link: "../opt/hello"}},
			finding.MissingEntrypoint, "linux/amd64: the entrypoint /bin/hello does not exist; the image has /app/hello",
		},
		"truncated in its segments": {
			nil, []file{{name: "app/hello", text: program[:600_000], mode: 0o755}},
			finding.IncompleteProgram, fmt.Sprintf("linux/amd64: layer 1 (sha256:...): /app/hello: is incomplete: "+
				"its headers describe %d bytes, and it has 600000", len(program)),
		},
		"without its last byte": {
			nil, []file{{name: "app/hello", text: program[:len(program)-1], mode: 0o755}},
			finding.IncompleteProgram, fmt.Sprintf("linux/amd64: layer 1 (sha256:...): /app/hello: is incomplete: "+
				"its headers describe %d bytes, and it has %d", len(program), len(program)-1),
		},
		"truncated in its headers": {
			nil, []file{{name: "app/hello", text: program[:100], mode: 0o755}},
			finding.IncompleteProgram, "",
		},
		"too short for a header": {
			nil, []file{{name: "app/hello", text: program[:10], mode: 0o755}},
			finding.InvalidEntrypoint, "linux/amd64: layer 1 (sha256:...): /app/hello: the entrypoint /app/hello is neither " +
				"an ELF executable nor a script with a #! line",
		},
		"a byte more": {files: []file{{name: "app/hello", text: program + "x", mode: 0o755}}},
		"a truncated program beside": {
			nil, []file{hello, {name: "bin/other", text: program[:len(program)/2], mode: 0o755}},
			finding.IncompleteProgram, "",
		},
		"missing interpreter": {
			nil, []file{script("#!/bin/sh")}, finding.MissingInterpreter, sh + "/bin/sh, which the image does not have",
		},
		"an interpreter that cannot run": {
			nil, []file{script("#!/bin/sh"), {name: "bin/sh", text: "text", mode: 0o755}},
			finding.MissingInterpreter, sh + "/bin/sh, which is neither an ELF executable nor a script",
		},
		"an interpreter with a missing interpreter": {
			nil, []file{script("#!/bin/sh"), {name: "bin/sh", text: "#!/bin/busybox\n", mode: 0o755}},
			finding.MissingInterpreter,
			"linux/amd64: layer 1 (sha256:...): /bin/sh: its #! line asks for /bin/busybox, which the image does not have",
		},
		"an interpreter that env finds": {
			nil, []file{script("#!/usr/bin/env -S python3 -u"), env, {name: "bin/python3", text: program, mode: 0o755}}, "", "",
		},
		"an interpreter that env does not find": {
			nil, []file{script("#!/usr/bin/env python3"), env},
			finding.MissingInterpreter, sh + "/usr/bin/env python3, which is in no directory of PATH",
		},
		"a user by number": {
			func(c *v1.Config) { c.User = "65532:65532" }, []file{hello}, "", "",
		},
		"a user by name": {
			func(c *v1.Config) { c.User = "app:staff" }, []file{
				hello, {name: "etc/passwd", text: "root:x:0:0::/:\napp:x:1:1::/:\n"}, {name: "etc/group", text: "staff:x:1:\n"},
			}, "", "",
		},
		"an unknown user": {
			func(c *v1.Config) { c.User = "ap" }, []file{hello, {name: "etc/passwd", text: "app:x:1:1::/:\n"}},
			finding.UnknownUser, "linux/amd64: the user ap is not in /etc/passwd",
		},
		"an unknown group": {
			func(c *v1.Config) { c.User = "1:staff" }, []file{hello, {name: "etc/group", text: "root:x:0:\n"}},
			finding.UnknownUser, "linux/amd64: the group staff is not in /etc/group",
		},
		"a user but no list": {
			func(c *v1.Config) { c.User = "app" }, []file{hello},
			finding.UnknownUser, "linux/amd64: the user app cannot be looked up: the image has no /etc/passwd",
		},
		"a missing working directory": {
			func(c *v1.Config) { c.WorkingDir = "/srv" }, []file{hello},
			finding.MissingWorkdir, "linux/amd64: the working directory /srv does not exist",
		},
		"a working directory that is a file": {
			func(c *v1.Config) { c.WorkingDir = "/app/hello" }, []file{hello},
			finding.MissingWorkdir, "linux/amd64: the working directory /app/hello is not a directory",
		},
		"a working directory behind a link": {
			func(c *v1.Config) { c.WorkingDir = "/srv" }, []file{hello, {name: "srv", link: "/app"}}, "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			img := imageOf(t, "linux/amd64", func(f *v1.ConfigFile) {
				if c.config != nil {
					c.config(&f.Config)
				}
			}, layerOf(t, c.files...))
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
		program := string(compile(t, platform))
		for _, length := range []int{2000, len(program) / 2, len(program) - 1} {
			cases++
			name, entrypoint := "app/hello", "/app/hello"
			if strings.HasPrefix(platform, "windows") {
				name, entrypoint = "Files/app/hello.exe", `C:\app\hello.exe`
			}
			img := imageOf(t, platform, func(f *v1.ConfigFile) {
				f.Config.Entrypoint, f.Config.WorkingDir = []string{entrypoint}, ""
			}, layerOf(t, file{name: name, text: program[:length], mode: 0o755}))
			v := verifyImage(t, img)
			require.Len(t, v.Problems, 1, "%s cut at %d: %v", platform, length, lines(v.Problems))
			assert.Equal(t, finding.IncompleteProgram, v.Problems[0].Kind)
		}
	}
	t.Logf("%d truncated programs", cases)
	require.Positive(t, cases)
}

func TestVerifyOfAMillionFiles(t *testing.T) {
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
	known := memory{}
	img := imageOf(t, "linux/amd64", nil, shared(t), app(t, string(compile(t, "linux/amd64"))))
	s := sourceOf(t, img)
	first, err := inspect.Checks{Memory: known}.Verify(t.Context(), s)
	require.NoError(t, err)
	require.Empty(t, lines(first.Problems))
	require.Len(t, known, 3, "a verdict and two layers")

	again, err := inspect.Checks{Memory: known}.Verify(t.Context(), s)
	require.NoError(t, err)
	assert.Equal(t, first, again)

	// Another image of the same layers needs none of their bytes, and gets the same answers.
	other := imageOf(t, "linux/amd64", func(f *v1.ConfigFile) { f.Config.Entrypoint = []string{"/hello"} }, shared(t),
		app(t, string(compile(t, "linux/amd64"))))
	dir := writeLayout(t, other)
	manifest, err := other.Manifest()
	require.NoError(t, err)
	for _, l := range manifest.Layers {
		require.NoError(t, os.Remove(filepath.Join(dir, "blobs", "sha256", l.Digest.Hex)))
	}
	v, err := inspect.Checks{Memory: known}.Verify(t.Context(), open(t, "oci:"+dir))
	require.NoError(t, err)
	assert.Equal(t, []string{"linux/amd64: the entrypoint /hello does not exist; the image has /app/hello"}, lines(v.Problems))
}

func TestChecksDoNotRememberDamage(t *testing.T) {
	known := memory{}
	img := imageOf(t, "linux/amd64", nil, app(t, string(compile(t, "linux/amd64"))))
	dir := writeLayout(t, img)
	manifest, err := img.Manifest()
	require.NoError(t, err)
	blob := filepath.Join(dir, "blobs", "sha256", manifest.Layers[0].Digest.Hex)
	right, err := os.ReadFile(blob)
	require.NoError(t, err)
	wrong := slices.Clone(right)
	wrong[len(wrong)/2] ^= 1
	require.NoError(t, os.WriteFile(blob, wrong, 0o644))
	v, err := inspect.Checks{Memory: known}.Verify(t.Context(), open(t, "oci:"+dir))
	require.NoError(t, err)
	require.NotEmpty(t, v.Problems)
	assert.Empty(t, slices.Collect(maps.Keys(known)))

	require.NoError(t, os.WriteFile(blob, right, 0o644))
	v, err = inspect.Checks{Memory: known}.Verify(t.Context(), open(t, "oci:"+dir))
	require.NoError(t, err)
	assert.Empty(t, lines(v.Problems))
}

func TestChecksReadLayersThatAreAwayOnlyIfNeeded(t *testing.T) {
	program := app(t, string(compile(t, "linux/amd64")))
	explicit := layerOf(t, file{name: "app/"}, file{name: "app/hello", text: string(compile(t, "linux/amd64")), mode: 0o755})
	for name, c := range map[string]struct {
		top    v1.Layer
		config func(*v1.Config)
		away   int
	}{
		"a static program":                          {explicit, nil, 1},
		"a directory that may be a link below":      {program, nil, 0},
		"a user by number":                          {explicit, func(c *v1.Config) { c.User = "1:1" }, 1},
		"a user by name":                            {explicit, func(c *v1.Config) { c.User = "root" }, 0},
		"an entrypoint to look for in PATH":         {explicit, func(c *v1.Config) { c.Entrypoint = []string{"hello"}; c.Env = []string{"PATH=/app"} }, 0},
		"an entrypoint that may be a layer further": {explicit, func(c *v1.Config) { c.Entrypoint = []string{"/etc/hello"} }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			base := shared(t)
			digest, err := base.Digest()
			require.NoError(t, err)
			img := imageOf(t, "linux/amd64", func(f *v1.ConfigFile) {
				if c.config != nil {
					c.config(&f.Config)
				}
			}, base, c.top)
			checks := inspect.Checks{Away: func(d v1.Descriptor) bool { return d.Digest == digest }}
			v, err := checks.Verify(t.Context(), sourceOf(t, img))
			require.NoError(t, err)
			assert.Equal(t, c.away, v.Away)
			if c.away > 0 {
				assert.Empty(t, lines(v.Problems))
				assert.Equal(t, []string{"linux/amd64: layer 1 (sha256:...): not examined: it is not downloaded, and no check depends on it"}, lines(v.Notes))
			}
		})
	}
}

func TestOpenFollowsNoLinkOutOfALayout(t *testing.T) {
	dir := writeLayout(t, goodIndex(t, "linux/amd64"))
	for _, name := range []string{"index.json", "oci-layout"} {
		t.Run(name, func(t *testing.T) {
			other := t.TempDir()
			require.NoError(t, os.CopyFS(other, os.DirFS(dir)))
			require.NoError(t, os.Remove(filepath.Join(other, name)))
			require.NoError(t, os.Symlink(filepath.Join(dir, name), filepath.Join(other, name)))
			_, err := inspect.Open(t.Context(), registry.Client{}, "oci:"+other)
			require.ErrorContains(t, err, "a symbolic link leads out of the layout")
			s, err := inspect.Open(t.Context(), registry.Client{}, "oci-linked:"+other)
			require.NoError(t, err)
			require.NoError(t, s.Close())
		})
	}
}
