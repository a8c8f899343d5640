package layer

import (
	"fmt"
	"os"
	"path"
)

// The files by which the folder of an OCI layout is known for one that multiarch has written. No layout but such a one
// has the lock.
const (
	layoutMark  = "oci-layout"
	layoutIndex = "index.json"
	layoutLock  = ".multiarch.lock"
)

// LayoutError is returned for a directory that holds a layout of images that multiarch writes: an image with the images
// of the last build in it would grow with every build.
type LayoutError struct {
	From, Dir string
	// Output is that it is the one that is about to be written.
	Output bool
}

func (e *LayoutError) Error() string {
	is := "an OCI layout that multiarch wrote"
	if e.Output {
		is = "where the images are written to"
	}
	if path.Clean(e.From) == e.Dir {
		return fmt.Sprintf("%s is %s", e.From, is)
	}
	return fmt.Sprintf("%s holds %s, %s", e.From, e.Dir, is)
}

// Hint says how to keep them apart.
func (e *LayoutError) Hint() string {
	from := path.Clean(e.From)
	if from == e.Dir {
		return "name another folder, or write them elsewhere: --output"
	}
	return fmt.Sprintf("name a folder below %s, leave it out (glob: [\"!%s/**\"]), or write elsewhere: --output", from, below(from, e.Dir))
}

// isLayout tells whether a file is one that makes its directory an OCI layout which multiarch wrote.
func isLayout(tree *os.Root, file string) bool {
	dir, name := path.Split(file)
	if name != layoutMark && name != layoutIndex && name != layoutLock {
		return false
	}
	for _, name := range []string{layoutLock, layoutMark} {
		if _, err := tree.Lstat(dir + name); err != nil {
			return false
		}
	}
	return true
}
