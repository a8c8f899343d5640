package main

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// block is a fenced block of the README.
type block struct{ language, text string }

func readme(t *testing.T, language string) []block {
	t.Helper()
	content, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	var blocks []block
	for _, m := range regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$").FindAllStringSubmatch(string(content), -1) {
		if m[1] == language {
			blocks = append(blocks, block{m[1], m[2]})
		}
	}
	require.NotEmpty(t, blocks, "the README has no %s block", language)
	return blocks
}

func TestReadmeConfigurations(t *testing.T) {
	for _, b := range readme(t, "yaml") {
		_, err := config.Parse("README.md", []byte(b.text))
		assert.NoError(t, err)
	}
}

// What the README tells its readers to write for Bazel is what the module in tools/rules/e2e has, which Bazel builds.
func TestReadmeBazelModule(t *testing.T) {
	module := map[string]string{}
	for _, name := range []string{"MODULE.bazel", "BUILD.bazel", ".bazelrc"} {
		content, err := os.ReadFile(filepath.Join("../rules/e2e", name))
		require.NoError(t, err)
		module[name] = string(content)
	}
	// Our own module has what Debian packages need, in its own words.
	content, err := os.ReadFile("../../MODULE.bazel")
	require.NoError(t, err)
	module["our own"] = strings.NewReplacer(`"//tools/rules`, `"@multiarch//tools/rules`, ", dev_dependency = True", "").Replace(string(content))
	for _, b := range append(readme(t, "starlark"), readme(t, "bazelrc")...) {
		file := "BUILD.bazel"
		switch {
		case b.language == "bazelrc":
			file = ".bazelrc"
		case strings.HasPrefix(b.text, "bazel_dep("):
			file = "MODULE.bazel"
		case strings.HasPrefix(b.text, "bases = "):
			file = "our own"
		}
		for _, part := range strings.Split(strings.TrimSpace(b.text), "\n\n") {
			assert.Contains(t, module[file], part, "tools/rules/e2e/%s", file)
		}
	}
	ours, err := os.ReadFile("../rules/workspace_status.sh")
	require.NoError(t, err)
	theirs, err := os.ReadFile("../rules/e2e/tools/workspace_status.sh")
	require.NoError(t, err)
	assert.Equal(t, string(ours), string(theirs), "cp tools/rules/workspace_status.sh tools/rules/e2e/tools/")
}

// varying is what differs from machine to machine: digests and sizes depend on the version of Go.
var varying = regexp.MustCompile(`sha256:[0-9a-f]{64}|[0-9.]+ ?[kM]B|127\.0\.0\.1:[0-9]+|registry\.example\.com| +`)

// TestReadmeCommands runs the README's console blocks, each as one script: lines behind $ are commands, and the others
// must be among what they print, in this order. Blocks that speak of multiarch itself run in a folder with a Go
// service, as in somebody's own repository; the others run in a copy of this one.
func TestReadmeCommands(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	for _, b := range readme(t, "console") {
		var commands, want []string
		for _, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				commands = append(commands, command)
			} else if line != "..." {
				want = append(want, varying.ReplaceAllString(line, " "))
			}
		}
		require.NotEmpty(t, commands)
		t.Run(commands[0], func(t *testing.T) {
			if strings.HasPrefix(commands[0], "go test") {
				t.Skip("this is it")
			}
			if strings.Contains(b.text, "s390x") {
				tool(t, "qemu-s390x-static")
				tool(t, "curl")
			}
			dir := t.TempDir()
			if strings.HasPrefix(commands[0], "go run ./tools/multiarch") {
				for _, part := range []string{"app", "images", "tools", "go.mod", "go.sum"} {
					command(t, "cp", "-r", filepath.Join("../..", part), dir)
				}
			} else {
				s := services{dir, ""}
				s.write(t, "go.mod", "module example.com/hello\n\ngo 1.24\n")
				s.write(t, "main.go", "package main\n\nfunc main() { println(\"hello\") }\n")
			}
			script := strings.ReplaceAll(strings.Join(commands, "\n"), "registry.example.com", strings.TrimPrefix(server.URL, "http://"))
			cmd := exec.Command("bash", "-ec", script)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "MULTIARCH_CACHE="+t.TempDir())
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			// A file and not a pipe: what runs on in the background would keep a pipe open.
			out, err := os.Create(filepath.Join(t.TempDir(), "out"))
			require.NoError(t, err)
			defer out.Close()
			cmd.Stdout, cmd.Stderr = out, out
			err = cmd.Run()
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
			printed, readErr := os.ReadFile(out.Name())
			require.NoError(t, readErr)
			require.NoError(t, err, string(printed))

			lines := strings.Split(varying.ReplaceAllString(string(printed), " "), "\n")
			for _, line := range want {
				found := -1
				for i, got := range lines {
					if strings.TrimSpace(got) == strings.TrimSpace(line) {
						found = i
						break
					}
				}
				require.GreaterOrEqual(t, found, 0, "%q is not printed, or not in this place:\n%s", line, printed)
				lines = lines[found+1:]
			}
		})
	}
}
