package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkActions runs each command in a new process, as Bazel does without workers. start measures a process that
// does nothing, which should take less than 5 ms.
func BenchmarkActions(b *testing.B) {
	program := filepath.Join(b.TempDir(), "assemble")
	out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(b, err, string(out))
	b.Chdir(b.TempDir())
	require.NoError(b, os.WriteFile("a", []byte("a"), 0o644))
	require.NoError(b, os.WriteFile("settings", []byte(`{"settings":{"env":["A=b"]}}`), 0o644))
	require.Zero(b, run(b.Context(), []string{"layer", "-content", "files", "-blob", "blob", "-descriptor", "layer",
		entry("a", "/a")}, io.Discard))
	index := []string{"index", "-index", "index", "-descriptor", "top", "-digest", "digest"}
	for _, p := range []string{"linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"} {
		index = append(index, "--", "-platform", p, "-settings", "settings", "-layer", "layer", "-manifest", "m",
			"-config", "c", "-descriptor", "d")
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		outs []string
	}{
		{"start", nil, 2, nil},
		{
			"image",
			[]string{
				"image", "-platform", "linux/arm64", "-settings", "settings", "-layer", "layer", "-manifest", "m", "-config", "c",
				"-descriptor", "d",
			},
			0,
			[]string{"m", "c", "d"},
		},
		{"index", index, 0, []string{"index", "top", "digest"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				for _, o := range c.outs {
					_ = os.Remove(o)
				}
				b.StartTimer()
				cmd := exec.Command(program, c.args...)
				_ = cmd.Run()
				require.Equal(b, c.code, cmd.ProcessState.ExitCode(), fmt.Sprint(c.args))
			}
		})
		b.Run(c.name+" in process", func(b *testing.B) {
			for b.Loop() {
				require.Equal(b, c.code, run(b.Context(), c.args, io.Discard))
			}
		})
	}
}
