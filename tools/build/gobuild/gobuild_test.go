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

// workspace is a module to compile, a cache, and a log of what the go command was asked.
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
		"go.mod":               "module example.com/app\n\ngo 1.24\n\nrequire example.com/dep v0.0.0\n\nreplace example.com/dep => ./dep\n",
		"dep/go.mod":           "module example.com/dep\n\ngo 1.24\n",
		"dep/dep.go":           "package dep\n\nconst Text = \"dep\"\n",
		"cmd/main.go":          "package main\n\nimport (\n\t\"example.com/app/lib\"\n\t\"example.com/dep\"\n)\n\nvar version = \"none\"\n\nfunc main() { println(lib.Text(), dep.Text, version, extra) }\n",
		"cmd/extra.go":         "//go:build !special\n\npackage main\n\nconst extra = \"plain\"\n",
		"cmd/extra_special.go": "//go:build special\n\npackage main\n\nconst extra = \"special\"\n",
		"lib/lib.go":           "package lib\n\nimport \"embed\"\n\n//go:embed all:data\nvar files embed.FS\n\nfunc Text() string {\n\tlist, _ := files.ReadDir(\"data/deep\")\n\ttext := \"\"\n\tfor _, f := range list {\n\t\ttext += f.Name()\n\t}\n\treturn text\n}\n",
		"lib/data/deep/a":      "a",
		"lib/data/b":           "b",
		"unused/unused.go":     "package unused\n",
		"README.md":            "text\n",
	} {
		w.write(name, content)
	}
	real, err := exec.LookPath("go")
	require.NoError(t, err)
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "go"), []byte(fmt.Sprintf("#!/bin/sh\necho \"$1\" >> %q\nexec %q \"$@\"\n", w.log, real)), 0o755))
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

// build returns what was compiled, and which go commands ran for it besides `go env`.
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
			return fmt.Errorf("%s is not what its record says", binary.Path)
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

// says runs a program.
func says(t *testing.T, b gobuild.Binary) string {
	t.Helper()
	out, err := exec.Command(b.Path).CombinedOutput()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// TestEveryKindOfInputIsNoticed changes one input at a time. Each time the go command must be asked again; and after
// that, not any more.
func TestEveryKindOfInputIsNoticed(t *testing.T) {
	w := newWorkspace(t)
	first, commands, err := w.build()
	require.NoError(t, err)
	require.Contains(t, commands, "build")
	require.Equal(t, "a dep none plain", says(t, first))

	unchanged := func() {
		t.Helper()
		_, commands, err := w.build()
		require.NoError(t, err)
		assert.Empty(t, commands, "nothing changed, so the go command has nothing to do")
	}
	unchanged()
	w.write("README.md", "other text\n")
	w.write("unused/unused.go", "package unused\n\nvar X int\n")
	w.write("cmd/main_test.go", "package main\n")
	unchanged()

	for _, step := range []struct {
		what   string
		change func()
		says   string // "" where the change does not show
	}{
		{"edited file", func() { w.write("dep/dep.go", "package dep\n\nconst Text = \"DEP\"\n") }, "a DEP none plain"},
		{"edit that keeps size and time", func() {
			file := filepath.Join(w.dir, "dep/dep.go")
			info, err := os.Stat(file)
			require.NoError(t, err)
			w.write("dep/dep.go", "package dep\n\nconst Text = \"dEp\"\n")
			require.NoError(t, os.Chtimes(file, info.ModTime(), info.ModTime()))
		}, "a dEp none plain"},
		{"new file", func() { w.write("cmd/init.go", "package main\n\nfunc init() { version = \"new\" }\n") }, "a dEp new plain"},
		{"removed file", func() { require.NoError(t, os.Remove(filepath.Join(w.dir, "cmd/init.go"))) }, "a dEp none plain"},
		{"new embedded file", func() { w.write("lib/data/deep/c", "c") }, "ac dEp none plain"},
		{"embedded file in a new folder", func() { w.write("lib/data/new/d", "d") }, "ac dEp none plain"},
		{"edited embedded file", func() { w.write("lib/data/b", "B") }, "ac dEp none plain"},
		{"build tag", func() { w.request.Tags = []string{"special"} }, "ac dEp none special"},
		{"linker flag", func() { w.request.Targets[0].Ldflags = []string{"-X", "main.version=v9"} }, "ac dEp v9 special"},
		{"go.mod", func() {
			w.write("dep2/go.mod", "module example.com/dep\n\ngo 1.24\n")
			w.write("dep2/dep.go", "package dep\n\nconst Text = \"second\"\n")
			w.write("go.mod", "module example.com/app\n\ngo 1.24\n\nrequire example.com/dep v0.0.0\n\nreplace example.com/dep => ./dep2\n")
		}, "ac second v9 special"},
		{"go.work above", func() {
			w.write("dep3/go.mod", "module example.com/dep\n\ngo 1.24\n")
			w.write("dep3/dep.go", "package dep\n\nconst Text = \"third\"\n")
			w.write("go.mod", "module example.com/app\n\ngo 1.24\n\nrequire example.com/dep v0.0.0\n")
			w.write("go.work", "go 1.24\n\nuse (\n\t.\n\t./dep3\n)\n")
		}, "ac third v9 special"},
		{"environment of the request", func() { w.request.Env = []string{"GOEXPERIMENT=nogreenteagc"} }, ""},
		{"environment of the process", func() { t.Setenv("GOFLAGS", "-gcflags=-N") }, ""},
		{"default profile", func() { w.write("cmd/default.pgo", "") }, ""},
		{"toolchain", func() {
			// The same toolchain under another name is another toolchain: what is behind a path may change.
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
			if step.says != "" {
				assert.Equal(t, step.says, says(t, binary))
			}
			// A package that is new to the target is not known to have been stable while it was compiled the first
			// time, so the go command may be asked a second time, but not a third.
			_, _, err = w.build()
			require.NoError(t, err)
			unchanged()
		})
	}
}

// TestModuleBoundaryAppears puts a go.mod between the module and one of its packages: the import no longer resolves.
func TestModuleBoundaryAppears(t *testing.T) {
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

// TestInterruptedBuildIsSwept leaves behind what a killed go command could.
func TestInterruptedBuildIsSwept(t *testing.T) {
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

func TestSourceThatChangesWhileItIsCompiled(t *testing.T) {
	w := newWorkspace(t)
	_, _, err := w.build()
	require.NoError(t, err)
	// The go command is replaced by one that edits a source behind the compiler's back.
	real, err := exec.LookPath("go")
	require.NoError(t, err)
	bin := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n%q \"$@\" || exit\n[ \"$1\" != build ] || echo '// edited' >> %q\n", real, filepath.Join(w.dir, "dep/dep.go"))
	require.NoError(t, os.WriteFile(filepath.Join(bin, "go"), []byte(script), 0o755))
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	w.write("dep/dep.go", "package dep\n\nconst Text = \"changing\"\n")
	_, _, _ = w.build()
	_, _, err = w.build()
	var changed *gobuild.ChangedError
	require.ErrorAs(t, err, &changed)
	assert.Equal(t, filepath.Join(w.dir, "dep"), changed.Path)
}

func TestCgoNeedsACompilerForThePlatform(t *testing.T) {
	w := newWorkspace(t)
	row, ok := arch.Find(arch.Platform{OS: "linux", Architecture: "s390x"})
	require.True(t, ok)
	w.request.Row, w.request.Cgo = row, true
	pathOf(t, "go", "sh")
	_, _, err := w.build()
	var missing *gobuild.MissingToolError
	require.ErrorAs(t, err, &missing)
	assert.EqualError(t, err, "the C compiler s390x-linux-gnu-gcc, which app needs for linux/s390x, was not found")
	assert.Equal(t, "install it (on Debian: apt-get install gcc-s390x-linux-gnu), or name a C compiler for linux/s390x in CC_s390x, or in go: {env: {CC: ...}}", missing.Hint())

	w.request.Env = []string{"CC=no-such-compiler -m64"}
	_, _, err = w.build()
	assert.EqualError(t, err, "the C compiler no-such-compiler -m64, which app needs for linux/s390x, was not found")

	w.request.Env = nil
	w.request.Row, ok = arch.Find(arch.Platform{OS: "linux", Architecture: "arm", Variant: "v6"})
	require.True(t, ok)
	_, _, err = w.build()
	require.ErrorAs(t, err, &missing)
	assert.EqualError(t, err, "a C compiler, which app needs for linux/arm/v6, was not found")
	assert.Equal(t, "name a C compiler for linux/arm/v6 in CC_arm_v6 or CC_arm, or in go: {env: {CC: ...}}", missing.Hint())
}

// pathOf makes a PATH of a few programs only, with the workspace's go command.
func pathOf(t *testing.T, programs ...string) {
	bin := t.TempDir()
	for _, tool := range programs {
		real, err := exec.LookPath(tool)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(real, filepath.Join(bin, tool)))
	}
	t.Setenv("PATH", bin)
}

// TestCgo compiles a program with C in it for another architecture, by Debian's cross compiler and by the one that
// CC_arm64 names, and runs it.
func TestCgo(t *testing.T) {
	for _, program := range []string{"aarch64-linux-gnu-gcc", "qemu-aarch64-static"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("MULTIARCH_TEST_TOOLS") == "all" {
				t.Fatal(err)
			}
			t.Skipf("%s is not installed", program)
		}
	}
	w := newWorkspace(t)
	w.write("c/main.go", "package main\n\n// static int answer(void) { return 42; }\nimport \"C\"\n\nfunc main() { println(C.answer()) }\n")
	row, ok := arch.Find(arch.Platform{OS: "linux", Architecture: "arm64"})
	require.True(t, ok)
	w.request = gobuild.Request{Row: row, Cgo: true, Targets: []gobuild.Target{{Name: "c", Package: "./c", Ldflags: []string{"-linkmode external", "-extldflags -static"}}}}
	for _, named := range []string{"", "aarch64-linux-gnu-gcc"} {
		t.Setenv("CC_arm64", named)
		binary, commands, err := w.build()
		require.NoError(t, err)
		assert.Contains(t, commands, "build", "what C includes is not known, so the go command is always asked")
		out, err := exec.Command("qemu-aarch64-static", binary.Path).CombinedOutput()
		require.NoError(t, err)
		assert.Equal(t, "42\n", string(out))
	}
	t.Setenv("CC_arm64", "no-such-compiler")
	_, _, err := w.build()
	assert.ErrorContains(t, err, "no-such-compiler")
	w.request.Env = []string{"CC=aarch64-linux-gnu-gcc"}
	_, _, err = w.build()
	require.NoError(t, err, "what the configuration says comes first")
}

// TestCgoNoticesAnotherCLibrary replaces the C library of a compiler, which the go command does not look at.
func TestCgoNoticesAnotherCLibrary(t *testing.T) {
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
	// A compiler with a sysroot of its own, as far as the test needs one.
	compiler := filepath.Join(w.dir, "cc")
	require.NoError(t, os.WriteFile(compiler, []byte(fmt.Sprintf("#!/bin/sh\ncase $1 in -print-file-name=libc.a) echo %[1]s/sys/libc.a;; *) exec gcc -isystem %[1]s/sys \"$@\";; esac\n", w.dir)), 0o755))
	w.request = gobuild.Request{Row: row, Cgo: true, Env: []string{"CC=" + compiler}, Targets: []gobuild.Target{{Name: "c", Package: "./c"}}}
	built := func() string {
		binary, _, err := w.build()
		require.NoError(t, err)
		return says(t, binary)
	}
	require.Equal(t, "1", built())
	answer(2)
	w.write("sys/libc.a", "another")
	assert.Equal(t, "2", built())
}
