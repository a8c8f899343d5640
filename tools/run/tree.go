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

// tree is the root file system of an image, below a directory of this machine. Names in it are those that a program in
// a chroot would use. os.Root guarantees that symbolic links do not reach outside; securejoin only resolves names.
type tree struct {
	dir  string
	root *os.Root
	// owners is whether files get their owners from the image. Otherwise all files belong to the current user.
	owners bool
}

// newTree makes the directory dir, whose parent must not let other users in, and opens it.
func newTree(dir string) (*tree, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("creating the image's root: %w", err)
	}
	// The temporary directory itself may be reached through links; securejoin wants a root without them.
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("creating the image's root: %w", err)
	}
	root, err := inputfile.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the image's root: %w", err)
	}
	return &tree{dir: dir, root: root, owners: mapsAllIDs()}, nil
}

// Close lets go of the directory.
func (t *tree) Close() error { return t.root.Close() }

// locate returns name relative to the tree's root. It follows links among the directories of name, but not name itself,
// which need not exist.
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

// furnish adds what a container runtime would: mount points, the working directory, the volumes, and the machine's
// resolv.conf and hosts if the image has none.
func (t *tree) furnish(prog *program) error {
	for _, name := range []string{"proc", "dev"} {
		// A link here would turn the mount away from the tree.
		if info, err := t.root.Lstat(name); err == nil && !info.IsDir() {
			if err := t.root.Remove(name); err != nil {
				return fmt.Errorf("removing /%s: %w", name, err)
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
			return fmt.Errorf("creating directory %s: %w", name, err)
		}
	}
	for _, name := range []string{"/etc/resolv.conf", "/etc/hosts"} {
		if err := t.adopt(name); err != nil {
			return fmt.Errorf("copying this machine's %s: %w", name, err)
		}
	}
	return nil
}

// adopt copies a file of this machine to the same path in the tree, unless the tree has it already.
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
