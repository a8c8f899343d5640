package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadActions(t *testing.T) {
	// Two of the objects that Bazel 7 writes, without what is not read.
	const log = `{
  "commandArgs": ["assemble"],
  "mnemonic": "MultiarchImage",
  "actualOutputs": [{"path": "a", "digest": {"hash": "x", "sizeBytes": "569"}}, {"path": "b", "digest": {"sizeBytes": "31"}}],
  "metrics": {"totalTime": "0.012s"}
}{
  "mnemonic": "MultiarchImage",
  "actualOutputs": [{"path": "empty", "digest": {}}],
  "metrics": {"totalTime": "1.5s"}
}{"mnemonic": "Genrule"}`
	all, err := readActions(strings.NewReader(log))
	require.NoError(t, err)
	ours := []string{"MultiarchImage", "MultiarchIndex"}
	assert.Equal(t, 2, all.count(ours))
	assert.Equal(t, 1512*time.Millisecond, all.time(ours))
	assert.Equal(t, int64(600), all.bytes(ours))
	assert.Equal(t, 1, all.count([]string{"Genrule"}))

	for _, broken := range []string{`{`, `[]`, `{"metrics": {"totalTime": "soon"}}`, `{"actualOutputs": [{"digest": {"sizeBytes": "x"}}]}`} {
		_, err := readActions(strings.NewReader(broken))
		assert.ErrorContains(t, err, "reading the execution log", broken)
	}
}

func TestBazelFlags(t *testing.T) {
	for args, want := range map[string]string{
		"-bazel -scale 10x4": "exclude each other",
		"-packages -bazel":   "exclude each other",
		"-bazelrc x":         "-bazelrc is for -bazel",
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
	assert.InDelta(t, programSize/2, len(layer), programSize/10, "it compresses as programs do")
}
