package gobuild_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/build/gobuild"
	"github.com/multiarch-build/multiarch/tools/internal/testmatrix"
)

const nativeProgram = `package main

// #cgo CFLAGS: -I${SRCDIR}/../include
// #cgo LDFLAGS: -L${SRCDIR}/../lib -lfoo ${SRCDIR}/../lib/bar.o
// #cgo pkg-config: thing
// #include <header.h>
// #include "part.inc"
// #include <environment.h>
// #define NAMED "named.x"
// #include NAMED
// int foo(void);
// int bar(void);
import "C"

func main() {
	println(C.header, C.nested, C.part, C.environment, C.named, C.THING, C.foo(), C.bar())
}
`

// requireGCC skips a test if gcc is not installed.
func requireGCC(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil || runtime.GOOS != "linux" {
		if os.Getenv("MULTIARCH_TEST_TOOLS") == "all" {
			t.Fatal("gcc is not installed")
		}
		t.Skip("gcc is not installed")
	}
}

// TestChangedNativeInputsAreDetected changes one native input at a time, with the existing cache and with an empty
// one. The go command's cache does not detect these changes.
func TestChangedNativeInputsAreDetected(t *testing.T) {
	requireGCC(t)
	w := newProject(t, map[string]string{"go.mod": "module example.com/native\n\ngo 1.24\n", "a/main.go": nativeProgram})
	t.Setenv("GOFLAGS", "")
	row, ok := arch.Find(arch.Canonical("linux", runtime.GOARCH, ""))
	require.True(t, ok)
	enum := func(file, name string) func(int) {
		return func(n int) { w.write(file, fmt.Sprintf("enum { %s = %d };\n", name, n)) }
	}
	compile := func(name string, n int) string {
		w.write("src/"+name+".c", fmt.Sprintf("int %s(void) { return %d; }\n", name, n))
		object := filepath.Join(w.dir, "lib", name+".o")
		require.NoError(t, os.MkdirAll(filepath.Dir(object), 0o755))
		out, err := exec.Command("gcc", "-c", "-o", object, filepath.Join(w.dir, "src", name+".c")).CombinedOutput()
		require.NoError(t, err, string(out))
		return object
	}
	set := []func(n int){
		func(n int) {
			w.write("include/header.h", fmt.Sprintf("#include \"deep/nested.h\"\nenum { header = %d };\n", n))
		},
		enum("include/deep/nested.h", "nested"),
		enum("a/part.inc", "part"),
		enum("env/environment.h", "environment"),
		enum("include/named.x", "named"),
		func(n int) { w.write("thing.pc", fmt.Sprint(n)) },
		func(n int) {
			object := compile("foo", n)
			archive := filepath.Join(w.dir, "lib", "libfoo.a")
			_ = os.Remove(archive)
			out, err := exec.Command("ar", "rcs", archive, object).CombinedOutput()
			require.NoError(t, err, string(out))
		},
		func(n int) { compile("bar", n) },
	}
	names := []string{
		"header", "header included by a header", "file with an unknown suffix", "header in a directory of CGO_CFLAGS",
		"header included by a macro", "output of pkg-config", "archive", "object",
	}
	want := make([]string, len(set))
	for i := range set {
		set[i](1)
		want[i] = "1"
	}
	pkgConfig := filepath.Join(w.dir, "pkg-config")
	script := fmt.Sprintf("#!/bin/sh\n[ $1 = --libs ] || echo -DTHING=$(cat %s/thing.pc)\n", w.dir)
	require.NoError(t, os.WriteFile(pkgConfig, []byte(script), 0o755))
	w.request = gobuild.Request{
		Row: row, Cgo: true, Env: []string{"CGO_CFLAGS=-g -O2 -I" + filepath.Join(w.dir, "env"), "PKG_CONFIG=" + pkgConfig},
		Targets: []gobuild.Target{{Name: "native", Package: "./a"}},
	}
	built := func() (string, string) {
		t.Helper()
		binary, _, err := w.build()
		require.NoError(t, err)
		return outputOf(t, binary), binary.SHA256
	}
	got, first := built()
	require.Equal(t, strings.Join(want, " "), got)
	got, again := built()
	require.Equal(t, strings.Join(want, " "), got)
	require.Equal(t, first, again)
	for i := range set {
		for n, empty := range []bool{false, true} {
			if empty != (i%2 == 0) && !testmatrix.Full() {
				continue
			}
			t.Run(names[i], func(t *testing.T) {
				want[i] = fmt.Sprint(n + 2)
				set[i](n + 2)
				if empty {
					require.NoError(t, os.RemoveAll(w.cacheDir))
				}
				got, _ := built()
				assert.Equal(t, strings.Join(want, " "), got)
			})
		}
	}
	for i := range set {
		set[i](1)
	}
	require.NoError(t, os.RemoveAll(w.cacheDir))
	_, last := built()
	assert.Equal(t, first, last, "the same inputs give the same program, regardless of caches")
}

// TestChangedAssemblyIncludesAreDetected changes a file that assembly without cgo includes from another directory.
func TestChangedAssemblyIncludesAreDetected(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the assembly is for amd64")
	}
	w := newProject(t, map[string]string{
		"go.mod":    "module example.com/native\n\ngo 1.24\n",
		"a/main.go": "package main\n\nfunc answer() int64\n\nfunc main() { println(answer()) }\n",
		"a/answer.s": "#include \"textflag.h\"\n#include \"../asm/answer.inc\"\n\nTEXT ·answer(SB), NOSPLIT, $0-8\n" +
			"\tMOVQ $ANSWER, ret+0(FP)\n\tRET\n",
		"b/main.go":   "package main\n\nfunc main() {}\n",
		"other/x.txt": "",
	})
	t.Setenv("GOFLAGS", "")
	for _, step := range []struct {
		value int
		empty bool
	}{{1, false}, {1, false}, {2, false}, {3, true}} {
		w.write("asm/answer.inc", fmt.Sprintf("#define ANSWER %d\n", step.value))
		if step.empty {
			require.NoError(t, os.RemoveAll(w.cacheDir))
		}
		binary, _, err := w.build()
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprint(step.value), outputOf(t, binary))
	}
	_, commands, err := w.build()
	require.NoError(t, err)
	assert.Empty(t, commands, "the go command does not run, because included files are known")
}

// TestChangedHeaderOfADownloadedModuleIsDetected changes a header in the tree that a package in the module cache
// includes. Such a package cannot be overlaid.
func TestChangedHeaderOfADownloadedModuleIsDetected(t *testing.T) {
	requireGCC(t)
	serveModules(t, map[string]string{
		"example.com/native": "package native\n\n// #include <answer.h>\nimport \"C\"\n\nconst Answer = C.answer\n",
	})
	w := newProject(t, map[string]string{
		"go.mod":    "module example.com/top\n\ngo 1.24\n\nrequire example.com/native v1.0.0\n",
		"a/main.go": "package main\n\nimport \"example.com/native\"\n\nfunc main() { println(native.Answer) }\n",
	})
	row, ok := arch.Find(arch.Canonical("linux", runtime.GOARCH, ""))
	require.True(t, ok)
	w.request = gobuild.Request{
		Row: row, Cgo: true, Env: []string{"CGO_CFLAGS=-g -O2 -I" + filepath.Join(w.dir, "include")},
		Targets: []gobuild.Target{{Name: "native", Package: "./a"}},
	}
	for n := range 3 {
		w.write("include/answer.h", fmt.Sprintf("enum { answer = %d };\n", n))
		if n == 2 {
			require.NoError(t, os.RemoveAll(w.cacheDir))
		}
		binary, _, err := w.build()
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprint(n), outputOf(t, binary))
	}
}
