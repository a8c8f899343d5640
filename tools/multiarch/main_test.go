package main

import (
	"encoding/json"
	"errors"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/oci/registry/registrytest"
	"github.com/multiarch-build/multiarch/tools/run"
)

func TestMain(m *testing.M) {
	if code, ok := run.Init(); ok {
		os.Exit(code)
	}
	testscript.Main(m, map[string]func(){"multiarch": main, "push.exe": main})
}

// skipShort skips tests that build for many platforms, start registries, or repeat a race many times.
func skipShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("too slow for -short")
	}
}

// TestScripts runs testdata/script. To accept changed golden output: go test ./tools/multiarch -update
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, scripts)
	params := scriptParams(t, func(e *testscript.Env) string {
		server := httptest.NewServer(registry.New(""))
		e.Defer(server.Close)
		return strings.TrimPrefix(server.URL, "http://")
	})
	params.Dir = "testdata/script"
	testscript.Run(t, params)
}

// scriptParams returns the parameters of scripts. $REGISTRY is the result of start.
func scriptParams(t *testing.T, start func(*testscript.Env) string) testscript.Params {
	t.Helper()
	goEnv := goEnvironment(t)
	return testscript.Params{
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			self, err := exec.LookPath("multiarch")
			if err != nil {
				return err
			}
			e.Vars = append(e.Vars, goEnv...)
			e.Vars = append(e.Vars, "BIN="+filepath.Dir(self))
			_, port, err := net.SplitHostPort(registrytest.Address(t))
			if err != nil {
				return err
			}
			e.Vars = append(e.Vars, "PORT="+port) // that nothing listens on
			e.Vars = append(e.Vars, "REGISTRY="+start(e), "MULTIARCH_CACHE="+filepath.Join(e.WorkDir, ".cache"))
			return nil
		},
		Condition: func(name string) (bool, error) {
			// [tool:NAME] is true if the program is installed. With MULTIARCH_TEST_TOOLS=all, a missing one is an error.
			tool, ok := strings.CutPrefix(name, "tool:")
			if !ok {
				return false, errors.New("unknown condition")
			}
			_, err := exec.LookPath(tool)
			if err != nil && os.Getenv("MULTIARCH_TEST_TOOLS") == "all" {
				return false, err
			}
			return err == nil, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":       exits,
			"damage":      damage,
			"sameentries": sameEntries,
			"foreign":     foreign,
			"sameraw":     sameRaw,
		},
	}
}

// goEnvironment returns the variables with which the go command finds its caches. Scripts start with an empty
// environment.
func goEnvironment(t *testing.T) []string {
	t.Helper()
	var env []string
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GOFLAGS"} {
		out, err := exec.Command("go", "env", name).Output()
		require.NoError(t, err)
		env = append(env, name+"="+strings.TrimSpace(string(out)))
	}
	return append(env, "DOCKER_CONFIG=/nonexistent")
}

// exits CODE PROGRAM ARGS... runs a program and requires an exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// damage FILE... flips a bit in the middle of each file. Each pattern must match a file.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	for _, pattern := range args {
		files, err := filepath.Glob(ts.MkAbs(pattern))
		ts.Check(err)
		if len(files) == 0 {
			ts.Fatalf("%s matches nothing", pattern)
		}
		for _, f := range files {
			content, err := os.ReadFile(f)
			ts.Check(err)
			if len(content) > 0 {
				content[len(content)/2] ^= 1
				ts.Check(os.WriteFile(f, content, 0o644))
			}
		}
	}
}

// sameEntries A B compares two outputs of inspect --verbose, ignoring the order of entries, which differs between
// tools.
func sameEntries(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sameentries A B")
	}
	var entries [2][]string
	for i, file := range args {
		var list []map[string]any
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &list))
		for _, entry := range list {
			content, err := json.MarshalIndent(entry, "", "  ")
			ts.Check(err)
			entries[i] = append(entries[i], string(content))
		}
		slices.Sort(entries[i])
	}
	if len(entries[0]) == 0 || !slices.Equal(entries[0], entries[1]) {
		ts.Fatalf("%s and %s differ:\n%s\n\n%s", args[0], args[1], strings.Join(entries[0], "\n"),
			strings.Join(entries[1], "\n"))
	}
}
