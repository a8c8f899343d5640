package run_test

import (
	"bytes"
	"context"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/run"
)

// TestWithoutNamespaces runs images as if the kernel did not allow namespaces, so that only qemu's -L remains.
func TestWithoutNamespaces(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("takes root to take rights away")
	}
	for _, name := range []string{"linux/amd64", "linux/arm64"} {
		t.Run(name, func(t *testing.T) {
			p := platform(t, name)
			row, _ := arch.Find(p)
			need(t, "qemu-"+row.QEMU.Name+"-static")
			img := image(t, v1.Config{Entrypoint: []string{"/bin/script"}, User: "nonroot", WorkingDir: "/work"},
				guestLayer(t, p),
				layer(t, text("bin/script", 0o755, "#!/guest report\n")))
			res := trapped.run(t, img, request{Platform: p, Env: []string{"A=b"}})
			got := res.report(t)
			assert.Equal(t, row.Go.Arch, got.Arch)
			assert.Equal(t, []string{"/guest", "report", "/bin/script"}, got.Args)
			assert.Contains(t, got.Env, "A=b")
			assert.Equal(t, "work", filepath.Base(got.Dir))
			assert.Equal(t, run.Emulated, res.info.Mode)
			assert.False(t, res.info.Private)
			require.Len(t, res.info.Notes, 2)
			assert.Contains(t, res.info.Notes[0], "is not isolated")
			assert.Contains(t, res.info.Notes[1], "nonroot is ignored")

			assert.Equal(t, 5, trapped.run(t, img, request{Platform: p, Entrypoint: []string{"/guest", "exit", "5"}}).code)
		})
	}
	t.Run("no emulator either", func(t *testing.T) {
		p := platform(t, "linux/amd64/v4") // qemu-user does not support v4
		if !nativeV4(t) {
			p = platform(t, "linux/amd64")
		}
		img := image(t, v1.Config{Entrypoint: []string{"/guest", "report"}}, guestLayer(t, p))
		cmd, _ := trapped.command(t, img, request{Platform: p})
		if p.Variant == "" {
			cmd.Env = append(cmd.Env, "PATH="+pathWith(t, "unshare", "setpriv", "sh"))
		}
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		assert.Contains(t, string(out), "error: isolating the image: not allowed on this machine")
		assert.Contains(t, string(out), "hint: run as root, or allow user namespaces")
	})
}

// nativeV4 reports whether this machine can run amd64/v4 itself. The error is different then.
func nativeV4(t *testing.T) bool {
	p := platform(t, "linux/amd64/v4")
	_, err := run.Run(t.Context(), run.Options{
		Image:    image(t, v1.Config{Entrypoint: []string{"/guest", "report"}}, guestLayer(t, p)),
		Platform: p,
	})
	return err == nil
}

// pathWith returns a PATH that contains only the given programs.
func pathWith(t *testing.T, programs ...string) string {
	dir := t.TempDir()
	for _, name := range programs {
		program, err := exec.LookPath(name)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(program, filepath.Join(dir, name)))
	}
	return dir
}

// TestRootWithoutUserNamespaces covers containers and machines on which no user may create user namespaces.
func TestRootWithoutUserNamespaces(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("takes root")
	}
	need(t, "qemu-arm-static")
	p := platform(t, "linux/arm/v7")
	for spec, uid := range map[string]int{"": 0, "nonroot": 65532} {
		img := image(t, v1.Config{Entrypoint: []string{"/guest", "report"}, User: spec}, guestLayer(t, p))
		cmd, _ := self.command(t, img, request{Platform: p})
		cmd.Path, cmd.Args = "/bin/sh", []string{
			"sh", "-c", `echo 0 >/proc/sys/user/max_user_namespaces && exec "$0"`, cmd.Path,
		}
		// All IDs are mapped, as they are outside any namespace.
		wholeRange := int64(math.MaxUint32)
		all := []syscall.SysProcIDMap{{Size: int(wholeRange)}}
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:                 syscall.CLONE_NEWUSER,
			UidMappings:                all,
			GidMappings:                all,
			GidMappingsEnableSetgroups: true,
		}
		var res result
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		_ = cmd.Run()
		res.stdout, res.stderr, res.code = out.String(), errs.String(), cmd.ProcessState.ExitCode()
		got := res.report(t)
		assert.Equal(t, uid, got.UID)
		assert.Equal(t, "multiarch", got.Host)
		assert.Equal(t, []string{"dev", "etc", "guest", "proc", "tmp"}, got.Files)
	}
}

// TestDynamicEmulator uses an emulator that would not find its libraries in another root.
func TestDynamicEmulator(t *testing.T) {
	emptyTemp(t)
	need(t, "qemu-aarch64-static")
	real, err := exec.LookPath("qemu-aarch64-static")
	require.NoError(t, err)
	dir := t.TempDir()
	_, err = compile(platform(t, "linux/amd64"), "./testdata/dynamic", filepath.Join(dir, "qemu-aarch64"),
		"-buildmode=pie", "-ldflags=-X main.emulator="+real)
	require.NoError(t, err)
	p := platform(t, "linux/arm64")
	img := image(t, v1.Config{Entrypoint: []string{"guest", "report"}, Env: []string{"PATH=/nowhere:/"}}, guestLayer(t, p))

	path := os.Getenv("PATH")
	t.Setenv("PATH", dir)
	res := self.run(t, img, request{Platform: p})
	got := res.report(t)
	assert.Equal(t, "arm64", got.Arch)
	assert.Equal(t, []string{"guest", "report"}, got.Args)
	assert.Equal(t, filepath.Join(dir, "qemu-aarch64"), res.info.Emulator)
	assert.False(t, res.info.Private)
	require.Len(t, res.info.Notes, 2)
	assert.Contains(t, res.info.Notes[1], "qemu-user-static")

	t.Setenv("PATH", dir+":"+path)
	res = self.run(t, img, request{Platform: p})
	assert.Equal(t, real, res.info.Emulator, "a static one is preferred")
	assert.True(t, res.info.Private)

	// A program that ignores the signal is killed here too.
	t.Setenv("PATH", dir)
	ctx, cancel := context.WithCancel(t.Context())
	r, w, err := os.Pipe()
	require.NoError(t, err)
	process, err := run.Start(ctx, run.Options{
		Image:      img,
		Platform:   p,
		Entrypoint: []string{"/guest", "stubborn", "", "child"},
		Stdout:     w,
		Grace:      50 * time.Millisecond,
	})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	_, err = r.Read(make([]byte, 1))
	require.NoError(t, err)
	cancel()
	code, err := process.Wait()
	require.NoError(t, err)
	assert.Equal(t, 137, code)
	endsSoon(t, r)
}
