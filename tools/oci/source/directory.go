package source

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
)

// rooted is a directory whose symbolic links cannot leave it: a link in an untrusted layout must not add other files of
// this machine to an image.
type rooted struct{ root *os.Root }

// openRooted opens a directory. It remains open while files of it may be read; the garbage collector closes it.
func openRooted(dir string) (fs.FS, error) {
	root, err := inputfile.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &PathError{message: dir + " is not an OCI layout: it does not exist", missing: true}
	}
	if err != nil {
		return nil, err
	}
	return rooted{root}, nil
}

var errEscapes = errors.New("a symbolic link leaves the layout")

func (r rooted) Open(name string) (fs.File, error) {
	f, err := r.root.Open(name)
	if err != nil {
		return nil, explainEscape("open", name, err)
	}
	return f, nil
}

// Stat implements fs.StatFS.
func (r rooted) Stat(name string) (fs.FileInfo, error) {
	info, err := r.root.Stat(name)
	return info, explainEscape("stat", name, err)
}

// explainEscape replaces the error for a link that leaves the root, which package os does not export.
func explainEscape(op, name string, err error) error {
	if err != nil && strings.Contains(err.Error(), "path escapes") {
		return &fs.PathError{Op: op, Path: name, Err: errEscapes}
	}
	return err
}

// openLayout lists the OCI layout in a directory.
func openLayout(dir string) (*collection, error) {
	files, err := openRooted(dir)
	if err != nil {
		return nil, err
	}
	return readLayout(files, dir)
}
