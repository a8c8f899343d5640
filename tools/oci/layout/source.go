package layout

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path"
	"strings"
)

// SourceError is returned if the files of an image include a layout that multiarch writes. Each build would add the
// images of the previous one.
type SourceError struct {
	// From is the source of the files, Dir the directory of the layout.
	From, Dir string
	// Output reports whether Dir is the output directory of the build.
	Output bool
}

func (e *SourceError) Error() string {
	is := "an OCI layout that multiarch wrote"
	if e.Output {
		is = "the output directory"
	}
	if path.Clean(e.From) == e.Dir {
		return fmt.Sprintf("%s is %s", e.From, is)
	}
	return fmt.Sprintf("%s contains %s, %s", e.From, e.Dir, is)
}

// Hint returns how to separate the source from the layout.
func (e *SourceError) Hint() string {
	from := path.Clean(e.From)
	if from == e.Dir {
		return "choose another directory, or write the images elsewhere with --output"
	}
	below := e.Dir
	if from != "." {
		below = strings.TrimPrefix(strings.TrimPrefix(e.Dir, from), "/")
	}
	return fmt.Sprintf(
		"choose a directory below %s, exclude the layout (glob: [\"!%s/**\"]), or write elsewhere with --output",
		from, below)
}

// Refuse returns a function for layer.Source.Refuse: it returns a *SourceError for a file that marks its directory as
// a layout of multiarch, unless that directory is from itself.
func Refuse(from string) func(tree *os.Root, file string) error {
	return func(tree *os.Root, file string) error {
		dir, name := path.Dir(file), path.Base(file)
		if dir == path.Clean(from) || name != MarkerFile && name != IndexFile && name != LockFile || !IsOurs(tree, dir) {
			return nil
		}
		return &SourceError{From: from, Dir: dir}
	}
}

// IsOurs reports whether dir is a layout that multiarch wrote.
func IsOurs(tree *os.Root, dir string) bool {
	for _, name := range []string{LockFile, MarkerFile} {
		if _, err := tree.Lstat(path.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// Files returns paths that a layout in dir has: its fixed files, and a blob.
func Files(dir string) []string {
	blob := path.Join(BlobsDir, "sha256", strings.Repeat("0", 2*sha256.Size))
	var files []string
	for _, name := range []string{MarkerFile, IndexFile, LockFile, blob} {
		files = append(files, path.Join(dir, name))
	}
	return files
}
