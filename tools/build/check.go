package build

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
	"github.com/multiarch-build/multiarch/tools/oci/layout"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// Check verifies that the files of a plan exist in the tree at dir before anything is built. All
// errors are returned together as config.Errors. output is the directory that images will be
// written to, which no image may include, or "".
func Check(c *config.Config, p *plan.Plan, dir, output string) error {
	tree, err := inputfile.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("opening the tree: %w", err)
	}
	defer tree.Close()
	if output != "" {
		if output, err = inside(dir, output); err != nil {
			return fmt.Errorf("finding the output directory: %w", err)
		}
	}
	var wrong config.Errors
	checked := map[string]error{} // platforms and images often share files
	for _, i := range p.Images {
		for _, child := range i.Children {
			for n, f := range child.Files {
				key := fmt.Sprintf("%q", []any{f.From, f.To, f.Glob})
				err, known := checked[key]
				if !known {
					err = check(tree, layer.Source{From: f.From, To: f.To, Glob: f.Glob,
						Refuse: layout.Refuse(f.From)}, output)
					checked[key] = err
				}
				if err != nil {
					wrong.Add(c.Errorf(append(c.FilePath(i.Name, child.Platform, n), "from"), "", "%w", err))
				}
			}
		}
	}
	if len(wrong) > 0 {
		return wrong.Sorted()
	}
	return nil
}

func check(tree *os.Root, s layer.Source, output string) error {
	if output != "" && slices.ContainsFunc(layout.Files(output), s.Matches) {
		return &layout.SourceError{From: s.From, Dir: output, Output: true}
	}
	return layer.Check(tree, s)
}

// inside returns a directory as a path in the tree, or "" if it is outside.
func inside(tree, dir string) (string, error) {
	tree, err := filepath.Abs(tree)
	if err != nil {
		return "", err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	below, err := filepath.Rel(tree, dir)
	if err != nil || below == ".." || strings.HasPrefix(below, ".."+string(filepath.Separator)) {
		return "", nil // another drive, or above
	}
	return filepath.ToSlash(below), nil
}
