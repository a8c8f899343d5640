package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/multiarch-build/multiarch/tools/base/debian"
	"github.com/multiarch-build/multiarch/tools/base/static"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// packages merges Debian packages. file has their entries in multiarch.lock, and debs are the package files, each named
// after its SHA-256. The Tree keeps unpacked files in the directory spill until it is closed.
func packages(
	ctx context.Context,
	file string,
	debs []string,
	slim bool,
	spill string,
) (*debian.Tree, []string, error) {
	var of []lock.Package
	if err := readJSON(file, &of); err != nil {
		return nil, nil, err
	}
	at := map[string]string{}
	for _, d := range debs {
		at[strings.TrimSuffix(filepath.Base(d), ".deb")] = d
	}
	var all []debian.Deb
	for _, p := range of {
		from, ok := at[p.SHA256]
		if !ok {
			return nil, nil, fmt.Errorf("package %s %s: missing file %s.deb", p.Name, p.Version, p.SHA256)
		}
		all = append(
			all,
			debian.Deb{Package: debian.Package(p), Open: func() (io.ReadCloser, error) { return os.Open(from) }},
		)
	}
	tree, err := debian.Merge(ctx, all, debian.Options{Slim: slim, TempDir: spill})
	return tree, static.PackagesEnv(of), err
}
