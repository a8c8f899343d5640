package main

import (
	"io"
	"io/fs"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"github.com/multiarch-build/multiarch/tools/internal/testmatrix"
	"github.com/multiarch-build/multiarch/tools/oci/registry/registrytest"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

const topDir = "../.."

// block is a fenced block of a Markdown document.
type block struct{ document, language, text string }

// documents returns all Markdown files of the repository by name.
func documents(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(topDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "dist" || strings.HasPrefix(d.Name(), "bazel-")) {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() || filepath.Ext(path) != ".md" {
			return nil
		}
		name, _ := filepath.Rel(topDir, path)
		content, err := os.ReadFile(path)
		found[name] = string(content)
		return err
	})
	require.NoError(t, err)
	require.Contains(t, found, "README.md")
	return found
}

// blocks returns the fenced blocks of all documents in these languages, in the order of the documents' names.
func blocks(t *testing.T, languages ...string) []block {
	t.Helper()
	var found []block
	for name, content := range documents(t) {
		for _, m := range regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$").FindAllStringSubmatch(content, -1) {
			if slices.Contains(languages, m[1]) {
				found = append(found, block{name, m[1], m[2]})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b block) int { return strings.Compare(a.document, b.document) })
	require.NotEmpty(t, found)
	return found
}

func TestDocumentedConfigurationsAreValid(t *testing.T) {
	for _, b := range blocks(t, "yaml") {
		_, err := config.Parse(b.document, []byte(b.text))
		assert.NoError(t, err)
	}
}

// TestDocumentedBazelModuleIsBuilt compares what tools/rules/README.md tells users to write with the module in
// tools/rules/e2e, which .ci/bazel-checks builds.
func TestDocumentedBazelModuleIsBuilt(t *testing.T) {
	written := map[string]string{}
	for _, name := range []string{"MODULE.bazel", "BUILD.bazel", ".bazelrc"} {
		content, err := os.ReadFile(filepath.Join("../rules/e2e", name))
		require.NoError(t, err)
		written[name] = string(content)
	}
	// This module itself uses Debian packages, with slightly different labels.
	content, err := os.ReadFile(filepath.Join(topDir, "MODULE.bazel"))
	require.NoError(t, err)
	written["MODULE.bazel of this module"] = strings.NewReplacer(`"//tools/rules`, `"@multiarch//tools/rules`,
		", dev_dependency = True", "").Replace(string(content))
	for _, b := range blocks(t, "starlark", "bazelrc") {
		file := "BUILD.bazel"
		switch {
		case strings.HasPrefix(b.text, `load("@multiarch//tools/rules:defs.bzl"`),
			strings.HasPrefix(b.text, "load(\n    \"@multiarch//tools/rules:defs.bzl\""):
			continue // an example of the reference
		case strings.HasPrefix(b.text, "archive_override("), strings.HasPrefix(b.text, "git_override("):
			continue // the module overrides multiarch with a local path
		case b.language == "bazelrc":
			file = ".bazelrc"
		case strings.HasPrefix(b.text, "bazel_dep("):
			file = "MODULE.bazel"
		case strings.HasPrefix(b.text, "bases = "):
			file = "MODULE.bazel of this module"
		}
		for _, part := range strings.Split(strings.TrimSpace(b.text), "\n\n") {
			assert.Contains(t, written[file], part, "%s: %s", b.document, file)
		}
	}
	ours, err := os.ReadFile("../rules/workspace_status.sh")
	require.NoError(t, err)
	theirs, err := os.ReadFile("../rules/e2e/tools/workspace_status.sh")
	require.NoError(t, err)
	assert.Equal(t, string(ours), string(theirs), "run: cp tools/rules/workspace_status.sh tools/rules/e2e/tools/")
}

// executedElsewhere lists commands of documents, by their beginning, that TestDocumentedSessions cannot run.
var executedElsewhere = map[string]string{
	"bazel ":                                 ".ci/bazel-checks runs these targets with a real Bazel",
	"go test ":                               "runs this test",
	"go build ./... ":                        "the test step of .ci/run includes it",
	".ci/run":                                "runs this test",
	"go install github.com/multiarch-build/": "TestInstallFromModuleProxy runs it",
	"go get -tool github.com/multiarch-build/": "TestInstallFromModuleProxy runs it",
	`echo "$PASSWORD" | multiarch login `:      "testdata/script/login.txtar runs it",
}

// TestDocumentedShellBlocksAreAccountedFor requires a reason for every command that is not in a console block.
func TestDocumentedShellBlocksAreAccountedFor(t *testing.T) {
	for _, b := range blocks(t, "sh") {
		for line := range strings.Lines(b.text) {
			if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			known := false
			for start := range executedElsewhere {
				known = known || strings.HasPrefix(line, start)
			}
			assert.True(t, known, "%s: %q: make it a console block, or add a reason to executedElsewhere", b.document, line)
		}
	}
}

// TestDocumentedCommandsExist checks the commands and flags in running text and tables.
func TestDocumentedCommandsExist(t *testing.T) {
	for name, content := range documents(t) {
		for _, m := range regexp.MustCompile("`multiarch ([a-z][^`\n]*)`").FindAllStringSubmatch(content, -1) {
			words := strings.Fields(m[1])
			root := (&app{terminal: &terminal{}}).command()
			cmd, _, err := root.Find(words)
			require.NoError(t, err, "%s: multiarch %s", name, m[1])
			for _, word := range words {
				if flag, ok := strings.CutPrefix(word, "--"); ok && flag != "" {
					flag, _, _ = strings.Cut(flag, "=")
					assert.True(t, hasFlag(cmd, flag), "%s: multiarch %s: no flag --%s", name, m[1], flag)
				}
			}
		}
	}
}

func hasFlag(cmd *cobra.Command, flag string) bool {
	cmd.InitDefaultHelpFlag()
	return cmd.Flags().Lookup(flag) != nil || cmd.InheritedFlags().Lookup(flag) != nil
}

// varying matches what differs between machines: digests and sizes depend on the version of Go.
var varying = regexp.MustCompile(`sha256:[0-9a-f]{64}|\b[0-9a-f]{12}\b|[0-9.]+ ` +
	`?[kM]B|(127\.0\.0\.1|localhost):[0-9]+|registry\.example\.com| +`)

const documentedProgram = `package main

import (
	"fmt"
	"runtime"
)

func main() { fmt.Printf("Hello from %s/%s\n", runtime.GOOS, runtime.GOARCH) }
`

// TestDocumentedSessions runs the console blocks of all documents: lines after $ are commands, and the others must be
// among what they print, in this order. Those of a document that begin with the go command share a copy of this
// repository. The others of a document share a directory with a Go program, as in a user's repository.
func TestDocumentedSessions(all *testing.T) {
	if testing.Short() {
		all.Skip("compiles multiarch and images for eight platforms")
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	dirs := map[string]string{}
	for _, b := range blocks(all, "console") {
		var commands, want []string
		for _, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				commands = append(commands, command)
			} else if line != "..." {
				want = append(want, strings.TrimSpace(varying.ReplaceAllString(line, " ")))
			}
		}
		require.NotEmpty(all, commands)
		all.Run(b.document+" "+commands[0], func(t *testing.T) {
			if strings.Contains(b.text, "s390x") {
				tool(t, "qemu-s390x-static")
				tool(t, "curl")
			}
			kind := "project"
			if regexp.MustCompile("^go (run|install) ./tools/multiarch").MatchString(commands[0]) {
				kind = "clone"
			}
			dir, made := dirs[kind+b.document]
			if !made {
				dir = all.TempDir()
				dirs[kind+b.document] = dir
				if kind == "clone" {
					for _, part := range []string{"app", "images", "tools", "go.mod", "go.sum"} {
						command(t, "cp", "-r", filepath.Join(topDir, part), dir)
					}
				} else {
					s := services{dir, ""}
					s.write(t, "go.mod", "module example.com/hello\n\ngo 1.24\n")
					s.write(t, "main.go", documentedProgram)
				}
			}
			printed := runScript(t, dir, strings.NewReplacer(
				"registry.example.com", strings.TrimPrefix(server.URL, "http://"),
				// A push waits for a registry that starts, but not for long.
				"multiarch registry &", "multiarch registry --address HOST >$GOBIN/address &\n"+
					"until [ -s $GOBIN/address ]; do kill -0 $!; sleep 0.1; done; cat $GOBIN/address",
				"localhost:5000", "HOST",
			).Replace(strings.Join(commands, "\n")))

			lines := strings.Split(varying.ReplaceAllString(printed, " "), "\n")
			for _, line := range want {
				found := slices.IndexFunc(lines, func(got string) bool { return strings.TrimSpace(got) == line })
				require.GreaterOrEqual(t, found, 0, "%q is not printed, or not in this place:\n%s", line, printed)
				lines = lines[found+1:]
			}
		})
	}
}

// runScript runs a script in which HOST is an unused address, stops what it leaves in the background, and returns what
// it prints.
func runScript(t *testing.T, dir, script string) string {
	t.Helper()
	host := strings.Replace(registrytest.Address(t), "127.0.0.1", "localhost", 1)

	cmd := exec.Command("bash", "-ec", strings.ReplaceAll(script, "HOST", host))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "MULTIARCH_CACHE="+t.TempDir(), "GOBIN="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// A file instead of a pipe, because processes in the background would keep a pipe open.
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	err = cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	printed, readErr := os.ReadFile(out.Name())
	require.NoError(t, readErr)
	require.NoError(t, err, string(printed))
	return string(printed)
}

// TestInstallFromModuleProxy runs the commands of the README that install a published version, with a module proxy that
// has this source as v0.1.0. It compiles all dependencies in another module cache, so only the full matrix has it.
func TestInstallFromModuleProxy(t *testing.T) {
	testmatrix.SkipUnlessFull(t, "compiles all dependencies")
	var commands []string
	for _, b := range blocks(t, "sh") {
		for _, line := range strings.Split(b.text, "\n") {
			if strings.HasPrefix(line, "go install github.com/multiarch-build/") ||
				strings.HasPrefix(line, "go get -tool github.com/multiarch-build/") {
				commands = append(commands, line)
			}
		}
	}
	require.NotEmpty(t, commands)

	source := t.TempDir()
	for _, part := range []string{"app", "images", "tools", "go.mod", "go.sum", "LICENSE"} {
		command(t, "cp", "-r", filepath.Join(topDir, part), source)
	}
	proxy := t.TempDir()
	published := module.Version{Path: "github.com/multiarch-build/multiarch", Version: "v0.1.0"}
	versions := services{filepath.Join(proxy, published.Path, "@v"), ""}
	versions.write(t, "list", "v0.1.0\n")
	versions.write(t, "v0.1.0.info", `{"Version": "v0.1.0"}`)
	versions.write(t, "v0.1.0.mod", command(t, "cat", filepath.Join(source, "go.mod")))
	archive, err := os.Create(filepath.Join(versions.dir, "v0.1.0.zip"))
	require.NoError(t, err)
	require.NoError(t, zip.CreateFromDir(archive, published, source))
	require.NoError(t, archive.Close())

	downloaded := filepath.Join(strings.TrimSpace(command(t, "go", "env", "GOMODCACHE")), "cache", "download")
	t.Setenv("GOPROXY", "file://"+proxy+",file://"+downloaded+","+strings.TrimSpace(command(t, "go", "env", "GOPROXY")))
	t.Setenv("GOSUMDB", "off")
	t.Setenv("GOFLAGS", "-modcacherw")
	t.Setenv("GOMODCACHE", t.TempDir())
	project := services{t.TempDir(), ""}
	project.write(t, "go.mod", "module example.com/hello\n\ngo 1.24\n")
	printed := runScript(t, project.dir,
		strings.Join(commands, "\n")+"\n$GOBIN/multiarch version\ngo tool multiarch version")
	assert.Equal(t, 2, strings.Count(printed, "multiarch v0.1.0 go"), printed)
}
