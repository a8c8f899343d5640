package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// with returns args with more arguments, without modifying args.
func with(args []string, more ...string) []string { return slices.Concat(args, more) }

func elf(machine byte) string {
	return "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x02\x00" + string([]byte{machine}) + "\x00" +
		strings.Repeat("\x00", 100)
}

func TestErrors(t *testing.T) {
	layer := []string{"layer", "-blob", "blob", "-descriptor", "descriptor", "-image", "hello"}
	program := with(layer, "-content", "program", "-platform", "linux/arm/v7")
	files := with(layer, "-content", "files")
	binary := func(file string) string {
		return fmt.Sprintf(`-entry={"path":"/app/hello","from":%q,"binary":true}`, file)
	}
	index := []string{"index", "-image", "hello", "-index", "blob", "-descriptor", "descriptor", "-digest", "digest"}
	child := []string{
		"--", "-platform", "linux/amd64", "-settings", "settings", "-manifest", "m", "-config", "c", "-descriptor", "d",
	}
	tags := []string{"tags", "-image", "hello", "-status", "status", "-out-tags", "blob", "-out-references", "descriptor"}
	for name, c := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"wrong architecture": {
			with(program, binary("arm64")),
			1,
			[]string{"image hello, linux/arm/v7: arm64 is a program for linux/arm64", "hint: ", "--platforms", "overrides"},
		},
		"for macOS": {with(program, binary("mac")), 1, []string{"mac is a program for macOS"}},
		"missing": {
			with(files, entry("nowhere", "/x")),
			1,
			[]string{"image hello: adding /x: nowhere does not exist", "hint: "},
		},
		"a directory": {
			with(files, entry("etc", "/x")),
			1,
			[]string{"image hello: adding /x: etc is not a regular file", "hint: "},
		},
		"two files at one path": {with(files, entry("etc/a", "/x"), entry("etc/sub/b", "/x")), 1,
			[]string{"image hello: two different entries for /x", "hint: "}},
		"a path that leaves": {with(files, entry("etc/a", "/x/../../y")), 1, []string{`invalid path "/x/../../y"`, "hint: "}},
		"unknown platform": {
			with(layer, "-content", "program", "-platform", "linux/vax", binary("etc/run")),
			2,
			[]string{`image hello, linux/vax: unknown platform "linux/vax"`, "hint: "},
		},
		"unknown platform of an image": {
			[]string{
				"image", "-image", "hello", "-platform", "linux/amd65", "-settings", "settings", "-manifest", "blob",
				"-config", "descriptor", "-descriptor", "digest",
			},
			2,
			[]string{`image hello, linux/amd65: unknown platform "linux/amd65"`, "hint: ", "linux/amd64"},
		},
		"unknown platform of tags": {
			with(tags, "-platform", "linux/vax"),
			2,
			[]string{`image hello, linux/vax: unknown platform`, "hint: "},
		},
		"no entry": {with(files, `-entry={"pat":"/x"}`), 2, []string{"pat"}},
		"twice a platform": {
			with(index, with(child, child...)...),
			1,
			[]string{"image hello: duplicate images for linux/amd64 in one index", "hint: "},
		},
		"a file in two layers": {
			with(index, with(child, "-layer", "files.json", "-layer", "program.json")...),
			1,
			[]string{"image hello, linux/amd64: /app/hello is in two layers: multiarch: files and multiarch: program", "hint: "},
		},
		"no child": {
			[]string{"index", "-image", "hello", "-index", "blob", "-descriptor", "descriptor", "-digest", "digest"},
			1,
			[]string{"image hello: an image index requires at least one image", "hint: "},
		},
		"no commit": {
			with(tags, "-template", "{{.Git.ShortCommit}}"),
			1,
			[]string{
				`image hello: template "{{.Git.ShortCommit}}": the workspace status has no STABLE_GIT_COMMIT`,
				"--workspace_status_command",
			},
		},
		"no tag":       {with(tags, "-template", "a b"), 1, []string{`invalid tag "a b"`, "hint: "}},
		"unknown word": {with(tags, "-template", "{{.Commit}}"), 1, []string{"image hello: template", "hint: "}},
		"unknown command": {
			[]string{"bake"},
			2,
			[]string{`unknown command "bake"; known: base, layer, image, index, layout, stack, status, tags`},
		},
		"no command":   {nil, 2, []string{"a command is required"}},
		"unknown flag": {with(files, "-what"), 2, []string{"-what"}},
		"missing flag": {[]string{"layer"}, 2, []string{"flag -blob is required"}},
		"no params":    {[]string{"@nowhere"}, 1, []string{"nowhere"}},
		"no layer": {
			[]string{
				"image", "-platform", "linux/amd64", "-settings", "settings", "-layer", "nowhere", "-manifest", "blob",
				"-config", "descriptor", "-descriptor", "digest",
			},
			1,
			[]string{"nowhere"},
		},
		"unpaired": {
			[]string{"layout", "-name", "x", "-out", "out", "-root", "top", "-layer", "x"},
			2,
			[]string{"1 layers, 0 blobs"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newActionDir(t)
			w.write("arm64", elf(183))
			w.write("mac", "\xcf\xfa\xed\xfe"+strings.Repeat("\x00", 60))
			w.write("status", "BUILD_USER alice\n")
			w.write("settings", `{"settings":{}}`)
			for _, kind := range []string{"files", "program"} {
				w.write(kind+".json", fmt.Sprintf(`{"createdBy":"multiarch: %s","files":["/app/hello"]}`, kind))
			}
			before, err := os.ReadDir(".")
			require.NoError(t, err)
			code, stderr := w.run(c.args...)
			assert.Equal(t, c.code, code)
			for _, text := range c.want {
				assert.Contains(t, stderr, text)
			}
			after, err := os.ReadDir(".")
			require.NoError(t, err)
			assert.Len(t, after, len(before), "temporary files must be removed")
		})
	}
}
