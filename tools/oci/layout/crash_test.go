//go:build linux

package layout_test

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	ggcrlayout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/content/contenttest"
	"github.com/multiarch-build/multiarch/tools/oci/layout"
)

// asChild is the environment variable with the directory to which a child process of the test writes layouts.
const asChild = "LAYOUT_TEST_DIR"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) == "" {
		os.Exit(m.Run())
	}
	// The child runs as a test, so that it can use the fixtures.
	os.Args = append(os.Args[:1], "-test.run=^TestChild$", "-test.count=1")
	os.Exit(m.Run())
}

// TestChild writes layouts in the child process, and prints when it starts.
func TestChild(t *testing.T) {
	dir := os.Getenv(asChild)
	if dir == "" {
		t.Skip("runs in the processes that other tests start")
	}
	if limit := os.Getenv(asChild + "_FILE_SIZE"); limit != "" {
		n, err := strconv.ParseUint(limit, 10, 64)
		require.NoError(t, err)
		signal.Ignore(syscall.SIGXFSZ) // so that a write fails as on a full disk
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: n}))
	}
	rounds, err := strconv.Atoi(os.Getenv(asChild + "_ROUNDS"))
	require.NoError(t, err)
	versions := make([][]content.Image, 3)
	for i := range versions {
		base := contenttest.NewLayer(t, fmt.Sprint("base", i), 300_000)
		versions[i] = []content.Image{
			contenttest.Service(t, "hello", []v1.Layer{base}, contenttest.AMD64, contenttest.ARM64),
			contenttest.Service(t, fmt.Sprint("only", i), []v1.Layer{base}, contenttest.AMD64),
		}
	}
	fmt.Println("begins")
	for i := range rounds {
		if err := layout.Write(t.Context(), dir, versions[i%len(versions)], nil); err != nil {
			fmt.Println("failed:", err)
			return
		}
	}
}

// child is a process that writes layouts to dir.
func childProcess(dir string, rounds int, environ ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), append(environ, asChild+"="+dir, fmt.Sprintf("%s_ROUNDS=%d", asChild, rounds))...)
	return cmd
}

func TestWriteSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	first := contenttest.Service(t, "hello", []v1.Layer{contenttest.NewLayer(t, "first", 1000)}, contenttest.AMD64)
	require.NoError(t, layout.Write(t.Context(), dir, []content.Image{first}, nil))
	leftovers := 0
	for range 25 {
		cmd := childProcess(dir, 1_000_000)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		_, err = bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
		time.Sleep(rand.N(15 * time.Millisecond))
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()

		root, err := ggcrlayout.ImageIndexFromPath(dir)
		require.NoError(t, err)
		require.NoError(t, validate.Index(root), "after kill -9")
		stale, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", ".multiarch-tmp-*"))
		require.NoError(t, err)
		leftovers += len(stale)
	}
	t.Logf("%d unfinished files were left by 25 killed processes", leftovers)
	require.NoError(t, layout.Write(t.Context(), dir, []content.Image{first}, nil))
	contenttest.RequireLayout(t, dir, "hello")
	stale, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", ".multiarch-tmp-*"))
	require.NoError(t, err)
	assert.Empty(t, stale)
}

func TestWriteToAFullDisk(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t,
		layout.Write(t.Context(), dir, []content.Image{contenttest.Service(t, "hello", nil, contenttest.AMD64)}, nil))
	before := stateOf(t, dir)
	out, err := childProcess(dir, 1, asChild+"_FILE_SIZE=100000").CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Contains(t, string(out), "failed: writing the OCI layout "+dir)
	assert.Contains(t, string(out), "hello, linux/amd64: layer 1")
	assert.Contains(t, string(out), "file too large")

	require.NoError(t, layout.Write(t.Context(), dir, nil, []string{"hello"}))
	assert.Equal(t, before, stateOf(t, dir))
}

func TestWriteToAReadOnlyDirectory(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t,
		layout.Write(t.Context(), dir, []content.Image{contenttest.Service(t, "hello", nil, contenttest.AMD64)}, nil))
	before := stateOf(t, dir)
	blobs := filepath.Join(dir, "blobs", "sha256")
	for _, d := range []string{blobs, dir} {
		require.NoError(t, os.Chmod(d, 0o555))
		t.Cleanup(func() { assert.NoError(t, os.Chmod(d, 0o755)) })
		var out bytes.Buffer
		cmd := childProcess(dir, 1)
		cmd.Stdout, cmd.Stderr = &out, &out
		require.NoError(t, startWithoutOverride(cmd))
		require.NoError(t, cmd.Wait(), out.String())
		assert.Contains(t, out.String(), "failed: writing the OCI layout "+dir)
		assert.Contains(t, out.String(), "permission denied")
	}
	assert.Equal(t, before, stateOf(t, dir))

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	err := layout.Write(t.Context(), filepath.Join(file, "dist"), nil, nil)
	require.ErrorIs(t, err, syscall.ENOTDIR)
	assert.Contains(t, err.Error(), file)
}

// startWithoutOverride starts cmd without the capability to override file permissions, even if the test runs as root.
// It drops the capability in the thread that forks the process, and ends that thread.
func startWithoutOverride(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		if os.Getuid() == 0 {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_DAC_OVERRIDE, 0, 0, 0); err != nil {
				started <- err
				return
			}
		}
		started <- cmd.Start()
	}()
	return <-started
}
