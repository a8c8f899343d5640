package tools_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// maxColumns is the length of the longest line of source code. A tab counts as one column, because its width depends on
// the reader's editor.
const maxColumns = 120

func TestSourcesFitTheScreen(t *testing.T) {
	if os.Getenv("TEST_SRCDIR") != "" {
		t.Skip("Bazel's sandbox does not contain the checkout; go test checks it")
	}
	long, err := longLines(os.DirFS(".."))
	require.NoError(t, err)
	for _, line := range long {
		t.Errorf("%s: the line has more than %d columns", line, maxColumns)
	}
}

func TestLongLinesAreFoundInEveryLanguage(t *testing.T) {
	fits := strings.Repeat("\t", 20) + strings.Repeat("é", maxColumns-20) + "\n"
	long := &fstest.MapFile{Data: []byte(fits + "x" + fits + fits)}
	got, err := longLines(fstest.MapFS{
		".ci/check":       long,
		"BUILD.bazel":     long,
		"a/a.go":          long,
		"a/defs.bzl":      long,
		"a/fits.go":       {Data: []byte(fits)},
		"a/notes.md":      long,
		"a/status.sh":     long,
		"a/testdata/a.go": long,
	})
	require.NoError(t, err)
	assert.Equal(t, []string{".ci/check:2", "BUILD.bazel:2", "a/a.go:2", "a/defs.bzl:2", "a/status.sh:2"}, got)
}

// longLines returns the places of the long lines in a checkout's Go, Starlark and shell files, as FILE:LINE.
func longLines(checkout fs.FS) ([]string, error) {
	files, err := sources(checkout, func(name string) bool {
		switch path.Ext(name) {
		case ".bazel", ".bzl", ".go", ".sh":
			return true
		}
		return path.Dir(name) == ".ci"
	})
	if err != nil {
		return nil, err
	}
	var long []string
	for _, name := range files {
		content, err := fs.ReadFile(checkout, name)
		if err != nil {
			return nil, err
		}
		for i, line := range strings.Split(string(content), "\n") {
			// buildifier puts each load statement on one line.
			if utf8.RuneCountInString(line) > maxColumns && !strings.HasPrefix(line, "load(") {
				long = append(long, fmt.Sprintf("%s:%d", name, i+1))
			}
		}
	}
	return long, nil
}
