package verify_test

import (
	"archive/tar"
	"context"
	"encoding/binary"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/examine/verify"
	"github.com/multiarch-build/multiarch/tools/oci/source/sourcetest"
)

var allPlatforms = []string{"linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "windows/amd64"}

func TestVerifyFindsNothingWrongWithAGoodIndex(t *testing.T) {
	s := sourcetest.Open(t, "oci:"+sourcetest.WriteLayout(t, sourcetest.HelloIndex(t, allPlatforms...)))
	v, err := verify.Source(t.Context(), s)
	require.NoError(t, err)
	assert.Empty(t, lines(v.Problems))
	assert.Empty(t, lines(v.Notes))
	assert.Equal(t, len(allPlatforms), v.Children)
}

func TestVerifyNamesWhatIsWrongInAnImage(t *testing.T) {
	amd64 := string(sourcetest.Compile(t, "linux/amd64"))
	dynamic := elfFile(binary.LittleEndian, 64, 62, "/lib64/ld-linux-x86-64.so.2")
	library := sourcetest.File{
		Name: "usr/lib64/ld-linux-x86-64.so.2",
		Text: elfFile(binary.LittleEndian, 64, 62, ""),
		Mode: 0o755,
	}
	started := func(argv ...string) func(*v1.ConfigFile) {
		return func(c *v1.ConfigFile) { c.Config.Entrypoint = argv }
	}
	for name, c := range map[string]struct {
		platform string
		config   func(*v1.ConfigFile)
		layers   []v1.Layer
		problems []string
		notes    []string
	}{
		"good": {platform: "linux/amd64", layers: []v1.Layer{sourcetest.HelloLayer(t, amd64)}},
		"arm64 binary in amd64": {
			platform: "linux/amd64", layers: []v1.Layer{
				sourcetest.SharedLayer(t), sourcetest.HelloLayer(t, string(sourcetest.Compile(t, "linux/arm64"))),
			},
			problems: []string{
				"linux/amd64: layer 2 (sha256:...): /app/hello: is ELF 64-bit little-endian machine 0xb7 (linux/arm64), " +
					"and linux/amd64 runs ELF 64-bit little-endian machine 0x3e (linux/amd64)",
			},
		},
		"arm/v7 binary in arm/v6": {
			platform: "linux/arm/v6", layers: []v1.Layer{
				sourcetest.SharedLayer(t), sourcetest.HelloLayer(t, string(sourcetest.Compile(t, "linux/arm/v7"))),
			},
			problems: []string{
				"linux/arm/v6: layer 2 (sha256:...): /app/hello: built for GOARM=7, which linux/arm/v6 cannot run",
			},
		},
		"arm/v5 binary in arm/v7": {
			platform: "linux/arm/v7",
			layers:   []v1.Layer{sourcetest.HelloLayer(t, string(sourcetest.Compile(t, "linux/arm/v5")))},
		},
		"amd64/v3 binary in amd64": {
			platform: "linux/amd64", layers: []v1.Layer{
				sourcetest.HelloLayer(t, string(sourcetest.Compile(t, "linux/amd64/v3"))),
			},
			problems: []string{
				"linux/amd64: layer 1 (sha256:...): /app/hello: built for GOAMD64=v3, which linux/amd64 cannot run",
			},
		},
		"arm64 with lse in arm64": {
			platform: "linux/arm64", layers: []v1.Layer{
				sourcetest.HelloLayer(t, string(sourcetest.Compile(t, "linux/arm64", "GOARM64=v8.0,lse"))),
			},
			problems: []string{
				"linux/arm64: layer 1 (sha256:...): /app/hello: built for GOARM64=v8.0,lse, which linux/arm64 cannot run",
			},
		},
		"freebsd binary in linux": {
			platform: "linux/amd64", layers: []v1.Layer{
				sourcetest.HelloLayer(t, string(sourcetest.Compile(t, "linux/amd64", "GOOS=freebsd"))),
			},
			problems: []string{
				"linux/amd64: layer 1 (sha256:...): /app/hello: built for freebsd/amd64, which is not linux/amd64",
			},
		},
		"big-endian code in a little-endian child": {
			platform: "linux/ppc64le", layers: []v1.Layer{sourcetest.HelloLayer(t, elfFile(binary.BigEndian, 64, 21, ""))},
			problems: []string{
				"linux/ppc64le: layer 1 (sha256:...): /app/hello: is ELF 64-bit big-endian machine 0x15 (unknown), " +
					"and linux/ppc64le runs ELF 64-bit little-endian machine 0x15 (linux/ppc64le)",
			},
		},
		"32-bit code of the same machine": {
			platform: "linux/riscv64", layers: []v1.Layer{sourcetest.HelloLayer(t, elfFile(binary.LittleEndian, 32, 243, ""))},
			problems: []string{
				"linux/riscv64: layer 1 (sha256:...): /app/hello: is ELF 32-bit little-endian machine 0xf3 (unknown), " +
					"and linux/riscv64 runs ELF 64-bit little-endian machine 0xf3 (linux/riscv64)",
			},
		},
		"windows binary in linux": {
			platform: "linux/amd64", layers: []v1.Layer{
				sourcetest.HelloLayer(t, string(sourcetest.Compile(t, "windows/amd64"))),
			},
			problems: []string{
				"linux/amd64: layer 1 (sha256:...): /app/hello: is PE 64-bit little-endian machine 0x8664 (windows/amd64), " +
					"and linux/amd64 runs ELF 64-bit little-endian machine 0x3e (linux/amd64)",
			},
		},
		"what a multilib image carries besides": {
			platform: "linux/amd64",
			layers: []v1.Layer{sourcetest.HelloLayer(t, amd64), sourcetest.Layer(t,
				sourcetest.File{Name: "opt/tool.dll", Text: string(sourcetest.Compile(t, "windows/amd64")), Mode: 0o755},
				sourcetest.File{Name: "usr/bin/i386", Text: elfFile(binary.LittleEndian, 32, 3, ""), Mode: 0o755})},
			notes: []string{
				"linux/amd64: layer 2 (sha256:...): /opt/tool.dll: is PE 64-bit little-endian machine 0x8664 (windows/amd64), " +
					"and linux/amd64 runs ELF 64-bit little-endian machine 0x3e (linux/amd64)",
				"linux/amd64: layer 2 (sha256:...): /usr/bin/i386: is ELF 32-bit little-endian machine 0x3 (linux/386), " +
					"and linux/amd64 runs ELF 64-bit little-endian machine 0x3e (linux/amd64); most kernels run it, too",
			},
		},
		"no build settings": {
			platform: "linux/arm/v6", layers: []v1.Layer{
				sourcetest.HelloLayer(t, elfFile(binary.LittleEndian, 32, 40, "")), sourcetest.Layer(t,
					sourcetest.File{Name: "bin/a", Text: elfFile(binary.LittleEndian, 32, 40, ""), Mode: 0o755},
					sourcetest.File{Name: "bin/b", Text: elfFile(binary.LittleEndian, 32, 40, ""), Mode: 0o755},
					sourcetest.File{Name: "bin/c", Text: elfFile(binary.LittleEndian, 32, 40, ""), Mode: 0o755})},
			notes: []string{
				"linux/arm/v6: layer 1 (sha256:...): /app/hello: carries no build settings: variant not proved",
				"linux/arm/v6: layer 2 (sha256:...): /bin/a: carries no build settings, like 2 other files of the layer: " +
					"variant not proved",
			},
		},
		"no variant to prove": {
			platform: "linux/s390x",
			layers:   []v1.Layer{sourcetest.HelloLayer(t, elfFile(binary.BigEndian, 64, 22, ""))},
		},
		"missing interpreter": {
			platform: "linux/amd64", layers: []v1.Layer{sourcetest.HelloLayer(t, dynamic)},
			problems: []string{
				"linux/amd64: layer 1 (sha256:...): /app/hello: its interpreter is /lib64/ld-linux-x86-64.so.2, " +
					"which the image does not have",
			},
			notes: []string{"linux/amd64: layer 1 (sha256:...): /app/hello: carries no build settings: variant not proved"},
		},
		"interpreter behind links of a lower layer": {
			platform: "linux/amd64", config: started("/app/link"),
			layers: []v1.Layer{
				sourcetest.Layer(t, sourcetest.File{Name: "lib64", Link: "usr/lib64"},
					sourcetest.File{Name: "usr/lib", Link: "../usr/lib64"}, library),
				sourcetest.Layer(t, sourcetest.File{Name: "app/hello", Text: dynamic, Mode: 0o755}, sourcetest.File{
					Name: "app/link",
					Link: "./../app/./hello",
				}),
			},
			notes: []string{
				"linux/amd64: layer 1 (sha256:...): /usr/lib64/ld-linux-x86-64.so.2: carries no build settings: variant not proved",
				"linux/amd64: layer 2 (sha256:...): /app/hello: carries no build settings: variant not proved",
			},
		},
		"interpreter in a directory that is a link below": {
			platform: "linux/amd64",
			layers: []v1.Layer{
				sourcetest.Layer(t, sourcetest.File{Name: "usr/lib64/"}, sourcetest.File{Name: "lib64", Link: "usr/lib64"}),
				sourcetest.Layer(t, sourcetest.File{Name: "lib64/ld-linux-x86-64.so.2", Text: amd64, Mode: 0o755}),
				sourcetest.Layer(t, sourcetest.File{Name: "app/hello", Text: dynamic, Mode: 0o755}),
			},
			notes: []string{"linux/amd64: layer 3 (sha256:...): /app/hello: carries no build settings: variant not proved"},
		},
		"interpreter removed by a whiteout": {
			platform: "linux/amd64",
			layers: []v1.Layer{
				sourcetest.Layer(t, sourcetest.File{Name: "lib64/ld-linux-x86-64.so.2", Text: amd64, Mode: 0o755}),
				sourcetest.HelloLayer(t, dynamic),
				sourcetest.Layer(t, sourcetest.File{Name: "lib64/.wh.ld-linux-x86-64.so.2"}),
			},
			problems: []string{
				"linux/amd64: layer 2 (sha256:...): /app/hello: its interpreter is /lib64/ld-linux-x86-64.so.2, " +
					"which the image does not have",
			},
			notes: []string{"linux/amd64: layer 2 (sha256:...): /app/hello: carries no build settings: variant not proved"},
		},
		"interpreter removed with its directory": {
			platform: "linux/amd64",
			layers: []v1.Layer{
				sourcetest.Layer(t, sourcetest.File{Name: "lib64/ld-linux-x86-64.so.2", Text: amd64, Mode: 0o755}),
				sourcetest.HelloLayer(t, dynamic),
				sourcetest.Layer(t, sourcetest.File{Name: "lib64/"}, sourcetest.File{Name: "lib64/.wh..wh..opq"},
					sourcetest.File{Name: "lib64/other"}),
			},
			problems: []string{
				"linux/amd64: layer 2 (sha256:...): /app/hello: its interpreter is /lib64/ld-linux-x86-64.so.2, " +
					"which the image does not have",
			},
			notes: []string{"linux/amd64: layer 2 (sha256:...): /app/hello: carries no build settings: variant not proved"},
		},
		"wrong binary that a later layer hides": {
			platform: "linux/amd64", layers: []v1.Layer{
				sourcetest.HelloLayer(t, string(sourcetest.Compile(t, "linux/arm64"))), sourcetest.HelloLayer(t, amd64),
			},
		},
		"wrong binary in a directory that a later layer removes": {
			platform: "linux/amd64",
			layers: []v1.Layer{
				sourcetest.Layer(t, sourcetest.File{
					Name: "opt/x/tool",
					Text: string(sourcetest.Compile(t, "linux/arm64")),
					Mode: 0o755,
				}), sourcetest.HelloLayer(t, amd64),
				sourcetest.Layer(t, sourcetest.File{Name: "opt/.wh.x"}),
			},
		},
		"missing #! interpreter": {
			platform: "linux/amd64", layers: []v1.Layer{sourcetest.HelloLayer(t, "#! /bin/sh -e\necho hello\n")},
			problems: []string{
				"linux/amd64: layer 1 (sha256:...): /app/hello: its #! line names /bin/sh, which the image does not have",
			},
		},
		"missing #! interpreter of scripts that are not the entrypoint": {
			platform: "linux/amd64",
			layers: []v1.Layer{sourcetest.HelloLayer(t, amd64), sourcetest.Layer(t,
				sourcetest.File{Name: "bin", Link: "usr/bin"},
				sourcetest.File{Name: "usr/bin/tool", Text: "#!/usr/bin/env perl\n", Mode: 0o755},
				sourcetest.File{Name: "usr/share/doc/example", Text: "#!/usr/bin/perl\n", Mode: 0o755},
				sourcetest.File{Name: "usr/share/doc/plain", Text: "#!/usr/bin/perl\n"})},
			notes: []string{
				"linux/amd64: layer 2 (sha256:...): /usr/bin/tool: its #! line names /usr/bin/env, which the image does not have",
				"linux/amd64: layer 2 (sha256:...): /usr/share/doc/example: its #! line names /usr/bin/perl, " +
					"which the image does not have",
			},
		},
		"#! line with a windows line end": {
			platform: "linux/amd64",
			layers: []v1.Layer{
				sourcetest.HelloLayer(t, "#!/bin/sh\r\necho hello\r\n"),
				sourcetest.Layer(t, sourcetest.File{Name: "bin/sh", Text: amd64, Mode: 0o755}),
			},
			problems: []string{
				`linux/amd64: layer 1 (sha256:...): /app/hello: its #! line names /bin/sh\r, which the image does not have`,
			},
		},
		"#! interpreter that is not executable": {
			platform: "linux/amd64",
			layers: []v1.Layer{
				sourcetest.HelloLayer(t, "#!/bin/sh\n"), sourcetest.Layer(t, sourcetest.File{Name: "bin/sh", Text: amd64}),
			},
			problems: []string{
				"linux/amd64: layer 1 (sha256:...): /app/hello: its #! line names /bin/sh, which is not executable",
			},
		},
		"#! interpreter by a hard link": {
			platform: "linux/amd64",
			layers: []v1.Layer{
				sourcetest.HelloLayer(t, "#!/bin/sh\n"), sourcetest.Layer(t, sourcetest.File{
					Name: "bin/busybox",
					Text: amd64,
					Mode: 0o755,
				}),
				sourcetest.Layer(t, sourcetest.File{Name: "bin/sh", Link: "bin/busybox", Typeflag: tar.TypeLink}),
			},
		},
		"entrypoint not executable": {
			platform: "linux/amd64", layers: []v1.Layer{sourcetest.Layer(t, sourcetest.File{Name: "app/hello", Text: amd64})},
			problems: []string{"linux/amd64: layer 1 (sha256:...): /app/hello: the entrypoint /app/hello is not executable"},
		},
		"entrypoint a directory": {
			platform: "linux/amd64", layers: []v1.Layer{sourcetest.Layer(t, sourcetest.File{Name: "app/hello/", Mode: 0o755})},
			problems: []string{"linux/amd64: layer 1 (sha256:...): /app/hello: the entrypoint /app/hello is not a regular file"},
		},
		"entrypoint missing": {
			platform: "linux/amd64", layers: []v1.Layer{sourcetest.SharedLayer(t)},
			problems: []string{"linux/amd64: the entrypoint /app/hello does not exist"},
		},
		"entrypoint a loop of links": {
			platform: "linux/amd64", layers: []v1.Layer{
				sourcetest.Layer(t, sourcetest.File{Name: "app", Link: "b"}, sourcetest.File{Name: "b", Link: "app"}),
			},
			problems: []string{"linux/amd64: the entrypoint /app/hello does not exist"},
		},
		"entrypoint no program": {
			platform: "linux/amd64", layers: []v1.Layer{sourcetest.HelloLayer(t, "echo hello\n")},
			problems: []string{
				"linux/amd64: layer 1 (sha256:...): /app/hello: the entrypoint /app/hello is neither an ELF executable nor a " +
					"script with a #! line",
			},
		},
		"entrypoint in PATH": {
			platform: "linux/amd64", config: started("hello"),
			layers: []v1.Layer{
				sourcetest.Layer(t, sourcetest.File{Name: "usr/bin/hello", Text: amd64}, sourcetest.File{
					Name: "bin/hello",
					Text: amd64,
					Mode: 0o755,
				}),
			},
		},
		"entrypoint not in PATH": {
			platform: "linux/amd64", config: started("hello"), layers: []v1.Layer{sourcetest.HelloLayer(t, amd64)},
			problems: []string{"linux/amd64: the entrypoint hello is in no directory of PATH; the image has /app/hello"},
		},
		"entrypoint in the default PATH": {
			platform: "linux/amd64", config: func(c *v1.ConfigFile) {
				c.Config.Env, c.Config.Entrypoint = nil, []string{"hello"}
			},
			layers: []v1.Layer{sourcetest.Layer(t, sourcetest.File{Name: "usr/local/bin/hello", Text: amd64, Mode: 0o755})},
		},
		"entrypoint relative to the working directory": {
			platform: "linux/amd64",
			config: func(c *v1.ConfigFile) {
				c.Config.Entrypoint, c.Config.Cmd, c.Config.WorkingDir = nil, []string{"./hello"}, "/app"
			},
			layers: []v1.Layer{sourcetest.HelloLayer(t, amd64)},
		},
		"no entrypoint": {
			platform: "linux/amd64", config: started(), layers: []v1.Layer{sourcetest.SharedLayer(t)},
			notes: []string{"linux/amd64: has neither an entrypoint nor a command"},
		},
		"windows entrypoint in PATH, in other letters": {
			platform: "windows/amd64",
			config: func(c *v1.ConfigFile) {
				c.Config.Entrypoint, c.Config.Env = []string{"HELLO.exe"}, []string{`Path=C:\Windows;c:\APP`}
			},
			layers: []v1.Layer{
				sourcetest.Layer(t, sourcetest.File{
					Name: "Files/App/Hello.exe",
					Text: string(sourcetest.Compile(t, "windows/amd64")),
				}),
			},
		},
		"windows entrypoint missing": {
			platform: "windows/amd64", config: started(`C:\app\hello.exe`), layers: []v1.Layer{sourcetest.SharedLayer(t)},
			problems: []string{`windows/amd64: the entrypoint C:\app\hello.exe does not exist`},
		},
		"linux binary in windows": {
			platform: "windows/amd64", config: started(`C:\app\hello.exe`),
			layers: []v1.Layer{sourcetest.Layer(t, sourcetest.File{Name: "Files/app/hello.exe", Text: amd64})},
			problems: []string{
				"windows/amd64: layer 1 (sha256:...): /Files/app/hello.exe: " +
					"is ELF 64-bit little-endian machine 0x3e (linux/amd64), " +
					"and windows/amd64 runs PE 64-bit little-endian machine 0x8664 (windows/amd64)",
			},
		},
		"arm without a variant": {
			platform: "linux/arm", layers: []v1.Layer{sourcetest.HelloLayer(t, string(sourcetest.Compile(t, "linux/arm/v5")))},
			problems: []string{"linux/arm: linux/arm has no variant; tools take it for v5, v6 or v7"},
		},
		"an unknown platform": {
			platform: "plan9/amd64", layers: []v1.Layer{sourcetest.HelloLayer(t, "")},
			notes: []string{"plan9/amd64: programs are not examined: plan9/amd64 is not in the architecture table"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			img := sourcetest.Image(t, c.platform, c.config, c.layers...)
			s := sourcetest.Open(t,
				"oci:"+sourcetest.WriteLayout(t, sourcetest.Index(t, sourcetest.Child{Platform: c.platform, Image: img})))
			v, err := verify.Source(t.Context(), s)
			require.NoError(t, err)
			assert.Equal(t, append([]string{}, c.problems...), lines(v.Problems))
			assert.Equal(t, append([]string{}, c.notes...), lines(v.Notes))
		})
	}
}

func canceled(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// lines returns problems as text, without digests.
func lines(problems []verify.Problem) []string {
	all := []string{}
	for _, p := range problems {
		all = append(all, sourcetest.HideDigests(p.String()))
	}
	return all
}
