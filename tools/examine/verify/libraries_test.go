package verify_test

import (
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"

	"github.com/multiarch-build/multiarch/tools/oci/source/sourcetest"
)

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
		"an invalid cache": {
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
