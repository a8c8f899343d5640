package run_test

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/run"
)

// report is what the guest reports about its process.
type report struct {
	Arch, Dir, Host, Caps string
	Args, Env, Files      []string
	UID, GID, PID         int
	Groups                []int
	Null, Temp            bool
}

func (r result) report(t *testing.T) (got report) {
	t.Helper()
	require.Equal(t, 0, r.code, r.stderr)
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &got), r.stdout)
	return got
}

func TestWhatAProgramSees(t *testing.T) {
	emptyTemp(t)
	marker := filepath.Join(os.TempDir(), "marker")
	require.NoError(t, os.WriteFile(marker, nil, 0o644))
	defer os.Remove(marker)
	for _, p := range arch.Table() {
		switch p.String() {
		case "linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x", "linux/386":
		default:
			continue
		}
		t.Run(p.Slug(), func(t *testing.T) {
			if p.Go.Arch != "amd64" {
				need(t, "qemu-"+p.QEMU.Name+"-static")
			}
			img := image(t, v1.Config{
				Entrypoint: []string{"guest"},
				Cmd:        []string{"exit", "1"},
				Env:        []string{"PATH=/usr/bin:/", "A=image", "B=image"},
				User:       "nonroot",
				WorkingDir: "/work/here",
			}, guestLayer(t, p.Platform))
			for _, u := range users(t) {
				t.Run(string(u), func(t *testing.T) {
					res := u.run(t, img, request{
						Platform: p.Platform,
						Env:      []string{"B=option", "C=", "WRITE=/tmp/written"},
						Args:     []string{"report", "two words"},
					})
					got := res.report(t)
					assert.Equal(t, p.Go.Arch, got.Arch)
					assert.Equal(t, []string{"guest", "report", "two words"}, got.Args)
					assert.Subset(t, got.Env, []string{"PATH=/usr/bin:/", "HOME=/home/nonroot", "A=image", "B=option", "C="})
					for _, kv := range got.Env {
						assert.Contains(t, "PATH HOME A B C WRITE QEMU_CPU", strings.Split(kv, "=")[0],
							"nothing of the environment outside")
					}
					assert.Equal(t, "/work/here", got.Dir)
					assert.Equal(t, []int{65532, 65533}, []int{got.UID, got.GID})
					if u == self && os.Geteuid() == 0 {
						assert.Equal(t, []int{70}, got.Groups)
					}
					assert.Equal(t, []string{"dev", "etc", "guest", "proc", "tmp", "work"}, got.Files)
					assert.Equal(t, "multiarch", got.Host)
					assert.Equal(t, "0000000000000000", got.Caps)
					assert.True(t, got.Null, "/dev/null can be read")
					assert.True(t, got.Temp, "/tmp can be written")
					assert.Less(t, got.PID, 100, "a process namespace of its own")
					assert.NoFileExists(t, "/tmp/written")

					assert.True(t, res.info.Private)
					assert.Empty(t, res.info.Notes)
					if p.Go.Arch == "amd64" || p.Go.Arch == "386" {
						assert.Equal(t, run.Info{Mode: run.Native, Private: true}, res.info)
					} else {
						assert.Equal(t, run.Emulated, res.info.Mode)
						assert.Contains(t, res.info.Emulator, "qemu-"+p.QEMU.Name)
					}

					res = u.run(t, img, request{Platform: p.Platform, Entrypoint: []string{"/guest", "tree", marker}})
					assert.Equal(t, 99, res.code)
					assert.Contains(t, res.stderr, "no such file")
				})
			}
		})
	}
}

func TestUsers(t *testing.T) {
	p := platform(t, "linux/amd64")
	for spec, want := range map[string][]int{
		"":              {0, 0},
		"root":          {0, 0},
		"nonroot":       {65532, 65533},
		"65532":         {65532, 65533},
		"1234":          {1234, 0},
		"1234:5":        {1234, 5},
		"nonroot:extra": {65532, 70},
	} {
		img := image(t, v1.Config{Entrypoint: []string{"/guest", "report"}, User: spec}, guestLayer(t, p))
		for _, u := range users(t) {
			t.Run(spec+" by "+string(u), func(t *testing.T) {
				got := u.run(t, img, request{Platform: p}).report(t)
				assert.Equal(t, want, []int{got.UID, got.GID})
				if want[0] != 0 {
					assert.Equal(t, "0000000000000000", got.Caps)
				} else {
					assert.NotContains(t, got.Caps, "1ff", "not all capabilities")
				}
			})
		}
	}
	_, err := run.Run(t.Context(), run.Options{Platform: p,
		Image: image(t, v1.Config{Entrypoint: []string{"/guest"}, User: "nosuchuser"}, guestLayer(t, p))})
	assert.ErrorContains(t, err, `user "nosuchuser"`)
}

func TestExitCodes(t *testing.T) {
	emptyTemp(t)
	need(t, "qemu-aarch64-static")
	for _, name := range []string{"linux/amd64", "linux/arm64"} {
		p := platform(t, name)
		img := image(t, v1.Config{Entrypoint: []string{"/guest"}}, guestLayer(t, p))
		for _, u := range users(t) {
			for code, args := range map[int][]string{0: {"exit", "0"}, 1: {"exit", "1"}, 255: {"exit", "255"}, 137: {"die"}} {
				t.Run(fmt.Sprint(p.Slug(), " ", u, " ", code), func(t *testing.T) {
					assert.Equal(t, code, u.run(t, img, request{Platform: p, Args: args}).code)
				})
			}
		}
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	emptyTemp(t)
	p := platform(t, "linux/amd64")
	img := image(t, v1.Config{Entrypoint: []string{"/guest", "litter"}}, guestLayer(t, p),
		layer(t, directory("no/entry", 0), directory("no", 0)))
	for _, u := range users(t) {
		res := u.run(t, img, request{Platform: p})
		assert.Equal(t, 0, res.code, res.stderr)
		assert.Empty(t, res.stderr)
	}
}

func TestScriptsAndNestedPrograms(t *testing.T) {
	for _, name := range []string{"linux/amd64", "linux/arm64", "linux/s390x", "linux/arm/v7"} {
		p := platform(t, name)
		row, _ := arch.Find(p)
		need(t, "qemu-"+row.QEMU.Name+"-static")
		img := image(t, v1.Config{Entrypoint: []string{"/bin/script", "more"}}, guestLayer(t, p), layer(t,
			text("bin/script", 0o755, "#! /bin/outer  one argument\n"),
			text("bin/outer", 0o755, "#!/lib/interpreter\treport\nbody"),
			link(tar.TypeSymlink, "lib", "/usr/lib"),
			link(tar.TypeSymlink, "usr/lib/interpreter", "../../guest"),
		))
		for _, u := range users(t) {
			t.Run(p.Slug()+" "+string(u), func(t *testing.T) {
				got := u.run(t, img, request{Platform: p}).report(t)
				assert.Equal(t, []string{"/lib/interpreter", "report", "/bin/outer", "one argument", "/bin/script", "more"},
					got.Args)

				if !emulatesNested() {
					t.Skip("the kernel has one binfmt_misc for all namespaces")
				}
				got = u.run(t, img, request{Platform: p, Entrypoint: []string{"/guest", "exec", "/bin/script"}}).report(t)
				assert.Equal(t, row.Go.Arch, got.Arch)
				assert.Equal(t, "/bin/script", got.Args[len(got.Args)-1])
			})
		}
	}
}

// emulatesNested reports whether the kernel supports a binfmt_misc per user namespace.
func emulatesNested() bool {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return false
	}
	list, err := os.ReadFile("/proc/filesystems")
	if err != nil || !strings.Contains(string(list), "binfmt_misc") {
		return false
	}
	var major, minor int
	_, err = fmt.Sscanf(string(release), "%d.%d", &major, &minor)
	return err == nil && (major > 6 || major == 6 && minor >= 7)
}
