package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/cpu"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

const exampleFile = "../../images/multiarch.yaml"

// linuxRows are the rows that the example is built for.
func linuxRows(t *testing.T) []arch.Row {
	var rows []arch.Row
	for _, r := range arch.Table() {
		if r.OS == "linux" {
			rows = append(rows, r)
		}
	}
	require.NotEmpty(t, rows)
	return rows
}

// command runs a program and returns what it prints.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	var stderr strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s %s\n%s", name, strings.Join(args, " "), stderr.String())
	return string(out)
}

// tool skips the test where a program of somebody else is not there, unless all have to be.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("MULTIARCH_TEST_TOOLS") == "all" {
			t.Fatal(err)
		}
		t.Skipf("%s is not installed", name)
	}
	return path
}

// TestExample builds the example of this repository as the README does, and lets other people's tools look at it.
func TestExample(t *testing.T) {
	dist := filepath.Join(t.TempDir(), "dist")
	digests := command(t, "multiarch", "build", "-q", "-f", exampleFile, "-o", dist)

	t.Run("has every Linux row", func(t *testing.T) {
		for _, name := range []string{"hello", "clock"} {
			var report struct {
				Children []struct{ Platform arch.Platform }
			}
			require.NoError(t, json.Unmarshal([]byte(command(t, "multiarch", "inspect", "--json", "oci:"+dist+":"+name)), &report))
			var got, want []arch.Platform
			for _, c := range report.Children {
				got = append(got, c.Platform)
			}
			for _, r := range linuxRows(t) {
				want = append(want, r.Platform)
			}
			assert.Equal(t, want, got)
		}
	})

	t.Run("verifies", func(t *testing.T) {
		for _, name := range []string{"hello", "clock", "py-app"} {
			command(t, "multiarch", "verify", "oci:"+dist+":"+name)
		}
	})

	t.Run("comes out the same in another folder with another cache", func(t *testing.T) {
		copied := t.TempDir()
		for _, part := range []string{"app", "images", "go.mod", "go.sum"} {
			command(t, "cp", "-r", filepath.Join("../..", part), copied)
		}
		t.Setenv("MULTIARCH_CACHE", t.TempDir())
		again := command(t, "multiarch", "build", "-q", "-f", filepath.Join(copied, "images/multiarch.yaml"))
		assert.Equal(t, digests, again)
		assert.Empty(t, command(t, "diff", "-r", "--exclude=*.lock", "--exclude=.*", dist, filepath.Join(copied, "dist")))
	})

	t.Run("is read by skopeo", func(t *testing.T) {
		tool(t, "skopeo")
		for _, r := range linuxRows(t) {
			copied := t.TempDir()
			command(t, "skopeo", "--override-os", r.OS, "--override-arch", r.Architecture, "--override-variant", r.Variant, "copy", "-q", "oci:"+dist+":hello", "dir:"+copied)
			var manifest struct{ Config struct{ Digest string } }
			content, err := os.ReadFile(filepath.Join(copied, "manifest.json"))
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(content, &manifest))
			config, err := os.ReadFile(filepath.Join(copied, strings.TrimPrefix(manifest.Config.Digest, "sha256:")))
			require.NoError(t, err)
			assert.Contains(t, string(config), `"architecture":"`+r.Architecture+`"`)
			if r.Variant != "" && r.Architecture == "arm" {
				assert.Contains(t, string(config), `"variant":"`+r.Variant+`"`)
			}
		}
	})

	t.Run("is unpacked by umoci", func(t *testing.T) {
		tool(t, "umoci")
		tool(t, "skopeo")
		// umoci wants one image of a layout, so skopeo picks one out of the index.
		one := filepath.Join(t.TempDir(), "one")
		command(t, "skopeo", "--override-arch", "s390x", "copy", "-q", "oci:"+dist+":hello", "oci:"+one+":hello")
		bundle := filepath.Join(t.TempDir(), "bundle")
		command(t, "umoci", "unpack", "--rootless", "--image", one+":hello", bundle)
		assert.FileExists(t, filepath.Join(bundle, "rootfs/app/hello"))
		assert.FileExists(t, filepath.Join(bundle, "rootfs/usr/share/zoneinfo/Asia/Tokyo"))
	})

	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	command(t, "multiarch", "push", "-q", "-f", exampleFile, "--registry", host, "-t", "v1")
	digest := strings.Fields(strings.Split(digests, "hello ")[1])[0]

	t.Run("is read by crane", func(t *testing.T) {
		tool(t, "crane")
		assert.Equal(t, digest, strings.TrimSpace(command(t, "crane", "digest", host+"/hello:v1")))
		command(t, "crane", "validate", "--remote", host+"/hello:v1")
	})

	t.Run("is read by regctl", func(t *testing.T) {
		tool(t, "regctl")
		t.Setenv("REGCTL_CONFIG", filepath.Join(t.TempDir(), "config.json"))
		command(t, "regctl", "registry", "set", host, "--tls", "disabled")
		assert.Equal(t, digest, strings.TrimSpace(command(t, "regctl", "image", "digest", host+"/hello:v1")))
		assert.Contains(t, command(t, "regctl", "manifest", "get", host+"/hello:v1"), "linux/arm/v6")
	})

	t.Run("is shown alike by docker manifest inspect", func(t *testing.T) {
		tool(t, "docker")
		t.Setenv("DOCKER_CONFIG", t.TempDir())
		docker := command(t, "docker", "manifest", "inspect", "--insecure", "--verbose", host+"/hello:v1")
		assert.Equal(t, docker, command(t, "multiarch", "inspect", "--verbose", host+"/hello:v1"))
	})
}

var listening = regexp.MustCompile(`127\.0\.0\.1:[0-9]+|\[::\]:[0-9]+|:[0-9]+`)

// TestEveryChildAnswers starts each child of the example and asks it which platform it is.
func TestEveryChildAnswers(t *testing.T) {
	for _, r := range linuxRows(t) {
		t.Run(r.Slug(), func(t *testing.T) {
			switch {
			case r.Architecture == "amd64" && r.Variant == "v4" && !cpu.X86.HasAVX512F:
				t.Skip("qemu-user has no AVX-512, and neither has this machine")
			case r.QEMU.Name != "":
				tool(t, "qemu-"+r.QEMU.Name+"-static")
			}
			assert.Equal(t, "Hello. I am a Go service running on "+r.String()+"\n", ask(t, "hello", r.Platform, "/"))
			assert.Contains(t, ask(t, "clock", r.Platform, "/?zone=Asia/Tokyo"), "+09:00")
		})
	}
}

// TestPythonAnswers starts each child of the Flask service, on the packages of its base, and asks it over HTTP.
func TestPythonAnswers(t *testing.T) {
	machines := map[string]string{
		"linux/amd64": "x86_64", "linux/arm64": "aarch64", "linux/arm/v7": "armv7l", "linux/arm/v5": "armv7l",
		"linux/ppc64le": "ppc64le", "linux/s390x": "s390x", "linux/riscv64": "riscv64",
		"linux/386": "x86_64", // it runs natively, and the kernel says its own machine to everybody
	}
	for name, machine := range machines {
		p, err := arch.Parse(name)
		require.NoError(t, err)
		t.Run(p.Slug(), func(t *testing.T) {
			if row, _ := arch.Find(p); row.QEMU.Name != "" {
				tool(t, "qemu-"+row.QEMU.Name+"-static")
			}
			assert.Equal(t, "Hello ONAP. I am a Python service running on "+machine+"\n", ask(t, "py-app", p, "/"))
		})
	}
}

// TestLockOfToday asks the machine's Debian mirror what the packages of the Flask service are right now, for all eight
// architectures. What it says depends on the day; that it is complete does not.
func TestLockOfToday(t *testing.T) {
	copied := t.TempDir()
	command(t, "cp", "-r", "../../images", copied)
	file := filepath.Join(copied, "images/multiarch.yaml")
	cmd := exec.Command("multiarch", "lock", "--update", "-f", file)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() == 5 {
		// A mirror may hold security archives that do not fit their signature, or that have expired.
		t.Logf("the suite alone, since the mirror has no valid security updates: %s", out)
		yaml, readErr := os.ReadFile(file)
		require.NoError(t, readErr)
		suiteOnly := strings.Replace(string(yaml), "slim: true", "slim: true\n      security: false", 1)
		require.NotEqual(t, string(yaml), suiteOnly)
		require.NoError(t, os.WriteFile(file, []byte(suiteOnly), 0o644))
		cmd = exec.Command("multiarch", "lock", "--update", "-f", file)
		out, err = cmd.CombinedOutput()
	}
	if cmd.ProcessState.ExitCode() == 5 && os.Getenv("MULTIARCH_TEST_TOOLS") != "all" {
		t.Skipf("no mirror to ask, or one that is being updated: %s", out)
	}
	require.NoError(t, err, string(out))
	command(t, "multiarch", "lock", "--check", "-f", file)
	assert.Empty(t, command(t, "multiarch", "outdated", "-f", file))
	content, err := os.ReadFile(filepath.Join(copied, "images/multiarch.lock"))
	require.NoError(t, err)
	f, err := lock.Parse("multiarch.lock", content)
	require.NoError(t, err)
	of := f.Bases["python"].Debian.Architectures
	assert.ElementsMatch(t, []string{"amd64", "arm64", "armel", "armhf", "i386", "ppc64el", "riscv64", "s390x"}, slices.Collect(maps.Keys(of)))
	for architecture, packages := range of {
		for _, name := range []string{"python3-flask", "python3-werkzeug", "libc6", "ca-certificates"} {
			assert.True(t, slices.ContainsFunc(packages, func(p lock.Package) bool { return p.Name == name }), "%s: %s", architecture, name)
		}
	}
}

// ask starts a service of the example, sends it one request, and stops it.
func ask(t *testing.T, image string, p arch.Platform, path string) string {
	t.Helper()
	cmd := exec.Command("multiarch", "run", "-q", "-f", exampleFile, image, "--platform", p.String(), "--env", "PORT=0")
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill() }()
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(stderr); s.Scan(); {
			lines <- s.Text()
		}
	}()
	var said bytes.Buffer
	address := ""
	for deadline := time.After(5 * time.Minute); address == ""; {
		select {
		case line, open := <-lines:
			require.True(t, open, "it ended: %s", said.String())
			fmt.Fprintln(&said, line)
			address = listening.FindString(line)
		case <-deadline:
			t.Fatalf("it does not listen: %s", said.String())
		}
	}
	_, port, _ := strings.Cut(address[strings.LastIndex(address, ":"):], ":")
	response, err := http.Get("http://127.0.0.1:" + port + path)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)

	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	for line := range lines {
		fmt.Fprintln(&said, line)
	}
	assert.NoError(t, cmd.Wait(), "it shuts down cleanly: %s", said.String())
	return string(body)
}
