package layer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// LinkError is returned for a path through a symbolic link that cannot be followed.
type LinkError struct {
	Link, Target string
	// Outside is set if the link leads out of the tree, where nothing is read. Otherwise its target
	// does not exist.
	Outside bool
}

func (e *LinkError) Error() string {
	if e.Outside {
		return fmt.Sprintf("%s is a symbolic link to %s, outside the source tree", e.Link, e.Target)
	}
	return fmt.Sprintf("%s is a symbolic link to %s, which does not exist", e.Link, e.Target)
}

// Hint returns how to fix the link.
func (e *LinkError) Hint() string {
	if e.Outside {
		return "copy the target into the source tree, or make it a relative link inside the tree"
	}
	return "fix the link, or use an existing path"
}

// broken returns a *LinkError if a link is the reason that path p cannot be read.
func broken(tree *os.Root, p string) error {
	const most = 40 // the limit of Linux
	for range most {
		link, rest := firstLink(tree, p)
		target, err := tree.Readlink(link)
		if link == "" || err != nil {
			return nil
		}
		next := path.Join(path.Dir(link), filepath.ToSlash(target))
		if filepath.IsAbs(target) || path.IsAbs(target) || next == ".." || strings.HasPrefix(next, "../") {
			return &LinkError{Link: link, Target: target, Outside: true}
		}
		if _, err := tree.Lstat(next); errors.Is(err, fs.ErrNotExist) {
			return &LinkError{Link: link, Target: target}
		}
		p = path.Join(next, rest)
	}
	return nil
}

// firstLink splits a path after its first link, which is "" if there is none.
func firstLink(tree *os.Root, p string) (link, rest string) {
	steps := strings.Split(p, "/")
	for n := range steps {
		at := path.Join(steps[:n+1]...)
		if info, err := tree.Lstat(at); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return at, path.Join(steps[n+1:]...)
		}
	}
	return "", ""
}
