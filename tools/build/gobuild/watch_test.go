package gobuild_test

import (
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/build/gobuild"
)

// changeSources changes two packages to contents that are in no cache.
func (w *workspace) changeSources() {
	w.write("lib/anew.go", "package lib\n\nconst anew = \""+rand.Text()+"\"\n")
	w.write("cmd/anew.go", "package main\n\nconst anew = \""+rand.Text()+"\"\n")
}

func TestReportNamesCompiledPackages(t *testing.T) {
	w := newWorkspace(t)
	w.changeSources()
	var reported []gobuild.Status
	w.request.Report = func(s gobuild.Status) { reported = append(reported, s) }
	_, _, err := w.build()
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(reported), 4)
	assert.Equal(t, gobuild.Status{Targets: []string{"app"}}, reported[0])
	last := reported[len(reported)-1]
	want := gobuild.Status{Targets: []string{"app"}, Packages: last.Packages, Newest: "example.com/app/cmd", Done: true}
	assert.Equal(t, want, last)
	assert.GreaterOrEqual(t, last.Packages, 2)

	reported = nil
	_, _, err = w.build()
	require.NoError(t, err)
	assert.Empty(t, reported, "nothing was compiled")
}

func TestErrorsDoNotNameCompiledPackages(t *testing.T) {
	for _, again := range []bool{false, true} { // listed before it is compiled, or while it is compiled
		w := newWorkspace(t)
		if again {
			_, _, err := w.build()
			require.NoError(t, err)
		}
		w.changeSources()
		w.write("cmd/broken.go", "package main\n\nvar broken = nothing\n")
		_, _, err := w.build()
		var failed *gobuild.CompileError
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, "# example.com/app/cmd\ncmd/broken.go:3:14: undefined: nothing\n", failed.Output)
	}
}
