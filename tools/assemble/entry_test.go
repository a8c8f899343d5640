package main

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestModesDoNotDependOnPermissionBits changes the permission bits of all inputs, which are not part of an action key:
// remote workers make every input executable.
func TestModesDoNotDependOnPermissionBits(t *testing.T) {
	w := newActionDir(t)
	w.write("built", elf(183))
	var first string
	for _, mode := range []fs.FileMode{0, 0o644, 0o755} {
		require.NoError(t, filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
			if err == nil && mode != 0 && d.Type().IsRegular() && strings.HasPrefix(file, "etc") {
				err = os.Chmod(file, mode)
			}
			return err
		}))
		w.must("layer", "-content", "files", "-blob", "blob", "-descriptor", "blob.json",
			`-entry={"path":"/empty"}`, entry("etc/a", "/a"), entry("etc/run", "/run"), executableEntry("etc/sub/b", "/b"),
			`-entry={"path":"/detected","from":"etc/run","detectMode":true}`,
			`-entry={"path":"/built","from":"built","detectMode":true,"built":true}`,
			`-entry={"path":"/data","from":"etc/a","detectMode":true,"built":true}`,
			`-entry={"path":"/0600","from":"built","detectMode":true,"mode":384}`)
		if first == "" {
			first = w.read("blob")
		}
		assert.Equal(t, first, w.read("blob"), "all inputs with mode %04o", mode)
	}
	assert.Equal(t, []string{
		"/0600 0600", "/a 0644", "/b 0755", "/built 0755", "/data 0644", "/detected 0755", "/empty 0644", "/run 0644",
	}, w.modes("blob"))
}

// TestBuiltProgramsMustMatchThePlatform assembles images with a program that another rule built.
func TestBuiltProgramsMustMatchThePlatform(t *testing.T) {
	padding := strings.Repeat("\x00", 100)
	dotnet := "MZ" + padding[:58] + "\x40\x00\x00\x00PE\x00\x00\x4c\x01" + padding
	thinMac, universal := "\xcf\xfa\xed\xfe"+padding, "\xca\xfe\xba\xbe\x00\x00\x00"
	for name, c := range map[string]struct {
		content, flags, platform string
		allow                    []string
		want                     string
	}{
		"same": {content: elf(183), platform: "linux/arm64"},
		"other": {
			content: elf(183), platform: "linux/amd64",
			want: "image hello, linux/amd64: /x (file) is a program for linux/arm64",
		},
		"for macOS": {content: thinMac, platform: "linux/arm64", want: "/x (file) is a program for macOS"},
		"allowed":   {content: elf(183), platform: "linux/amd64", allow: []string{"-allow", "wrong-platform"}},

		"a source file":          {content: elf(183), flags: `"detectMode":true`, platform: "linux/amd64"},
		".NET assembly":          {content: dotnet, platform: "linux/amd64"},
		".NET assembly, Windows": {content: dotnet, platform: "windows/arm64"},
		"Java class":             {content: universal + "\x41" + padding, platform: "linux/amd64"},
		"Linux program, Windows": {content: elf(62), platform: "windows/amd64", want: "is a program for linux/amd64"},
		"universal macOS program": {
			content: universal + "\x02" + padding, platform: "linux/amd64", want: "is a program for macOS",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newActionDir(t)
			w.write("file", c.content)
			w.write("settings", `{"settings":{}}`)
			if c.flags == "" {
				c.flags = `"built":true`
			}
			w.must("layer", "-content", "files", "-blob", "blob", "-descriptor", "blob.json",
				fmt.Sprintf(`-entry={"path":"/x","from":"file",%s}`, c.flags))
			code, stderr := w.run(append([]string{"image", "-image", "hello", "-platform", c.platform,
				"-settings", "settings", "-layer", "blob.json", "-manifest", "manifest", "-config", "config",
				"-descriptor", "descriptor"}, c.allow...)...)
			if c.want == "" {
				assert.Zero(t, code, stderr)
				return
			}
			assert.Equal(t, 1, code)
			assert.Contains(t, stderr, c.want)
			assert.Contains(t, stderr, "hint: build it with a rule that respects --platforms")
		})
	}
}

// modes lists the files in a layer with their modes.
func (w actionDir) modes(blob string) (all []string) {
	w.Helper()
	f, err := os.Open(blob)
	require.NoError(w, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(w, err)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		require.NoError(w, err)
		if h.Typeflag == tar.TypeReg {
			all = append(all, fmt.Sprintf("/%s %04o", h.Name, h.Mode))
		}
	}
}
