package run_test

import (
	"archive/tar"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/run"
)

func TestImagesThatCannotRun(t *testing.T) {
	emptyTemp(t)
	p := platform(t, "linux/amd64")
	pie := filepath.Join(t.TempDir(), "pie")
	dynamic, err := compile(p, "./testdata/dynamic", pie, "-buildmode=pie")
	require.NoError(t, err)
	base := guestLayer(t, p)
	files := layer(t,
		text("data", 0o644, "no program"),
		text("garbage", 0o755, "no program"),
		text("empty", 0o755, ""),
		text("elfish", 0o755, "\x7fELF and then nothing"),
		text("script", 0o755, "#!/bin/nosuch -x\nbody"),
		text("crlf", 0o755, "#!/guest\r\nbody"),
		text("blank", 0o755, "#! \n"),
		text("loop", 0o755, "#!/loop"),
		directory("directory", 0o755),
		link(tar.TypeSymlink, "dangling", "/nowhere"),
		link(tar.TypeSymlink, "circle", "circle"),
		file{tar.Header{Name: "dynamic", Mode: 0o755}, dynamic},
		file{tar.Header{Name: "other", Mode: 0o755}, guest(t, platform(t, "linux/arm64"))},
	)
	for _, c := range []struct {
		entrypoint []string
		config     v1.Config
		want, hint string
	}{
		{nil, v1.Config{}, "neither an entrypoint nor a cmd", "-- COMMAND"},
		{[]string{""}, v1.Config{}, "neither an entrypoint nor a cmd", "-- COMMAND"},
		{[]string{"/nosuch"}, v1.Config{}, `"/nosuch" is not a file in the image`, ""},
		{[]string{"./nosuch"}, v1.Config{WorkingDir: "/tmp"}, `"/tmp/nosuch" is not a file in the image`, ""},
		{
			[]string{"nosuch"},
			v1.Config{Env: []string{"PATH=/usr/bin:relative"}},
			`"nosuch" not found in the image's PATH (/usr/bin:relative)`, "",
		},
		{[]string{"/data"}, v1.Config{}, `"/data" is not executable`, "0755"},
		{[]string{"/directory"}, v1.Config{}, `"/directory" is not a file in the image`, ""},
		{[]string{"/dangling"}, v1.Config{}, `"/dangling" is not a file in the image`, ""},
		{[]string{"/circle"}, v1.Config{}, `"/circle" is not a file in the image`, ""},
		{[]string{"/garbage"}, v1.Config{}, "/garbage is neither an ELF file nor a script with #!", ""},
		{[]string{"/empty"}, v1.Config{}, "/empty is neither an ELF file nor a script with #!", ""},
		{[]string{"/elfish"}, v1.Config{}, "invalid ELF file", ""},
		{[]string{"/script"}, v1.Config{}, `the interpreter of /script: "/bin/nosuch" is not a file in the image`, ""},
		{[]string{"/crlf"}, v1.Config{}, `the interpreter of /crlf: "/guest\r" is not a file in the image`, ""},
		{[]string{"/blank"}, v1.Config{}, "/blank: no interpreter after #!", ""},
		{[]string{"/loop"}, v1.Config{}, "/loop: too many nested script interpreters", ""},
		{
			[]string{"/dynamic"},
			v1.Config{},
			"/dynamic needs the dynamic loader /lib64/ld-linux-x86-64.so.2, which is not in the image", "CGO_ENABLED=0",
		},
		{
			[]string{"/other"},
			v1.Config{},
			"/other is ELF 64-bit little-endian machine 0xb7 (linux/arm64), but the platform is linux/amd64", "",
		},
		{[]string{"/guest", "exit", "0"}, v1.Config{StopSignal: "SIGNONE"}, `invalid stop signal "SIGNONE" in the image`, ""},
	} {
		c.config.Entrypoint = c.entrypoint
		_, err := run.Run(t.Context(), run.Options{Image: image(t, c.config, base, files), Platform: p})
		var perr *run.ProgramError
		require.ErrorAs(t, err, &perr, c.want)
		assert.Contains(t, perr.Error(), c.want)
		assert.Contains(t, perr.Hint(), c.hint)
	}

	_, err = run.Run(t.Context(), run.Options{Image: broken{image(t, v1.Config{}, base)}, Platform: p})
	assert.ErrorContains(t, err, "reading the image's layers: no layers today")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = run.Run(ctx, run.Options{
		Image:    image(t, v1.Config{Entrypoint: []string{"/guest", "exit", "0"}}, base),
		Platform: p,
	})
	assert.ErrorIs(t, err, context.Canceled)
}

type broken struct{ v1.Image }

func (broken) Layers() ([]v1.Layer, error) { return nil, errors.New("no layers today") }

func TestMachinesThatCannotRun(t *testing.T) {
	emptyTemp(t)
	img := image(t, v1.Config{Entrypoint: []string{"/guest"}}, guestLayer(t, platform(t, "linux/amd64")))
	t.Setenv("PATH", t.TempDir())
	for _, row := range arch.Table() {
		_, err := run.Run(t.Context(), run.Options{Image: img, Platform: row.Platform, Args: []string{"exit", "0"}})
		switch {
		case row.OS == "windows":
			var perr *run.PlatformError
			require.ErrorAs(t, err, &perr)
			assert.Contains(t, perr.Error(), row.String()+" images cannot run on linux")
			assert.Contains(t, perr.Hint(), "on Windows")
		case row.Go.Arch == "amd64" || row.Go.Arch == "386":
		default:
			var eerr *run.EmulatorError
			require.ErrorAs(t, err, &eerr)
			assert.Contains(t, eerr.Error(), "qemu-"+row.QEMU.Name+"-static")
			assert.Contains(t, eerr.Hint(), "qemu-user-static")
			assert.Contains(t, eerr.Hint(), "qemu-user")
		}
	}
	_, err := run.Run(t.Context(), run.Options{Image: img, Platform: arch.Platform{OS: "linux", Architecture: "vax"}})
	var perr *run.PlatformError
	require.ErrorAs(t, err, &perr)

	require.NoError(t, os.WriteFile(filepath.Join(os.Getenv("PATH"), "qemu-aarch64"), []byte("#!/bin/sh\n"), 0o755))
	_, err = run.Run(t.Context(), run.Options{Image: img, Platform: platform(t, "linux/arm64")})
	var eerr *run.EmulatorError
	require.ErrorAs(t, err, &eerr, "a script around an emulator is no emulator")
}
