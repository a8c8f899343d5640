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
	"github.com/multiarch-build/multiarch/tools/build/cache"
	"github.com/multiarch-build/multiarch/tools/build/gobuild"
)

// workspace is a module to compile, with a cache and a log of the go commands that ran.
type workspace struct {
	t        *testing.T
	dir      string
	cacheDir string
	log      string
	request  gobuild.Request
}

func newWorkspace(t *testing.T) *workspace {
	w := &workspace{t: t, dir: t.TempDir(), cacheDir: t.TempDir(), log: filepath.Join(t.TempDir(), "log")}
	for name, content := range map[string]string{
		"go.mod": "module example.com/app\n\ngo 1.24\n\nrequire example.com/dep v0.0.0\n\n" +
			"replace example.com/dep => ./dep\n",
		"dep/go.mod": "module example.com/dep\n\ngo 1.24\n",
		"dep/dep.go": "package dep\n\nconst Text = \"dep\"\n",
		"cmd/main.go": "package main\n\nimport (\n\t\"example.com/app/lib\"\n\t\"example.com/dep\"\n)\n\n" +
			"var version = \"none\"\n\nfunc main() { println(lib.Text(), dep.Text, version, extra) }\n",
		"cmd/extra.go":         "//go:build !special\n\npackage main\n\nconst extra = \"plain\"\n",
		"cmd/extra_special.go": "//go:build special\n\npackage main\n\nconst extra = \"special\"\n",
		"lib/lib.go": "package lib\n\nimport \"embed\"\n\n//go:embed all:data\nvar files embed.FS\n\n" +
			"func Text() string {\n\tlist, _ := files.ReadDir(\"data/deep\")\n\ttext := \"\"\n\tfor _, f := range list {\n" +
			"\t\ttext += f.Name()\n\t}\n\treturn text\n}\n",
		"lib/data/deep/a":  "a",
		"lib/data/b":       "b",
		"unused/unused.go": "package unused\n",
		"README.md":        "text\n",
	} {
		w.write(name, content)
	}
	real, err := exec.LookPath("go")
	require.NoError(t, err)
	bin := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\necho \"$1\" >> %q\nexec %q \"$@\"\n", w.log, real)
	require.NoError(t, os.WriteFile(filepath.Join(bin, "go"), []byte(script), 0o755))
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("GOFLAGS", "")
	t.Setenv("GOWORK", "")
	row, ok := arch.Find(arch.Platform{OS: "linux", Architecture: "amd64"})
	require.True(t, ok)
	w.request = gobuild.Request{Row: row, Targets: []gobuild.Target{{Name: "app", Package: "./cmd"}}}
	return w
}

func (w *workspace) write(name, content string) {
	w.t.Helper()
	file := filepath.Join(w.dir, name)
	require.NoError(w.t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(w.t, os.WriteFile(file, []byte(content), 0o644))
}

// build returns the compiled program and the go commands that ran, except `go env`.
func (w *workspace) build() (binary gobuild.Binary, commands []string, err error) {
	w.t.Helper()
	_ = os.Remove(w.log)
	store, err := cache.Open(w.cacheDir)
	require.NoError(w.t, err)
	b, err := gobuild.New(w.t.Context(), w.dir, store, 2)
	require.NoError(w.t, err)
	err = b.Build(w.t.Context(), w.request, func(binaries []gobuild.Binary) error {
		binary = binaries[0]
		if !b.Check(w.request, w.request.Targets[0], binary) {
			return fmt.Errorf("%s does not match its record", binary.Path)
		}
		return nil
	})
	log, _ := os.ReadFile(w.log)
	for _, c := range strings.Fields(string(log)) {
		if c != "env" {
			commands = append(commands, c)
		}
	}
	return binary, commands, err
}

// outputOf runs a program and returns its output.
func outputOf(t *testing.T, b gobuild.Binary) string {
	t.Helper()
	out, err := exec.Command(b.Path).CombinedOutput()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// TestChangedInputsAreCompiledAgain changes one input at a time. The go command must run after each change, and must
// not run again without a change.
func TestChangedInputsAreCompiledAgain(t *testing.T) {
	w := newWorkspace(t)
	first, commands, err := w.build()
	require.NoError(t, err)
	require.Contains(t, commands, "build")
	require.Equal(t, "a dep none plain", outputOf(t, first))

	unchanged := func() {
		t.Helper()
		_, commands, err := w.build()
		require.NoError(t, err)
		assert.Empty(t, commands, "the go command does not run without a change")
	}
	unchanged()
	w.write("README.md", "other text\n")
	w.write("unused/unused.go", "package unused\n\nvar X int\n")
	w.write("cmd/main_test.go", "package main\n")
	unchanged()

	for _, step := range []struct {
		what   string
		change func()
		output string // "" if the change does not affect the output
	}{
		{"edited file", func() { w.write("dep/dep.go", "package dep\n\nconst Text = \"DEP\"\n") }, "a DEP none plain"},
		{"edit that keeps size and time", func() {
			file := filepath.Join(w.dir, "dep/dep.go")
			info, err := os.Stat(file)
			require.NoError(t, err)
			w.write("dep/dep.go", "package dep\n\nconst Text = \"dEp\"\n")
			require.NoError(t, os.Chtimes(file, info.ModTime(), info.ModTime()))
		}, "a dEp none plain"},
		{"new file", func() {
			w.write("cmd/init.go", "package main\n\nfunc init() { version = \"new\" }\n")
		}, "a dEp new plain"},
		{"removed file", func() { require.NoError(t, os.Remove(filepath.Join(w.dir, "cmd/init.go"))) }, "a dEp none plain"},
		{"new embedded file", func() { w.write("lib/data/deep/c", "c") }, "ac dEp none plain"},
		{"embedded file in a new directory", func() { w.write("lib/data/new/d", "d") }, "ac dEp none plain"},
		{"edited embedded file", func() { w.write("lib/data/b", "B") }, "ac dEp none plain"},
		{"build tag", func() { w.request.Tags = []string{"special"} }, "ac dEp none special"},
		{"linker flag", func() { w.request.Targets[0].Ldflags = []string{"-X", "main.version=v9"} }, "ac dEp v9 special"},
		{"go.mod", func() {
			w.write("dep2/go.mod", "module example.com/dep\n\ngo 1.24\n")
			w.write("dep2/dep.go", "package dep\n\nconst Text = \"second\"\n")
			w.write("go.mod", "module example.com/app\n\ngo 1.24\n\nrequire example.com/dep v0.0.0\n\n"+
				"replace example.com/dep => ./dep2\n")
		}, "ac second v9 special"},
		{"go.work in a parent directory", func() {
			w.write("dep3/go.mod", "module example.com/dep\n\ngo 1.24\n")
			w.write("dep3/dep.go", "package dep\n\nconst Text = \"third\"\n")
			w.write("go.mod", "module example.com/app\n\ngo 1.24\n\nrequire example.com/dep v0.0.0\n")
			w.write("go.work", "go 1.24\n\nuse (\n\t.\n\t./dep3\n)\n")
		}, "ac third v9 special"},
		{"environment of the request", func() { w.request.Env = []string{"GOEXPERIMENT=nogreenteagc"} }, ""},
		{"environment of the process", func() { t.Setenv("GOFLAGS", "-gcflags=-N") }, ""},
		{"default profile", func() { w.write("cmd/default.pgo", "") }, ""},
		{"toolchain", func() {
			// A toolchain with another path counts as a different toolchain, because its content may differ.
			root, err := exec.Command("go", "env", "GOROOT").Output()
			require.NoError(t, err)
			other := filepath.Join(t.TempDir(), "go")
			require.NoError(t, os.Symlink(strings.TrimSpace(string(root)), other))
			t.Setenv("GOROOT", other)
		}, ""},
	} {
		t.Run(step.what, func(t *testing.T) {
			step.change()
			binary, commands, err := w.build()
			require.NoError(t, err)
			assert.Contains(t, commands, "build")
			if step.output != "" {
				assert.Equal(t, step.output, outputOf(t, binary))
			}
			// The content of a newly imported package is not known from before it was compiled, so the go command may run a
			// second time, but not a third.
			_, _, err = w.build()
			require.NoError(t, err)
			unchanged()
		})
	}
}

// TestNewModuleBoundaryIsDetected adds a go.mod that moves a package to another module, so that its import cannot be
// resolved.
func TestNewModuleBoundaryIsDetected(t *testing.T) {
	w := newWorkspace(t)
	_, _, err := w.build()
	require.NoError(t, err)
	w.write("lib/go.mod", "module example.com/other\n")
	_, _, err = w.build()
	assert.ErrorContains(t, err, "example.com/app/lib")
	require.NoError(t, os.Remove(filepath.Join(w.dir, "lib/go.mod")))
	_, _, err = w.build()
	assert.NoError(t, err)
}

// TestLeftoversOfInterruptedBuildsAreRemoved creates a work directory such as a killed go command may leave.
func TestLeftoversOfInterruptedBuildsAreRemoved(t *testing.T) {
	w := newWorkspace(t)
	first, _, err := w.build()
	require.NoError(t, err)
	unit := filepath.Dir(filepath.Dir(first.Path))
	left := filepath.Join(unit, "new-123", "0", filepath.Base(first.Path))
	require.NoError(t, os.MkdirAll(filepath.Dir(left), 0o755))
	require.NoError(t, os.WriteFile(left, []byte("half"), 0o755))
	again, _, err := w.build()
	require.NoError(t, err)
	assert.Equal(t, first, again)
	assert.NoFileExists(t, left)
}

func TestSourceChangedDuringCompilationFails(t *testing.T) {
	w := newWorkspace(t)
	_, _, err := w.build()
	require.NoError(t, err)
	// A wrapper of the go command edits a source after compiling.
	real, err := exec.LookPath("go")
	require.NoError(t, err)
	bin := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n%q \"$@\" || exit\n[ \"$1\" != build ] || echo '// edited' >> %q\n",
		real, filepath.Join(w.dir, "dep/dep.go"))
	require.NoError(t, os.WriteFile(filepath.Join(bin, "go"), []byte(script), 0o755))
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	w.write("dep/dep.go", "package dep\n\nconst Text = \"changing\"\n")
	_, _, _ = w.build()
	_, _, err = w.build()
	var changed *gobuild.ChangedError
	require.ErrorAs(t, err, &changed)
	assert.Equal(t, filepath.Join(w.dir, "dep"), changed.Path)
}

func TestCgoRequiresACompilerForThePlatform(t *testing.T) {
	w := newWorkspace(t)
	row, ok := arch.Find(arch.Platform{OS: "linux", Architecture: "s390x"})
	require.True(t, ok)
	w.request.Row, w.request.Cgo = row, true
	setPath(t, "go", "sh")
	_, _, err := w.build()
	var missing *gobuild.MissingToolError
	require.ErrorAs(t, err, &missing)
	assert.EqualError(t, err, "compiling app for linux/s390x: C compiler s390x-linux-gnu-gcc not found")
	assert.Equal(t, "install it (on Debian: apt-get install gcc-s390x-linux-gnu), or set CC_s390x to a C compiler"+
		" for linux/s390x, or configure go: {env: {CC: ...}}", missing.Hint())

	w.request.Env = []string{"CC=no-such-compiler -m64"}
	_, _, err = w.build()
	assert.EqualError(t, err, "compiling app for linux/s390x: C compiler no-such-compiler -m64 not found")

	w.request.Env = nil
	w.request.Row, ok = arch.Find(arch.Platform{OS: "linux", Architecture: "arm", Variant: "v6"})
	require.True(t, ok)
	_, _, err = w.build()
	require.ErrorAs(t, err, &missing)
	assert.EqualError(t, err, "compiling app for linux/arm/v6: C compiler not found")
	assert.Equal(t, "set CC_arm_v6 or CC_arm to a C compiler for linux/arm/v6, or configure go: {env: {CC: ...}}",
		missing.Hint())
}

// setPath sets PATH to a directory with the given programs only.
func setPath(t *testing.T, programs ...string) {
	bin := t.TempDir()
	for _, tool := range programs {
		real, err := exec.LookPath(tool)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(real, filepath.Join(bin, tool)))
	}
	t.Setenv("PATH", bin)
}

// TestCgoCrossCompiles compiles a program with C code for another architecture and runs it. It uses Debian's cross
// compiler and the one in CC_arm64.
func TestCgoCrossCompiles(t *testing.T) {
	for _, program := range []string{"aarch64-linux-gnu-gcc", "qemu-aarch64-static"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("MULTIARCH_TEST_TOOLS") == "all" {
				t.Fatal(err)
			}
			t.Skipf("%s is not installed", program)
		}
	}
	w := newWorkspace(t)
	w.write("c/main.go", "package main\n\n// static int answer(void) { return 42; }\nimport \"C\"\n\n"+
		"func main() { println(C.answer()) }\n")
	row, ok := arch.Find(arch.Platform{OS: "linux", Architecture: "arm64"})
	require.True(t, ok)
	static := []string{"-linkmode external", "-extldflags -static"}
	w.request = gobuild.Request{
		Row:     row,
		Cgo:     true,
		Targets: []gobuild.Target{{Name: "c", Package: "./c", Ldflags: static}},
	}
	for _, named := range []string{"", "aarch64-linux-gnu-gcc"} {
		t.Setenv("CC_arm64", named)
		binary, commands, err := w.build()
		require.NoError(t, err)
		assert.Contains(t, commands, "build", "the go command always runs, because included files are not known")
		out, err := exec.Command("qemu-aarch64-static", binary.Path).CombinedOutput()
		require.NoError(t, err)
		assert.Equal(t, "42\n", string(out))
	}
	t.Setenv("CC_arm64", "no-such-compiler")
	_, _, err := w.build()
	assert.ErrorContains(t, err, "no-such-compiler")
	w.request.Env = []string{"CC=aarch64-linux-gnu-gcc"}
	_, _, err = w.build()
	require.NoError(t, err, "the configuration takes precedence")
}

// TestChangedCLibraryIsDetected replaces the C library of a compiler, which the go command does not track.
func TestChangedCLibraryIsDetected(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil || runtime.GOOS != "linux" {
		if os.Getenv("MULTIARCH_TEST_TOOLS") == "all" {
			t.Fatal("gcc is not installed")
		}
		t.Skip("gcc is not installed")
	}
	w := newWorkspace(t)
	row, ok := arch.Find(arch.Canonical("linux", runtime.GOARCH, ""))
	require.True(t, ok)
	w.write("c/main.go", "package main\n\n// #include <answer.h>\nimport \"C\"\n\nfunc main() { println(C.answer) }\n")
	w.write("sys/libc.a", "")
	answer := func(n int) { w.write("sys/answer.h", fmt.Sprintf("enum { answer = %d };\n", n)) }
	answer(1)
	// A wrapper of gcc with a different C library.
	compiler := filepath.Join(w.dir, "cc")
	script := fmt.Sprintf("#!/bin/sh\ncase $1 in -print-file-name=libc.a) echo %[1]s/sys/libc.a;; "+
		"*) exec gcc -isystem %[1]s/sys \"$@\";; esac\n", w.dir)
	require.NoError(t, os.WriteFile(compiler, []byte(script), 0o755))
	w.request = gobuild.Request{
		Row:     row,
		Cgo:     true,
		Env:     []string{"CC=" + compiler},
		Targets: []gobuild.Target{{Name: "c", Package: "./c"}},
	}
	built := func() string {
		binary, _, err := w.build()
		require.NoError(t, err)
		return outputOf(t, binary)
	}
	require.Equal(t, "1", built())
	answer(2)
	w.write("sys/libc.a", "another")
	assert.Equal(t, "2", built())
}
