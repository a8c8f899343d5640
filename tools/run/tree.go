package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	securejoin "github.com/cyphar/filepath-securejoin"

	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
)

// tree is the root file system of an image, below a directory of this machine. Names in it are those a program in a
// chroot would use; whatever its symbolic links say, nothing outside is reached: os.Root sees to that, and securejoin
// only finds out where in the tree a name leads.
type tree struct {
	dir  string
	root *os.Root
	// owners says whether files get the owners that the image gives them. Otherwise all belong to whoever runs this.
	owners bool
}

// newTree makes the directory dir, whose parent must not let other users in, and opens it.
func newTree(dir string) (*tree, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making a root for the image: %w", err)
	}
	// The temporary directory itself may be reached through links; securejoin wants a root without them.
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("making a root for the image: %w", err)
	}
	root, err := inputfile.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the image's root: %w", err)
	}
	return &tree{dir: dir, root: root, owners: mapsAllIDs()}, nil
}

// Close lets go of the directory.
func (t *tree) Close() error { return t.root.Close() }

// locate returns where name stands relative to the tree's root. Links among its directories are followed, name itself
// is not, and need not exist.
func (t *tree) locate(name string) (string, error) {
	dir, base := path.Split(path.Clean("/" + name))
	at, err := t.follow(dir)
	return path.Join(at, base), err
}

// follow is locate for what name leads to when it is a link too.
func (t *tree) follow(name string) (string, error) {
	joined, err := securejoin.SecureJoin(t.dir, name)
	if err != nil {
		return "", err
	}
	at, err := filepath.Rel(t.dir, joined)
	return filepath.ToSlash(at), err
}

// open opens the file that name leads to.
func (t *tree) open(name string) (*os.File, error) {
	at, err := t.follow(name)
	if err != nil {
		return nil, err
	}
	return t.root.Open(at)
}

// stat describes what name leads to.
func (t *tree) stat(name string) (fs.FileInfo, error) {
	at, err := t.follow(name)
	if err != nil {
		return nil, err
	}
	return t.root.Stat(at)
}

// furnish adds to the tree what a container runtime would: the places that are mounted on, the working directory and
// the volumes, and the machine's way of resolving names where the image has none of its own.
func (t *tree) furnish(prog *program) error {
	for _, name := range []string{"proc", "dev"} {
		// A link here would turn the mount away from the tree.
		if info, err := t.root.Lstat(name); err == nil && !info.IsDir() {
			if err := t.root.Remove(name); err != nil {
				return fmt.Errorf("making room for /%s: %w", name, err)
			}
		}
		if err := t.root.MkdirAll(name, 0o755); err != nil {
			return fmt.Errorf("making /%s: %w", name, err)
		}
	}
	for _, name := range append([]string{prog.dir}, prog.volumes...) {
		at, err := t.follow(name)
		if err == nil {
			err = t.root.MkdirAll(at, 0o755)
		}
		if err != nil {
			return fmt.Errorf("making the directory %s: %w", name, err)
		}
	}
	for _, name := range []string{"/etc/resolv.conf", "/etc/hosts"} {
		if err := t.adopt(name); err != nil {
			return fmt.Errorf("copying this machine's %s: %w", name, err)
		}
	}
	return nil
}

// adopt copies a file of this machine to the same place in the tree, unless the tree has it or the machine has not.
func (t *tree) adopt(name string) error {
	if info, err := t.stat(name); err == nil && info.Size() > 0 {
		return nil
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	at, err := t.follow(name)
	if err != nil {
		return err
	}
	if err := t.root.MkdirAll(path.Dir(at), 0o755); err != nil {
		return err
	}
	return t.root.WriteFile(at, text, 0o644)
}
