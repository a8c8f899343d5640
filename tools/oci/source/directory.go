package source

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
)

// rooted is a directory whose symbolic links are followed within it only: nothing else of the machine becomes part of an
// image because a layout of someone else has a link to it.
type rooted struct{ root *os.Root }

// openRooted opens a directory. It stays open for as long as files of it may be read; the runtime closes it with the last
// reference.
func openRooted(dir string) (fs.FS, error) {
	root, err := inputfile.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &PlaceError{what: dir + " is not an OCI layout: it does not exist", absent: true}
	}
	if err != nil {
		return nil, err
	}
	return rooted{root}, nil
}

var errLeadsOut = errors.New("a symbolic link leads out of the layout")

func (r rooted) Open(name string) (fs.File, error) {
	f, err := r.root.Open(name)
	if err != nil {
		return nil, explainEscape("open", name, err)
	}
	return f, nil
}

// Stat describes what Open would open.
func (r rooted) Stat(name string) (fs.FileInfo, error) {
	info, err := r.root.Stat(name)
	return info, explainEscape("stat", name, err)
}

// explainEscape replaces the error of a link that leads out, which has no name in package os.
func explainEscape(op, name string, err error) error {
	if err != nil && strings.Contains(err.Error(), "path escapes") {
		return &fs.PathError{Op: op, Path: name, Err: errLeadsOut}
	}
	return err
}

// readRooted lists the OCI layout in a directory.
func readRooted(dir string) (*collection, error) {
	files, err := openRooted(dir)
	if err != nil {
		return nil, err
	}
	return readLayout(files, dir)
}
