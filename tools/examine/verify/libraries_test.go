package verify_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/examine/verify"
	"github.com/multiarch-build/multiarch/tools/oci/source"
	"github.com/multiarch-build/multiarch/tools/oci/source/sourcetest"
)

// linked is a binary that a dynamic loader has to do with.
type linked struct {
	platform, interpreter string
	needed                []string
	soname, rpath         string
	runpath               string
}

// elf makes the binary: its segments are one that is loaded, the dynamic section and the interpreter.
func (l linked) elf(t testing.TB) string {
	t.Helper()
	p, err := arch.Parse(l.platform)
	require.NoError(t, err)
	row, _ := arch.Find(p)
	var order binary.ByteOrder = binary.LittleEndian
	data := byte(1)
	if row.Header.Order == arch.Big {
		order, data = binary.BigEndian, 2
	}
	word := row.Header.Bits / 8
	put := func(out *bytes.Buffer, values ...uint64) { // words of the machine
		for _, v := range values {
			if word == 8 {
				_ = binary.Write(out, order, v)
			} else {
				_ = binary.Write(out, order, uint32(v))
			}
		}
	}
	const base = 0x10000
	head, entry, segments := 64, 56, 3
	if word == 4 {
		head, entry = 52, 32
	}
	start := head + segments*entry
	strings := "\x00"
	add := func(s string) uint64 {
		at := len(strings)
		strings += s + "\x00"
		return uint64(at)
	}
	var section bytes.Buffer
	for _, n := range l.needed {
		put(&section, 1, add(n))
	}
	for tag, s := range map[uint64]string{14: l.soname, 15: l.rpath, 29: l.runpath} {
		if s != "" {
			put(&section, tag, add(s))
		}
	}
	interpreter := add(l.interpreter)
	length := section.Len() + 6*word
	put(&section, 5, uint64(base+start+length), 10, uint64(len(strings)), 0, 0)
	require.Equal(t, length, section.Len())

	var out bytes.Buffer
	write := func(values ...any) {
		for _, v := range values {
			_ = binary.Write(&out, order, v)
		}
	}
	out.WriteString("\x7fELF")
	write([]byte{byte(row.Header.Bits / 32), data, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, uint16(3), row.Header.Machine, uint32(1))
	put(&out, 0, uint64(head), 0)
	write(uint32(0), uint16(head), uint16(entry), uint16(segments), uint16(0), uint16(0), uint16(0))
	segment := func(kind uint32, at, size uint64) {
		if word == 8 {
			write(kind, uint32(4), at, base+at, base+at, size, size, uint64(1))
		} else {
			write(kind, uint32(at), uint32(base+at), uint32(base+at), uint32(size), uint32(size), uint32(4), uint32(1))
		}
	}
	segment(1, 0, uint64(start+section.Len()+len(strings)))
	segment(2, uint64(start), uint64(section.Len()))
	if l.interpreter == "" {
		segment(0, 0, 0)
	} else {
		segment(3, uint64(start+section.Len())+interpreter, uint64(len(l.interpreter)+1))
	}
	out.Write(section.Bytes())
	out.WriteString(strings)
	return out.String()
}

// ldconfigCache is an /etc/ld.so.cache as glibc 2.32 and later write it; before is what stood in front of it until
// then.
func ldconfigCache(before string, entries ...string) string {
	var out, words bytes.Buffer
	out.WriteString("glibc-ld.so.cache1.1")
	_ = binary.Write(&out, binary.LittleEndian, []uint32{uint32(len(entries) / 2), 0, 2, 0, 0, 0, 0})
	for i := 0; i < len(entries); i += 2 {
		at := 48 + 24*len(entries)/2 + words.Len()
		words.WriteString(entries[i] + "\x00" + entries[i+1] + "\x00")
		_ = binary.Write(&out, binary.LittleEndian, []uint32{3, uint32(at), uint32(at + len(entries[i]) + 1), 0, 0, 0})
	}
	return before + out.String() + words.String()
}

func TestVerifyLooksForLibraries(t *testing.T) {
	const glibc, musl = "/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1"
	at := func(name string, mode int64, l linked) sourcetest.File {
		if l.platform == "" {
			l.platform = "linux/amd64"
		}
		return sourcetest.File{Name: name, Mode: mode, Text: l.elf(t)}
	}
	ld := at("lib64/ld-linux-x86-64.so.2", 0o755, linked{soname: "ld-linux-x86-64.so.2"})
	muslLd := at("lib/ld-musl-x86_64.so.1", 0o755, linked{soname: "libc.so"})
	program := func(l linked) sourcetest.File { return at("app/hello", 0o755, l) }
	needs := func(names ...string) sourcetest.File { return program(linked{interpreter: glibc, needed: names}) }
	library := func(name string, needed ...string) sourcetest.File { return at(name, 0o644, linked{needed: needed}) }
	environment := func(env ...string) func(*v1.ConfigFile) {
		return func(c *v1.ConfigFile) { c.Config.Env, c.Config.WorkingDir = env, "/work" }
	}
	const libraryIn = "linux/amd64: layer 1 (sha256:...): /app/hello: it needs the library libx.so.1"
	for name, c := range map[string]struct {
		platform string
		config   func(*v1.ConfigFile)
		files    []sourcetest.File
		problems []string
		notes    []string
	}{
		"the loader itself": {files: []sourcetest.File{ld, needs("ld-linux-x86-64.so.2")}},
		"nowhere": {
			files:    []sourcetest.File{ld, needs("libx.so.1")},
			problems: []string{libraryIn + ", which the image does not have"},
		},
		"in Debian's directory": {
			files: []sourcetest.File{ld, needs("libx.so.1"), library("usr/lib/x86_64-linux-gnu/libx.so.1")},
		},
		"in the directory of others": {files: []sourcetest.File{
			ld,
			needs("libx.so.1"),
			library("usr/lib64/libx.so.1.2"),
			{Name: "usr/lib64/libx.so.1", Link: "libx.so.1.2"},
		}},
		"behind a link to a directory": {files: []sourcetest.File{
			ld,
			needs("libx.so.1"),
			library("usr/lib/libx.so.1"),
			{Name: "lib", Link: "usr/lib"},
		}},
		"of a library, nowhere": {
			files:    []sourcetest.File{ld, needs("liby.so"), library("lib/liby.so", "libx.so.1")},
			problems: []string{libraryIn + " (for /lib/liby.so), which the image does not have"},
			notes: []string{
				"linux/amd64: layer 1 (sha256:...): /lib/liby.so: it needs the library libx.so.1, which the image does not have",
			},
		},
		"libraries that need each other": {
			files: []sourcetest.File{
				ld, needs("liby.so"), library("lib/liby.so", "libx.so.1"), library("lib/libx.so.1", "liby.so"),
			},
		},
		"for another machine": {
			files: []sourcetest.File{ld, needs("libx.so.1"), at("usr/lib/libx.so.1", 0o644, linked{platform: "linux/arm64"})},
			problems: []string{
				libraryIn + ", which the image has only for another machine: /usr/lib/libx.so.1 is ELF 64-bit little-endian " +
					"machine 0xb7 (linux/arm64)",
			},
			notes: []string{
				"linux/amd64: layer 1 (sha256:...): /usr/lib/libx.so.1: is ELF 64-bit little-endian machine 0xb7 (linux/arm64), " +
					"and linux/amd64 runs ELF 64-bit little-endian machine 0x3e (linux/amd64)",
			},
		},
		"text instead of a library": {
			files:    []sourcetest.File{ld, needs("libx.so.1"), {Name: "lib/libx.so.1", Text: "INPUT(libc.so.6)"}},
			problems: []string{libraryIn + ", which the image does not have"},
		},
		"where the loader does not look": {
			files: []sourcetest.File{
				ld,
				needs("libx.so.1"),
				library("usr/local/lib/libx.so.1"),
				{Name: "etc/ld.so.conf", Text: "/usr/local/lib\n"},
			},
			problems: []string{
				libraryIn + ", which the image has as /usr/local/lib/libx.so.1, where the loader does not search",
			},
		},
		"in the cache": {files: []sourcetest.File{
			ld,
			needs("libx.so.1"),
			library("opt/x"),
			library("usr/local/lib/libx.so.1"),
			{
				Name: "etc/ld.so.cache",
				Text: ldconfigCache("", "liba.so", "/lib/liba.so", "libx.so.1", "/usr/local/lib/libx.so.1"),
			},
		}},
		"in a cache of older glibc": {files: []sourcetest.File{
			ld,
			needs("libx.so.1"),
			library("usr/local/lib/libx.so.1"),
			{
				Name: "etc/ld.so.cache",
				Text: ldconfigCache("ld.so-1.7.0\x00\x00\x00\x00\x00", "libx.so.1", "/usr/local/lib/libx.so.1"),
			},
		}},
		"a cache that is out of date": {
			files: []sourcetest.File{
				ld,
				needs("libx.so.1"),
				{Name: "etc/ld.so.cache", Text: ldconfigCache("", "libx.so.1", "/lib/libx.so.1")},
			},
			problems: []string{libraryIn + ", which the image does not have"},
		},
		"a cache that nobody can read": {
			files: []sourcetest.File{ld, needs("libx.so.1"), {Name: "etc/ld.so.cache", Text: "glibc-ld.so.cache1.1"}},
			notes: []string{
				"linux/amd64: layer 1 (sha256:...): /app/hello: its libraries are not checked: /etc/ld.so.cache cannot be read",
			},
		},
		"LD_LIBRARY_PATH": {
			config: environment("LD_LIBRARY_PATH=/none:/opt/x"),
			files:  []sourcetest.File{ld, needs("libx.so.1"), library("opt/x/libx.so.1")},
		},
		"LD_LIBRARY_PATH with the working directory": {
			config: environment("LD_LIBRARY_PATH=/none:"),
			files:  []sourcetest.File{ld, needs("libx.so.1"), library("work/libx.so.1")},
		},
		"$ORIGIN": {
			files: []sourcetest.File{
				ld, program(linked{interpreter: glibc, needed: []string{"libx.so.1"}, runpath: "/a:$ORIGIN/../${LIB}"}),
				library("lib64/libx.so.1"),
			},
		},
		"a name with a slash": {files: []sourcetest.File{ld, needs("/opt/x.so"), library("opt/x.so")}},
		"musl": {
			files: []sourcetest.File{
				muslLd, program(linked{interpreter: musl, needed: []string{"libc.musl-x86_64.so.1", "libm.so.6", "libx.so.1"}}),
				library("usr/local/lib/libx.so.1"),
			},
		},
		"musl, where a runpath reaches the libraries of libraries": {
			files: []sourcetest.File{
				muslLd, program(linked{interpreter: musl, needed: []string{"liby.so"}, runpath: "$ORIGIN/lib"}),
				library("app/lib/liby.so", "libx.so.1"), library("app/lib/libx.so.1"),
			},
		},
		"musl with directories of its own": {
			files: []sourcetest.File{
				muslLd,
				program(linked{interpreter: musl, needed: []string{"liby.so", "libx.so.1"}}),
				library("usr/lib/libx.so.1"),
				library("opt/y/liby.so"),
				{Name: "etc/ld-musl-x86_64.path", Text: "/opt/x\n/opt/y\n"},
			},
			problems: []string{libraryIn + ", which the image has as /usr/lib/libx.so.1, where the loader does not search"},
		},
		"of a program that is not started": {
			files: []sourcetest.File{
				ld, needs(), at("usr/bin/tool", 0o755, linked{interpreter: glibc, needed: []string{"libx.so.1"}}),
			},
			notes: []string{
				"linux/amd64: layer 1 (sha256:...): /usr/bin/tool: it needs the library libx.so.1, which the image does not have",
			},
		},
		"of what interprets a script": {
			files: []sourcetest.File{
				ld,
				{Name: "app/hello", Text: "#!/usr/bin/env -S tool -x\n", Mode: 0o755},
				at("usr/bin/tool", 0o755, linked{interpreter: glibc, needed: []string{"libx.so.1"}}),
				at("usr/bin/env", 0o755, linked{}),
			},
			problems: []string{
				"linux/amd64: layer 1 (sha256:...): /usr/bin/tool: it needs the library libx.so.1, which the image does not have",
			},
		},
		"of the command": {
			config: func(c *v1.ConfigFile) { c.Config.Cmd = []string{"tool"} },
			files: []sourcetest.File{
				ld, needs(), at("usr/bin/tool", 0o755, linked{interpreter: glibc, needed: []string{"libx.so.1"}}),
			},
			problems: []string{
				"linux/amd64: layer 1 (sha256:...): /usr/bin/tool: it needs the library libx.so.1, which the image does not have",
			},
		},
		"of a plugin": {
			files: []sourcetest.File{
				ld, needs(), library("usr/lib/plugins/a.so", "libx.so.1", "libhost.so"), library("opt/libhost.so"),
			},
			notes: []string{
				"linux/amd64: layer 1 (sha256:...): /usr/lib/plugins/a.so: it needs the library libx.so.1, " +
					"which the image does not have",
			},
		},
		"without an interpreter": {
			files: []sourcetest.File{needs("libc.so.6")},
			problems: []string{
				"linux/amd64: layer 1 (sha256:...): /app/hello: its interpreter is " + glibc + ", which the image does not have",
				"linux/amd64: layer 1 (sha256:...): /app/hello: it needs the library libc.so.6, which the image does not have",
			},
		},
		"big-endian, 64 bits": {
			platform: "linux/s390x",
			files: []sourcetest.File{
				at("lib/ld64.so.1", 0o755, linked{platform: "linux/s390x"}),
				program(linked{platform: "linux/s390x", interpreter: "/lib/ld64.so.1", needed: []string{"libx.so.1", "liby.so"}}),
				at("lib/s390x-linux-gnu/libx.so.1", 0o644, linked{platform: "linux/s390x", soname: "liby.so"}),
			},
		},
		"32 bits, and a port that Debian does not have": {
			platform: "linux/arm/v6",
			files: []sourcetest.File{
				at("lib/ld-linux-armhf.so.3", 0o755, linked{platform: "linux/arm/v6"}),
				program(linked{platform: "linux/arm/v6", interpreter: "/lib/ld-linux-armhf.so.3", needed: []string{"libx.so.1"}}),
				at("lib/arm-linux-gnueabihf/libx.so.1", 0o644, linked{platform: "linux/arm/v6"}),
			},
		},
		"arm without a variant": {
			platform: "linux/arm",
			files: []sourcetest.File{
				at("lib/ld-linux.so.3", 0o755, linked{platform: "linux/arm/v5"}),
				program(linked{platform: "linux/arm/v5", interpreter: "/lib/ld-linux.so.3", needed: []string{"libx.so.1"}}),
				at("lib/arm-linux-gnueabi/libx.so.1", 0o644, linked{platform: "linux/arm/v5"}),
			},
			problems: []string{"linux/arm: linux/arm has no variant; tools take it for v5, v6 or v7"},
		},
		"386, whose directory is not called as its compiler": {
			platform: "linux/386",
			files: []sourcetest.File{
				at("lib/ld-linux.so.2", 0o755, linked{platform: "linux/386"}),
				program(linked{platform: "linux/386", interpreter: "/lib/ld-linux.so.2", needed: []string{"libx.so.1"}}),
				at("lib/i386-linux-gnu/libx.so.1", 0o644, linked{platform: "linux/386"}),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.platform == "" {
				c.platform = "linux/amd64"
			}
			files := append([]sourcetest.File{{Name: "work/"}}, c.files...)
			v := verifyImage(t, sourcetest.Image(t, c.platform, c.config, sourcetest.Layer(t, files...)))
			notes := slices.DeleteFunc(lines(v.Notes), func(n string) bool { return strings.Contains(n, "variant not proved") })
			assert.Equal(t, append([]string{}, c.problems...), lines(v.Problems))
			assert.Equal(t, append([]string{}, c.notes...), notes)
		})
	}
}

func verifyImage(t *testing.T, img v1.Image) *verify.Verdict {
	t.Helper()
	root, err := sourcetest.Describe(img)
	require.NoError(t, err)
	v, err := verify.Source(t.Context(), &source.Source{Name: "image", Root: root, Image: img})
	require.NoError(t, err)
	return v
}

// TestVerifyFindsLibrariesAsTheLoaderDoes builds programs with the C compiler of the machine, asks its own loader what
// it does not find, and Verify about an image with the same files in the same places.
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
		// build are calls of the compiler: the output, then its other arguments.
		build  [][]string
		remove string
		env    string
		// other is where a library for another machine lies in the way.
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

// TestVerifyReadsWhatLdconfigWrites has ldconfig write the cache of a directory that is in no list of directories.
func TestVerifyReadsWhatLdconfigWrites(t *testing.T) {
	ldconfig := "/sbin/ldconfig" // not in everybody's PATH
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

// TestVerifyOfHostileLibraries has more to look for than anybody should. Without bounds that would not end before go
// test ends it.
func TestVerifyOfHostileLibraries(t *testing.T) {
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("lib%d.so", i))
	}
	const loader = "/lib/ld.so"
	files := []sourcetest.File{{Name: "lib/ld.so", Mode: 0o755, Text: linked{platform: "linux/amd64"}.elf(t)}}
	greedy := linked{
		platform:    "linux/amd64",
		interpreter: loader,
		needed:      names,
		rpath:       strings.Repeat("/r:", 1300),
	}.elf(t)
	for i := range 500 {
		files = append(files, sourcetest.File{Name: fmt.Sprintf("bin/%d", i), Mode: 0o755, Text: greedy})
	}
	many := sourcetest.Layer(t, append(files, sourcetest.File{Name: "app/hello", Mode: 0o755, Text: greedy})...)
	chain := append([]sourcetest.File{}, files[0], sourcetest.File{
		Name: "app/hello",
		Mode: 0o755,
		Text: linked{platform: "linux/amd64", interpreter: loader, needed: []string{"c0.so"}}.elf(t),
	})
	for i := range 20_000 {
		chain = append(chain, sourcetest.File{
			Name: fmt.Sprintf("lib/c%d.so", i),
			Text: linked{platform: "linux/amd64", needed: []string{fmt.Sprintf("c%d.so", i+1), "a.so", "b.so", "c.so"}}.elf(t),
		})
	}
	for name, c := range map[string]struct {
		layer v1.Layer
		env   string
	}{
		"programs that need everything": {many, "LD_LIBRARY_PATH=" + strings.Repeat("/e:", 50_000)},
		"a chain of libraries":          {sourcetest.Layer(t, chain...), ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := verifyImage(t, sourcetest.Image(t, "linux/amd64", func(f *v1.ConfigFile) { f.Config.Env = []string{c.env} },
				c.layer))
			assert.NotEmpty(t, v.Problems)
		})
	}
}

func FuzzLibraries(f *testing.F) {
	f.Add([]byte(linked{
		platform:    "linux/amd64",
		interpreter: "/lib/ld.so",
		needed:      []string{"libx.so"},
		rpath:       "$ORIGIN:$LIB/a::",
		runpath:     "/b",
	}.elf(f)),
		[]byte(linked{platform: "linux/amd64", needed: []string{"libx.so", "liby.so"}, soname: "libx.so"}.elf(f)),
		[]byte(ldconfigCache("", "libx.so", "/opt/libx.so")))
	f.Add([]byte(linked{platform: "linux/amd64", interpreter: "/lib/ld-musl-x.so", needed: []string{"libx.so"}}.elf(f)),
		[]byte("INPUT(a)"), []byte("ld.so-1.7.0\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, program, library, cache []byte) {
		verifyLayer(t, sourcetest.Tar(t, sourcetest.File{Name: "app/hello", Text: string(program), Mode: 0o755},
			sourcetest.File{Name: "lib/libx.so", Text: string(library)},
			sourcetest.File{Name: "etc/ld.so.cache", Text: string(cache)}, sourcetest.File{
				Name: "etc/ld-musl-x.path",
				Text: string(cache),
			}))
	})
}
