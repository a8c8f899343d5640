package run_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/run"
)

// requestVariable is the environment variable with the request, if the test binary is started only to run one image as
// another user.
const requestVariable = "RUN_TEST_REQUEST"

func TestMain(m *testing.M) {
	// Not os.Exit, because the race detector sleeps for a second before it exits.
	if code, ok := run.Init(); ok {
		syscall.Exit(code)
	}
	if text := os.Getenv(requestVariable); text != "" {
		syscall.Exit(serveRequest([]byte(text)))
	}
	os.Exit(m.Run())
}

// request is a run.Options that can be passed to another process.
type request struct {
	Archive, Info         string // files: the image to read, and the output of Start
	Platform              arch.Platform
	Env, Args, Entrypoint []string
	Grace                 time.Duration
}

func serveRequest(text []byte) int {
	code, err := func() (int, error) {
		var r request
		if err := json.Unmarshal(text, &r); err != nil {
			return 0, err
		}
		img, err := tarball.ImageFromPath(r.Archive, nil)
		if err != nil {
			return 0, err
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		p, err := run.Start(ctx, run.Options{
			Image:      img,
			Platform:   r.Platform,
			Env:        r.Env,
			Args:       r.Args,
			Entrypoint: r.Entrypoint,
			Stdin:      os.Stdin,
			Stdout:     os.Stdout,
			Stderr:     os.Stderr,
			Grace:      r.Grace,
		})
		if err != nil {
			return 0, err
		}
		info, err := json.Marshal(p.Info)
		if err != nil {
			return 0, err
		}
		if err := os.WriteFile(r.Info, info, 0o600); err != nil {
			return 0, err
		}
		return p.Wait()
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		if h, ok := errors.AsType[interface {
			error
			Hint() string
		}](err); ok {
			fmt.Fprintln(os.Stderr, "hint:", h.Hint())
		}
		return 125
	}
	return code
}

// file is an entry of a layer. The default type is a regular file.
type file struct {
	tar.Header
	body []byte
}

func text(name string, mode int64, body string) file {
	return file{tar.Header{Name: name, Mode: mode}, []byte(body)}
}

func directory(name string, mode int64) file {
	return file{tar.Header{Name: name, Mode: mode, Typeflag: tar.TypeDir}, nil}
}

func link(kind byte, name, target string) file {
	return file{tar.Header{Name: name, Linkname: target, Mode: 0o777, Typeflag: kind}, nil}
}

func layer(t *testing.T, files ...file) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		f.Size = int64(len(f.body))
		if f.Typeflag == 0 {
			f.Typeflag = tar.TypeReg
		}
		require.NoError(t, w.WriteHeader(&f.Header))
		_, err := w.Write(f.body)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return static.NewLayer(b.Bytes(), types.OCIUncompressedLayer)
}

func image(t *testing.T, c v1.Config, layers ...v1.Layer) v1.Image {
	t.Helper()
	img, err := mutate.AppendLayers(empty.Image, layers...)
	require.NoError(t, err)
	img, err = mutate.Config(img, c)
	require.NoError(t, err)
	return img
}

// guestLayer returns a layer with /guest for the platform and the files that a base would have.
func guestLayer(t *testing.T, p arch.Platform) v1.Layer {
	t.Helper()
	return layer(t,
		directory("etc", 0o755),
		text("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\nnonroot:x:65532:65533:nonroot:/home/nonroot:/bin/sh\n"),
		text("etc/group", 0o644, "root:x:0:\nnonroot:x:65533:\nextra:x:70:nonroot\n"),
		directory("tmp", 0o1777),
		file{tar.Header{Name: "guest", Mode: 0o755}, guest(t, p)},
	)
}

var guests sync.Map // arch.Platform -> func() ([]byte, error); building takes a second

// guest returns testdata/guest, built for the platform.
func guest(t *testing.T, p arch.Platform) []byte {
	t.Helper()
	build, _ := guests.LoadOrStore(p, sync.OnceValues(func() ([]byte, error) {
		dir, err := os.MkdirTemp("", "guest")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		return compile(p, "./testdata/guest", filepath.Join(dir, "guest"))
	}))
	binary, err := build.(func() ([]byte, error))()
	require.NoError(t, err)
	return binary
}

func compile(p arch.Platform, source, target string, flags ...string) ([]byte, error) {
	row, ok := arch.Find(p)
	if !ok {
		return nil, fmt.Errorf("%s is no row", p)
	}
	args := append([]string{"build", "-ldflags=-s -w", "-o", target}, flags...)
	cmd := exec.Command("go", append(args, source)...)
	cmd.Env = append(os.Environ(), append(row.Go.Environ(), "CGO_ENABLED=0")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return os.ReadFile(target)
}

func platform(t *testing.T, name string) arch.Platform {
	t.Helper()
	p, err := arch.Parse(name)
	require.NoError(t, err)
	return p
}

// need skips the test if a program is missing, or fails it if all programs must be installed.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("MULTIARCH_TEST_TOOLS") == "all" {
			t.Fatalf("%s is missing", p)
		}
		t.Skipf("%s is missing", p)
	}
}

// emptyTemp sets TMPDIR to an empty directory and checks that it is empty after the test.
func emptyTemp(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "run-test") // not t.TempDir, which other users cannot enter
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() { require.NoError(t, os.Remove(dir), "something was left behind") })
}

// user is a user that runs images.
type user string

const (
	self    user = "self"    // in the test's own process
	nobody  user = "nobody"  // as an unprivileged user
	trapped user = "trapped" // without permission for user namespaces
)

func users(t *testing.T) []user {
	if os.Geteuid() != 0 {
		t.Log("not root: not trying other users")
		return []user{self}
	}
	return []user{self, nobody}
}

// result is the result of running an image.
type result struct {
	stdout, stderr string
	code           int
	info           run.Info
}

func (u user) run(t *testing.T, img v1.Image, r request) result {
	t.Helper()
	var out, errs bytes.Buffer
	var res result
	if u == self {
		p, err := run.Start(t.Context(), run.Options{Image: img, Platform: r.Platform, Env: r.Env, Args: r.Args,
			Entrypoint: r.Entrypoint, Stdout: &out, Stderr: &errs, Grace: r.Grace})
		require.NoError(t, err)
		res.code, err = p.Wait()
		require.NoError(t, err)
		res.info = p.Info
	} else {
		cmd, infoFile := u.command(t, img, r)
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); cmd.ProcessState == nil {
			require.NoError(t, err)
		}
		res.code = cmd.ProcessState.ExitCode()
		if info, err := os.ReadFile(infoFile); err == nil {
			require.NoError(t, json.Unmarshal(info, &res.info))
		}
	}
	res.stdout, res.stderr = out.String(), errs.String()
	return res
}

// command returns a command that runs the image as u with this test binary. It may be killed, because its temporary
// files are in a directory of the test.
func (u user) command(t *testing.T, img v1.Image, r request) (cmd *exec.Cmd, infoFile string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "run-as")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	temp := filepath.Join(dir, "tmp")
	require.NoError(t, os.Mkdir(temp, 0o700))

	r.Archive, r.Info = filepath.Join(dir, "image.tar"), filepath.Join(temp, "info")
	require.NoError(t, tarball.WriteToFile(r.Archive, nil, img))
	own, err := os.Executable()
	require.NoError(t, err)
	program := filepath.Join(dir, "run.test")
	if os.Link(own, program) != nil { // in a directory that other users can read
		binary, err := os.ReadFile(own)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(program, binary, 0o755))
	}
	text, err := json.Marshal(r)
	require.NoError(t, err)

	cmd = exec.Command(program)
	switch u {
	case nobody:
		require.NoError(t, os.Chown(temp, 65534, 65534))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	case trapped:
		need(t, "unshare", "setpriv")
		cmd = exec.Command("unshare", "--map-root-user", "sh", "-c",
			`echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --bounding-set -all --inh-caps -all "$@"`, "sh", program)
	}
	cmd.Env = append(os.Environ(), requestVariable+"="+string(text), "TMPDIR="+temp)
	cmd.WaitDelay = 5 * time.Minute
	t.Cleanup(func() {
		entries, err := os.ReadDir(temp)
		require.NoError(t, err)
		for _, e := range entries {
			if e.Name() != "info" && !t.Failed() && !strings.Contains(t.Name(), "Killed") {
				t.Errorf("left behind: %s", e.Name())
			}
		}
	})
	return cmd, r.Info
}
