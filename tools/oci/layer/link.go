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

// LinkError is returned for a path that leads through a symbolic link which cannot be followed.
type LinkError struct {
	Link, Target string
	// Outside is that it leads out of the tree, where nothing is read; else there is nothing where it leads.
	Outside bool
}

func (e *LinkError) Error() string {
	if e.Outside {
		return fmt.Sprintf("%s is a link out of the project, to %s", e.Link, e.Target)
	}
	return fmt.Sprintf("%s is a link to %s, which does not exist", e.Link, e.Target)
}

// Hint says what to do with the link.
func (e *LinkError) Hint() string {
	if e.Outside {
		return "nothing outside is read: copy it into the project, or make it a relative link to something there"
	}
	return "mend the link, or name something that is there"
}

// broken returns a *LinkError where a link is why nothing can be read at a path.
func broken(tree *os.Root, p string) error {
	const most = 40 // as many links as Linux follows
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

// firstLink splits a path after the first link on it, "" where there is none.
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
