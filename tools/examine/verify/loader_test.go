package verify_test

import (
	"debug/elf"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/source/sourcetest"
)

// TestVerifyFindsLibrariesAsTheLoaderDoes builds programs with the machine's C compiler and compares the libraries that
// its loader does not find with those that Verify does not find in an image with the same files.
func TestVerifyFindsLibrariesAsTheLoaderDoes(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the loader is that of Linux")
	}
	gcc := sourcetest.FindProgram(t, "gcc")
	row, ok := arch.Find(arch.Canonical("linux", runtime.GOARCH, ""))
	if !ok {
		t.Skipf("no row for %s", runtime.GOARCH)
	}
	foreign := "linux/s390x"
	if row.Architecture == "s390x" {
		foreign = "linux/amd64"
	}
	for name, c := range map[string]struct {
		// build lists calls of the compiler: the output, then the other arguments.
		build  [][]string
		remove string
		env    string
		// other is the path of a library for another machine.
		other string
		want  []string
	}{
		"runpath": {build: [][]string{
			{"lib/libb.so"},
			{"bin/hello", "lib/libb.so", "-Wl,--enable-new-dtags,-rpath,$ORIGIN/../lib"},
		}},
		"none": {build: [][]string{{"lib/libb.so"}, {"bin/hello", "lib/libb.so"}}, want: []string{"libb.so"}},
		"removed": {
			build:  [][]string{{"lib/libb.so"}, {"bin/hello", "lib/libb.so", "-Wl,-rpath,$ORIGIN/../lib"}},
			remove: "lib/libb.so",
			want:   []string{"libb.so"},
		},
		"environment": {build: [][]string{{"lib/libb.so"}, {"bin/hello", "lib/libb.so"}}, env: "lib"},
		"another machine": {
			build: [][]string{{"lib/libb.so"}, {"bin/hello", "lib/libb.so", "-Wl,-rpath,$ORIGIN/../other:$ORIGIN/../lib"}},
			other: "other/libb.so",
		},
		"only another machine": {
			build: [][]string{{"lib/libb.so"}, {"bin/hello", "lib/libb.so", "-Wl,-rpath,$ORIGIN/../other"}},
			other: "other/libb.so",
			want:  []string{"libb.so"},
		},
		"rpath reaches the libraries of libraries": {build: [][]string{{"lib/libb.so"}, {"lib/liba.so", "lib/libb.so"},
			{"bin/hello", "lib/liba.so", "-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib"}}},
		"runpath does not": {build: [][]string{{"lib/libb.so"}, {"lib/liba.so", "lib/libb.so"},
			{"bin/hello", "lib/liba.so", "-Wl,--allow-shlib-undefined,--enable-new-dtags,-rpath,$ORIGIN/../lib"}},
			want: []string{"libb.so"}},
		"runpath of a library hides the rpath": {
			build: [][]string{{"lib/libb.so"}, {"lib/liba.so", "lib/libb.so", "-Wl,--enable-new-dtags,-rpath,/none"},
				{"bin/hello", "lib/liba.so", "-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib"}},
			want: []string{"libb.so"},
		},
		"a library's own origin": {build: [][]string{
			{"lib/deep/libb.so"},
			{"lib/liba.so", "lib/deep/libb.so", "-Wl,--enable-new-dtags,-rpath,$ORIGIN/deep"},
			{"bin/hello", "lib/liba.so", "-Wl,--enable-new-dtags,-rpath,$ORIGIN/../lib"},
		}},
		"loaded under another name": {
			build: [][]string{
				{"lib/libb.so"},
				{"lib/liba.so", "lib/libb.so"},
				{"lib/real.so", "-Wl,-soname,libb.so"},
				{"link/real.so"},
				{"bin/hello", "link/real.so", "lib/liba.so", "-Wl,--no-as-needed,--enable-new-dtags,-rpath,$ORIGIN/../lib"},
			},
			remove: "lib/libb.so",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "empty.c"), []byte("void _start(void) {}\n"), 0o644))
			for _, d := range []string{"bin", "lib/deep", "other", "link"} {
				require.NoError(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
			}
			for _, b := range c.build {
				args := []string{"-nostdlib", "-Wl,--no-as-needed", "-o", b[0]}
				if b[0] != "bin/hello" {
					args = append(args, "-shared", "-fPIC", "-Wl,-soname,"+filepath.Base(b[0]), "-Wl,--allow-shlib-undefined")
				} else {
					args = append(args, "-Wl,--unresolved-symbols=ignore-all")
				}
				cmd := exec.Command(gcc, append(append(args, "empty.c"), b[1:]...)...)
				cmd.Dir = dir
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, string(out))
			}
			if c.remove != "" {
				require.NoError(t, os.Remove(filepath.Join(dir, c.remove)))
			}
			if c.other != "" {
				require.NoError(t, os.WriteFile(filepath.Join(dir, c.other), []byte(linked{platform: foreign}.elf(t)), 0o755))
			}
			hello := filepath.Join(dir, "bin/hello")
			cmd := exec.Command(hello)
			cmd.Env = []string{"LD_TRACE_LOADED_OBJECTS=1"}
			config := func(f *v1.ConfigFile) { f.Config.Entrypoint = []string{hello} }
			if c.env != "" {
				path := "LD_LIBRARY_PATH=" + filepath.Join(dir, c.env)
				cmd.Env = append(cmd.Env, path)
				config = func(f *v1.ConfigFile) { f.Config.Entrypoint, f.Config.Env = []string{hello}, []string{path} }
			}
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
			assert.Equal(t, c.want, firsts(regexp.MustCompile(`(?m)^\s*(\S+) => not found`), string(out)), string(out))

			files := []sourcetest.File{}
			require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				raw, err := os.ReadFile(path)
				files = append(files, sourcetest.File{Name: path[1:], Text: string(raw), Mode: 0o755})
				return err
			}))
			files = append(files, sourcetest.File{
				Name: interpreterOf(t, hello)[1:],
				Text: linked{platform: row.String()}.elf(t),
				Mode: 0o755,
			})
			v := verifyImage(t, sourcetest.Image(t, row.String(), config, sourcetest.Layer(t, files...)))
			var got []string
			for _, p := range v.Problems {
				got = append(got, firsts(regexp.MustCompile(`it needs the library (\S+?)[, ]`), p.Text)...)
			}
			assert.Equal(t, c.want, got, "%v", lines(v.Problems))
		})
	}
}

func interpreterOf(t *testing.T, program string) string {
	f, err := elf.Open(program)
	require.NoError(t, err)
	defer f.Close()
	raw, err := io.ReadAll(f.Section(".interp").Open())
	require.NoError(t, err)
	return strings.TrimRight(string(raw), "\x00")
}

func firsts(pattern *regexp.Regexp, text string) []string {
	var all []string
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// TestVerifyReadsWhatLdconfigWrites runs ldconfig for a directory that the loader does not search by default.
func TestVerifyReadsWhatLdconfigWrites(t *testing.T) {
	ldconfig := "/sbin/ldconfig" // not in the PATH of all users
	if _, err := os.Stat(ldconfig); err != nil {
		ldconfig = sourcetest.FindProgram(t, "ldconfig")
	}
	row, ok := arch.Find(arch.Canonical("linux", runtime.GOARCH, ""))
	if !ok || runtime.GOOS != "linux" {
		t.Skip("ldconfig writes down libraries of its own machine")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	cmd := exec.Command(sourcetest.FindProgram(t, "gcc"), "-nostdlib", "-shared", "-o", "libx.so.1.5",
		"-Wl,-soname,libx.so.1", "-x", "c", "/dev/null")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	conf, cache := filepath.Join(dir, "conf"), filepath.Join(dir, "cache")
	require.NoError(t, os.WriteFile(conf, []byte(dir+"\n"), 0o644))
	out, err = exec.Command(ldconfig, "-C", cache, "-f", conf).CombinedOutput()
	require.NoError(t, err, string(out))
	written, err := os.ReadFile(cache)
	require.NoError(t, err)
	library, err := os.ReadFile(filepath.Join(dir, "libx.so.1"))
	require.NoError(t, err)
	files := []sourcetest.File{
		{
			Name: "app/hello",
			Mode: 0o755,
			Text: linked{platform: row.String(), interpreter: "/lib/ld.so", needed: []string{"libx.so.1", "liby.so.1"}}.elf(t),
		},
		{Name: "lib/ld.so", Mode: 0o755, Text: linked{platform: row.String()}.elf(t)},
		{Name: dir[1:] + "/libx.so.1", Text: string(library)},
		{Name: "etc/ld.so.cache", Text: string(written)},
	}
	v := verifyImage(t, sourcetest.Image(t, row.String(), nil, sourcetest.Layer(t, files...)))
	assert.Equal(t,
		[]string{row.String() + ": layer 1 (sha256:...): /app/hello: it needs the library liby.so.1, " +
			"which the image does not have"}, lines(v.Problems))
}
