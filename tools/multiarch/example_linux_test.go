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
	"github.com/multiarch-build/multiarch/tools/internal/testmatrix"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

const exampleFile = "../../images/multiarch.yaml"

// classicPlatforms are the platforms of the classic procedure, for which hello and clock are built.
var classicPlatforms = []string{
	"linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "linux/386", "linux/ppc64le", "linux/s390x",
	"linux/riscv64",
}

// exampleRows returns the rows of the architecture table for which tests build hello and clock: three of the classic
// platforms, or all of them with MULTIARCH_TEST_MATRIX=full.
func exampleRows(t *testing.T) []arch.Row {
	t.Helper()
	var rows []arch.Row
	for _, name := range testmatrix.Platforms(classicPlatforms...) {
		p, err := arch.Parse(name)
		require.NoError(t, err)
		row, ok := arch.Find(p)
		require.True(t, ok, name)
		rows = append(rows, row)
	}
	return rows
}

// exampleProject returns the configuration of the example: that of this repository with MULTIARCH_TEST_MATRIX=full, and
// otherwise a copy for three platforms.
func exampleProject(t *testing.T) string {
	t.Helper()
	if testmatrix.Full() {
		return exampleFile
	}
	dir := t.TempDir()
	for _, part := range []string{"app", "images", "go.mod", "go.sum"} {
		command(t, "cp", "-r", filepath.Join(topDir, part), dir)
	}
	file := filepath.Join(dir, "images/multiarch.yaml")
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	others := regexp.MustCompile(`(?m)^ +(- )?linux/(arm/v[5-7]|386|ppc64le|riscv64)\b.*\n|^    overrides:\n`)
	require.NoError(t, os.WriteFile(file, others.ReplaceAll(content, nil), 0o644))
	return file
}

// layoutPlatforms returns the platforms of the image in a layout.
func layoutPlatforms(t *testing.T, dist, name string) []string {
	t.Helper()
	var report struct {
		Children []struct{ Platform arch.Platform }
	}
	require.NoError(t, json.Unmarshal([]byte(command(t, "multiarch", "inspect", "--json", "oci:"+dist+":"+name)), &report))
	var platforms []string
	for _, c := range report.Children {
		platforms = append(platforms, c.Platform.String())
	}
	return platforms
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

// tool skips the test if a program is not installed, unless MULTIARCH_TEST_TOOLS requires all of them.
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

// TestExample builds the example of this repository and reads it with the tools that users have.
func TestExample(t *testing.T) {
	skipShort(t)
	project, dist := exampleProject(t), filepath.Join(t.TempDir(), "dist")
	digests := command(t, "multiarch", "build", "-q", "-f", project, "-o", dist)

	t.Run("has the platforms of the classic procedure", func(t *testing.T) {
		for _, name := range []string{"hello", "clock"} {
			assert.Equal(t, testmatrix.Platforms(classicPlatforms...), layoutPlatforms(t, dist, name))
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
			command(t, "cp", "-r", filepath.Join(filepath.Dir(project), "..", part), copied)
		}
		t.Setenv("MULTIARCH_CACHE", t.TempDir())
		file := filepath.Join(copied, "images/multiarch.yaml")
		if !testmatrix.Full() {
			assert.Contains(t, digests, command(t, "multiarch", "build", "-q", "-f", file, "hello"))
			return
		}
		assert.Equal(t, digests, command(t, "multiarch", "build", "-q", "-f", file))
		assert.Empty(t, command(t, "diff", "-r", "--exclude=*.lock", "--exclude=.*", dist, filepath.Join(copied, "dist")))
	})

	t.Run("is read by skopeo", func(t *testing.T) {
		tool(t, "skopeo")
		for _, r := range exampleRows(t) {
			copied := t.TempDir()
			command(t, "skopeo", "--override-os", r.OS, "--override-arch", r.Architecture, "--override-variant", r.Variant,
				"copy", "-q", "oci:"+dist+":hello", "dir:"+copied)
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
	command(t, "multiarch", "push", "-q", "-f", project, "--registry", host, "-t", "v1")
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
		assert.Contains(t, command(t, "regctl", "manifest", "get", host+"/hello:v1"), "linux/s390x")
	})

	t.Run("is shown alike by docker manifest inspect", func(t *testing.T) {
		tool(t, "docker")
		t.Setenv("DOCKER_CONFIG", t.TempDir())
		docker := command(t, "docker", "manifest", "inspect", "--insecure", "--verbose", host+"/hello:v1")
		assert.Equal(t, docker, command(t, "multiarch", "inspect", "--verbose", host+"/hello:v1"))
	})
}

var listening = regexp.MustCompile(`127\.0\.0\.1:[0-9]+|\[::\]:[0-9]+|:[0-9]+`)

// TestExampleServicesAnswer starts hello for each platform and sends it one request. It does the same with clock for
// linux/amd64, or for all platforms with MULTIARCH_TEST_MATRIX=full.
func TestExampleServicesAnswer(t *testing.T) {
	skipShort(t)
	project := exampleProject(t)
	for _, r := range exampleRows(t) {
		t.Run(r.Slug(), func(t *testing.T) {
			if r.QEMU.Name != "" {
				tool(t, "qemu-"+r.QEMU.Name+"-static")
			}
			t.Parallel()
			assert.Equal(t, "Hello. I am a Go service running on "+r.String()+"\n",
				ask(t, project, "hello", r.Platform, "/"))
			if testmatrix.Full() || r.Architecture == "amd64" {
				assert.Contains(t, ask(t, project, "clock", r.Platform, "/?zone=Asia/Tokyo"), "+09:00")
			}
		})
	}
}

// TestEveryRowIsBuiltAndRuns builds a Go service for all Linux rows of the architecture table, verifies it, and sends a
// request to each image that this machine can run.
func TestEveryRowIsBuiltAndRuns(t *testing.T) {
	testmatrix.SkipUnlessFull(t, "compiles Go's standard library for every row")
	var rows []arch.Row
	var platforms []string
	for _, r := range arch.Table() {
		if r.OS == "linux" {
			rows, platforms = append(rows, r), append(platforms, r.String())
		}
	}
	s := services{t.TempDir(), t.TempDir()}
	for _, part := range []string{"app", "go.mod", "go.sum"} {
		command(t, "cp", "-r", filepath.Join("../..", part), s.dir)
	}
	s.write(t, "multiarch.yaml", "version: 1\nplatforms: ["+strings.Join(platforms, ", ")+"]\n"+
		"images: {hello: {go: {package: ./app/hello}, base: static, user: nonroot, ports: [8080]}}\n")
	file, dist := filepath.Join(s.dir, "multiarch.yaml"), filepath.Join(s.dir, "dist")
	command(t, "multiarch", "build", "-q", "-f", file)
	assert.Equal(t, platforms, layoutPlatforms(t, dist, "hello"))
	command(t, "multiarch", "verify", "oci:"+dist+":hello")
	for _, r := range rows {
		t.Run(r.Slug(), func(t *testing.T) {
			t.Parallel()
			switch {
			case r.Architecture == "amd64" && r.Variant == "v4" && !cpu.X86.HasAVX512F:
				t.Skip("neither qemu-user nor this machine has AVX-512")
			case r.QEMU.Name != "":
				tool(t, "qemu-"+r.QEMU.Name+"-static")
			}
			assert.Equal(t, "Hello. I am a Go service running on "+r.String()+"\n", ask(t, file, "hello", r.Platform, "/"))
		})
	}
}

// TestPythonServiceAnswers starts the Flask service and sends it one request: for linux/amd64 and the big-endian
// linux/s390x, or for all platforms with MULTIARCH_TEST_MATRIX=full.
func TestPythonServiceAnswers(t *testing.T) {
	skipShort(t)
	machines := map[string]string{
		"linux/amd64": "x86_64", "linux/arm64": "aarch64", "linux/arm/v7": "armv7l", "linux/arm/v5": "armv7l",
		"linux/ppc64le": "ppc64le", "linux/s390x": "s390x", "linux/riscv64": "riscv64",
		"linux/386": "x86_64", // it runs natively, and the kernel reports its own machine
	}
	for name, machine := range machines {
		if !testmatrix.Full() && name != "linux/amd64" && name != "linux/s390x" {
			continue
		}
		p, err := arch.Parse(name)
		require.NoError(t, err)
		t.Run(p.Slug(), func(t *testing.T) {
			if row, _ := arch.Find(p); row.QEMU.Name != "" {
				tool(t, "qemu-"+row.QEMU.Name+"-static")
			}
			t.Parallel()
			assert.Equal(t, "Hello ONAP. I am a Python service running on "+machine+"\n", ask(t, exampleFile, "py-app", p, "/"))
		})
	}
}

// TestLockFromTodaysMirror locks the Flask service with the machine's Debian mirror. Versions depend on the day; the
// architectures and the packages do not.
func TestLockFromTodaysMirror(t *testing.T) {
	skipShort(t)
	t.Parallel()
	copied := filepath.Join(t.TempDir(), "images")
	command(t, "cp", "-r", filepath.Dir(exampleProject(t)), copied)
	file := filepath.Join(copied, "multiarch.yaml")
	cmd := exec.Command("multiarch", "lock", "--update", "-f", file)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() == 5 {
		// A mirror may hold security archives with an invalid signature or an expired date.
		t.Logf("locking without security updates, which the mirror cannot provide: %s", out)
		yaml, readErr := os.ReadFile(file)
		require.NoError(t, readErr)
		suiteOnly := strings.Replace(string(yaml), "slim: true", "slim: true\n      security: false", 1)
		require.NotEqual(t, string(yaml), suiteOnly)
		require.NoError(t, os.WriteFile(file, []byte(suiteOnly), 0o644))
		cmd = exec.Command("multiarch", "lock", "--update", "-f", file)
		out, err = cmd.CombinedOutput()
	}
	if cmd.ProcessState.ExitCode() == 5 && os.Getenv("MULTIARCH_TEST_TOOLS") != "all" {
		t.Skipf("no usable Debian mirror: %s", out)
	}
	require.NoError(t, err, string(out))
	command(t, "multiarch", "lock", "--check", "-f", file)
	assert.Empty(t, command(t, "multiarch", "outdated", "-f", file))
	content, err := os.ReadFile(filepath.Join(copied, "multiarch.lock"))
	require.NoError(t, err)
	f, err := lock.Parse("multiarch.lock", content)
	require.NoError(t, err)
	of := f.Bases["python"].Debian.Architectures
	architectures := []string{"amd64", "arm64", "s390x"}
	if testmatrix.Full() {
		architectures = append(architectures, "armel", "armhf", "i386", "ppc64el", "riscv64")
	}
	assert.ElementsMatch(t, architectures, slices.Collect(maps.Keys(of)))
	for architecture, packages := range of {
		for _, name := range []string{"python3-flask", "python3-werkzeug", "libc6", "ca-certificates"} {
			assert.True(t, slices.ContainsFunc(packages, func(p lock.Package) bool { return p.Name == name }), "%s: %s",
				architecture, name)
		}
	}
}

// ask starts an image of a multiarch.yaml, sends it one request, stops it, and returns the response's body.
func ask(t *testing.T, file, image string, p arch.Platform, path string) string {
	t.Helper()
	cmd := exec.Command("multiarch", "run", "-q", "-f", file, image, "--platform", p.String(), "--env", "PORT=0")
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
	var output bytes.Buffer
	address := ""
	for deadline := time.After(5 * time.Minute); address == ""; {
		select {
		case line, open := <-lines:
			require.True(t, open, "the service ended: %s", output.String())
			fmt.Fprintln(&output, line)
			address = listening.FindString(line)
		case <-deadline:
			t.Fatalf("the service does not listen: %s", output.String())
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
		fmt.Fprintln(&output, line)
	}
	assert.NoError(t, cmd.Wait(), "the service did not shut down cleanly: %s", output.String())
	return string(body)
}
