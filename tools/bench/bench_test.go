package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		costs []cost
		want  time.Duration
	}{
		{nil, 0},
		{walls(7), 7},
		{walls(9, 1), 5},
		{walls(30, 10, 20), 20},
		{walls(4, 1, 3, 2), 2},
		{walls(1, 1000, 2, 3, 1), 2},
	} {
		got := of(c.costs, func(c cost) time.Duration { return c.wall })
		assert.Equal(t, c.want, got.median(), "%v", got)
	}
}

func walls(all ...time.Duration) []cost {
	var costs []cost
	for _, d := range all {
		costs = append(costs, cost{wall: d})
	}
	return costs
}

func TestUnitsSuitTheMedian(t *testing.T) {
	assert.Equal(t, "", series[time.Duration]{}.durations())
	assert.Equal(t, "31.4 ms (8.00..1200)", series[time.Duration]{
		8 * time.Millisecond, 31415 * time.Microsecond, 1200 * time.Millisecond,
	}.durations())
	assert.Equal(t, "1.20 s (0.90..12.5)", series[time.Duration]{
		900 * time.Millisecond, 1200 * time.Millisecond, 12500 * time.Millisecond,
	}.durations())
	assert.Equal(t, "34.0 MB (33.0..150)", series[int64]{33e6, 34e6, 150e6}.megabytes())
	assert.Equal(t, "unknown", series[int64]{0, 0}.megabytes())
}

func TestTable(t *testing.T) {
	results := table{header: []string{"scenario", "us", "bare", "ko", "cached", "ko / us", "cached / us", "us / bare"}}
	one := func(wall, cpu time.Duration, megabytes int64) []cost { return []cost{{wall, cpu, megabytes * 1e6}} }
	results.scenario("nothing changed", [][]cost{
		one(20*time.Millisecond, 30*time.Millisecond, 20),
		one(400*time.Millisecond, time.Second, 30),
		one(8*time.Second, 12*time.Second, 500),
		one(4*time.Second, 6*time.Second, 400),
	})
	want, err := os.ReadFile("testdata/table.md")
	require.NoError(t, err)
	assert.Equal(t, string(want), results.String())
}

func TestRatio(t *testing.T) {
	assert.Equal(t, "2.46", ratio(246*time.Millisecond, 100*time.Millisecond))
	assert.Equal(t, "0.07", ratio(7*time.Millisecond, 100*time.Millisecond))
	assert.Empty(t, ratio(time.Second, 0))
}

func TestFlags(t *testing.T) {
	s, err := parse([]string{"-services", "2", "-platforms", "linux/amd64, linux/arm/v7", "-scale", "30x4"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, settings{services: 2, platforms: []string{"linux/amd64", "linux/arm/v7"}, rounds: 5, ko: "v0.19.1",
		mirror: "http://deb.debian.org/debian", scale: &size{30, 4}}, s)
	for args, want := range map[string]string{
		"-services 0":                        "-services 0",
		"-rounds -1":                         "-rounds -1",
		"-rounds many":                       "many",
		"-ko latest":                         "-ko",
		"-platforms linux/386,linux/386":     "duplicate platform linux/386",
		"-scale 1000":                        "-scale",
		"-scale 0x10":                        "-scale",
		"-scale 10x10x10":                    "-scale",
		"-nonsense":                          "-nonsense",
		"./tools":                            `"./tools"`,
		"-services 2 -platforms linux/386 x": `"x"`,
	} {
		_, err := parse(strings.Fields(args), io.Discard)
		var usage *usageError
		require.ErrorAs(t, err, &usage, args)
		assert.ErrorContains(t, err, want, args)
	}
}

// TestServicesAreValidGo runs go vet on the generated services.
func TestServicesAreValidGo(t *testing.T) {
	one, err := newTree(t.TempDir(), 3, []platform{{Name: "linux/arm64"}, {Name: "linux/s390x"}})
	require.NoError(t, err)
	require.NoError(t, one.edit(1, "second"))
	vet := exec.Command("go", append([]string{"vet"}, one.packages()...)...)
	vet.Dir = one.dir
	vet.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, err := vet.CombinedOutput()
	require.NoError(t, err, "%s", out)
	unformatted, err := exec.Command("gofmt", "-l", one.dir).CombinedOutput()
	require.NoError(t, err, "%s", unformatted)
	assert.Empty(t, string(unformatted))
	yaml, err := os.ReadFile(one.file())
	require.NoError(t, err)
	assert.Equal(t, "version: 1\nplatforms:\n  - linux/arm64\n  - linux/s390x\nimages:\n"+
		"  svc1:\n    go: {package: ./svc1, ldflags: [-s, -w]}\n    base: static\n"+
		"  svc2:\n    go: {package: ./svc2, ldflags: [-s, -w]}\n    base: static\n"+
		"  svc3:\n    go: {package: ./svc3, ldflags: [-s, -w]}\n    base: static\n", string(yaml))
}

func TestBaseIsServed(t *testing.T) {
	reference, stop, err := serveBase([]platform{{Name: "linux/arm64"}, {Name: "linux/arm/v7"}})
	require.NoError(t, err)
	defer stop()
	ref, err := name.ParseReference(reference)
	require.NoError(t, err)
	index, err := remote.Index(ref)
	require.NoError(t, err)
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, manifest.Manifests, 2)
	for i, want := range []string{"linux/arm64", "linux/arm/v7"} {
		image, err := index.Image(manifest.Manifests[i].Digest)
		require.NoError(t, err)
		config, err := image.ConfigFile()
		require.NoError(t, err)
		assert.Equal(t, want, config.Platform().String())
		assert.Equal(t, want, manifest.Manifests[i].Platform.String())
	}
}

func TestMeasure(t *testing.T) {
	w, err := openWorkDir(io.Discard)
	require.NoError(t, err)
	// The go command is the one program that is there on every machine.
	c, err := w.measure(t.Context(), []command{
		{args: []string{"go", "list", "std"}},
		{args: []string{"go", "list", "cmd"}},
	})
	require.NoError(t, err)
	assert.Positive(t, c.wall)
	assert.Positive(t, c.cpu)
	if memory := watch(os.Getpid())(); memory > 0 {
		assert.Greater(t, c.peak, int64(1<<20))
	}
	_, err = w.measure(t.Context(), []command{{args: []string{"go", "nonsense"}}})
	assert.ErrorContains(t, err, "running go nonsense: exit status 2\ngo nonsense: unknown command")
	_, err = w.measure(t.Context(), []command{{args: []string{filepath.Join(w.dir, "nowhere")}}})
	assert.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, w.close())
	assert.NoDirExists(t, w.dir)
}
