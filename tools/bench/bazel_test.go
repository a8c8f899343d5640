package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadActions(t *testing.T) {
	// Two objects of Bazel 7, reduced to the fields that are read.
	const log = `{
  "commandArgs": ["assemble"],
  "mnemonic": "MultiarchImage",
  "actualOutputs": [
    {"path": "a", "digest": {"hash": "x", "sizeBytes": "569"}},
    {"path": "b", "digest": {"sizeBytes": "31"}}
  ],
  "metrics": {"totalTime": "0.012s"}
}{
  "mnemonic": "MultiarchImage",
  "actualOutputs": [{"path": "empty", "digest": {}}],
  "metrics": {"totalTime": "1.5s"}
}{"mnemonic": "Genrule"}`
	all, err := readActions(strings.NewReader(log))
	require.NoError(t, err)
	assert.Equal(t, 1512*time.Millisecond, all.time("MultiarchImage"))
	assert.Equal(t, []string{"a", "b"}, all["MultiarchImage"][0].outputs)
	assert.Zero(t, all.time("Genrule"))

	for _, broken := range []string{
		`{`, `[]`, `{"metrics": {"totalTime": "soon"}}`, `{"actualOutputs": [{"path": 1}]}`,
	} {
		_, err := readActions(strings.NewReader(broken))
		assert.ErrorContains(t, err, "reading the execution log", broken)
	}
}

// TestBytesLeavesOutLinks counts what a layout takes on disk: neither rules_oci's symbolic links nor our hard links.
func TestBytesLeavesOutLinks(t *testing.T) {
	root := t.TempDir()
	write := func(name string, size int) {
		require.NoError(t, os.WriteFile(filepath.Join(root, name), make([]byte, size), 0o644))
	}
	write("layer", 1000)
	write("same-size", 1000)
	write("index", 30)
	require.NoError(t, os.Symlink("layer", filepath.Join(root, "symbolic")))
	require.NoError(t, os.Link(filepath.Join(root, "layer"), filepath.Join(root, "hard")))
	all := actions{
		"Layer":  {{outputs: []string{"layer"}}},
		"Layout": {{outputs: []string{"symbolic", "hard"}}, {outputs: []string{"index", "same-size"}}},
		"Gone":   {{outputs: []string{"gone"}}},
	}
	got, err := all.bytes(root, "Layout", "Layer")
	require.NoError(t, err)
	assert.Equal(t, int64(1030), got)
	got, err = all.bytes(root, "", "Layer")
	require.NoError(t, err)
	assert.Zero(t, got)
	_, err = all.bytes(root, "Gone", "Layer")
	require.ErrorContains(t, err, "measuring the outputs of Gone")
}

func TestActionsCheck(t *testing.T) {
	us := subjects()[0]
	all := actions{us.layers: make([]ran, 6), us.indexes: make([]ran, 3)}
	require.NoError(t, all.check(us, 3, 2))
	all[us.indexes] = all[us.indexes][1:]
	assert.EqualError(t, all.check(us, 3, 2), "multiarch: expected 3 actions MultiarchIndex, got 2")
}

func TestBazelFlags(t *testing.T) {
	for args, want := range map[string]string{
		"-bazel -scale 10x4": "cannot be combined",
		"-packages -bazel":   "cannot be combined",
		"-bazel -release":    "cannot be combined",
		"-bazelrc x":         "-bazelrc requires -bazel",
	} {
		_, err := parse(strings.Fields(args), nil)
		assert.ErrorContains(t, err, want)
	}
	s, err := parse([]string{"-bazel", "-bazelrc", "a,b"}, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b"}, s.bazelrcs)
}

func TestPadded(t *testing.T) {
	program := []byte("\x7fELF and so on")
	one, same, other := padded(program, "a"), padded(program, "a"), padded(program, "b")
	assert.Len(t, one, programSize)
	assert.Equal(t, one, same)
	assert.NotEqual(t, one, other)
	assert.True(t, strings.HasPrefix(string(one), string(program)))
	layer, err := layerOf(one)
	require.NoError(t, err)
	assert.InDelta(t, programSize/2, len(layer), programSize/10, "must compress like programs")
}

func TestRulesImgSetsVariants(t *testing.T) {
	tree := &bazelTree{services: []string{"a"}}
	got := tree.rulesImg([]string{"linux/arm/v7", "linux/s390x"})
	assert.Contains(t, got, `platform(name = "linux_arm_v7", parents = ["@multiarch//platforms:linux_arm_v7"], `+
		`constraint_values = ["@rules_img//img/constraints/arm:v7"])`)
	assert.Contains(t, got,
		`platform(name = "linux_s390x", parents = ["@multiarch//platforms:linux_s390x"], constraint_values = [])`)
	assert.Contains(t, got, `image_index(name = "a", manifests = ["a_linux_arm_v7", "a_linux_s390x"])`)
}

func TestBazelReason(t *testing.T) {
	assert.Equal(t, "module not found: x",
		bazelReason(errors.New("running bazel: exit status 1\nINFO: y\nERROR: module not found: x \nERROR: z")))
	assert.Equal(t, "no such field",
		bazelReason(errors.New("running bazel: exit status 1\nERROR: Traceback (most recent call last):\n\tFile \"x\"\n"+
			"Error: no such field\nERROR: y")))
	assert.Equal(t, "running bazel: exit status 1", bazelReason(errors.New("running bazel: exit status 1\nkilled")))
}

// TestUnavailableCompetitorsAreSkipped replaces Bazel with a script that resolves only some modules.
func TestUnavailableCompetitorsAreSkipped(t *testing.T) {
	const stub = `#!/bin/sh
case "$*" in *" info "*) echo 999999999; exit;; esac
if [ -e ours-broken ] || { [ -e no-module ] && grep -q rules_img MODULE.bazel; }; then
  echo "ERROR: no such module" >&2
  exit 1
fi
case "$*" in *//rules_oci:*) [ ! -e no-oci ] || { echo "ERROR: no such rule" >&2; exit 1; };; esac
`
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "bazel"), []byte(stub), 0o755))
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	for _, c := range []struct {
		marks, want []string
		message     string
	}{
		{nil, []string{"multiarch", "rules_oci", "rules_img"}, ""},
		{[]string{"no-module"}, []string{"multiarch", "rules_oci"}, "skipping rules_img: no such module\n"},
		{[]string{"no-oci"}, []string{"multiarch", "rules_img"}, "skipping rules_oci: no such rule\n"},
		{[]string{"no-module", "no-oci"}, []string{"multiarch"}, "skipping rules_img: no such module\n"},
		{[]string{"ours-broken"}, nil, ""},
	} {
		var stderr strings.Builder
		w, err := openWorkDir(&stderr)
		require.NoError(t, err)
		data := &bazelTree{dir: t.TempDir(), checkout: "/src"}
		require.NoError(t, data.module(subjects()))
		for _, mark := range c.marks {
			require.NoError(t, data.write(mark, ""))
		}
		all, err := bazelRun{w: w, dir: data.dir, outs: w.path("bazel-out")}.contestants(t.Context(), data)
		var names []string
		for _, s := range all {
			names = append(names, s.name)
		}
		assert.Equal(t, c.want, names, c.marks)
		assert.Contains(t, stderr.String(), c.message)
		if c.want == nil {
			assert.ErrorContains(t, err, "-bazelrc")
			assert.NotContains(t, stderr.String(), "skipping", "other subjects must not be blamed")
		}
		require.NoError(t, w.close())
	}
}

// TestBazelTable covers tables with and without competitors.
func TestBazelTable(t *testing.T) {
	all := subjects()[:2]
	measured := map[string][]bazelCost{}
	for _, phase := range bazelPhases {
		measured[phase+"multiarch"] = []bazelCost{{wall: time.Second, manifests: 40 * time.Millisecond, output: 1e5}}
		measured[phase+"rules_oci"] = []bazelCost{{wall: 4 * time.Second, manifests: 640 * time.Millisecond, output: 3e8}}
	}
	got := bazelTable(all, measured)
	assert.Equal(t, []string{"", "multiarch", "rules_oci", "rules_oci / multiarch"}, got.header)
	assert.Equal(t, []string{"every program changed", "1.00 s (1.00..1.00)", "4.00 s (4.00..4.00)", "4.00"}, got.rows[0])
	assert.Equal(t, []string{"- actions of manifests and indexes, summed", "40.0 ms (40.0..40.0)", "640 ms (640..640)",
		"16.0"}, got.rows[1])
	assert.NotContains(t, got.String(), "CPU time", "CPU time was not measured")
	assert.Equal(t, []string{"", "multiarch"}, bazelTable(all[:1], measured).header)
}

// TestBazelBench runs the comparison with the bazel on PATH, which must be able to resolve rules_go and gazelle. It
// takes minutes, because it compiles tools/assemble.
func TestBazelBench(t *testing.T) {
	rc, set := os.LookupEnv("MULTIARCH_BENCH_BAZELRC")
	if !set {
		t.Skip("MULTIARCH_BENCH_BAZELRC, the value of -bazelrc, is not set")
	}
	if _, err := exec.LookPath("bazel"); err != nil {
		if os.Getenv("MULTIARCH_TEST_TOOLS") == "all" {
			t.Fatal("bazel is missing, and MULTIARCH_TEST_TOOLS=all")
		}
		t.Skip("bazel is missing")
	}
	t.Setenv("TMPDIR", t.TempDir())
	var stdout, stderr strings.Builder
	err := execute(t.Context(), []string{"-bazel", "-services", "2", "-rounds", "1",
		"-platforms", "linux/amd64,linux/arm/v7", "-bazelrc", rc}, &stdout, &stderr)
	require.NoError(t, err, stderr.String())
	for _, want := range []string{
		"| multiarch ", "| every program changed ", "| - actions of manifests and indexes, summed ", "| nothing changed ",
		"2 services for 2 platforms",
	} {
		assert.Contains(t, stdout.String(), want)
	}
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	assert.Empty(t, left)
	t.Log(stderr.String() + stdout.String())
}
