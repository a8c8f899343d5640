package gobuild

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// pkg is a package in the output of `go list -json`.
type pkg struct {
	ImportPath    string
	Name          string
	Dir           string
	Standard      bool
	Match         []string // patterns that match the package
	Imports       []string
	EmbedPatterns []string
	Module        *struct {
		Path string
		Dir  string
	}

	CgoFiles, CFiles, CXXFiles, MFiles, HFiles, FFiles, SFiles, SwigFiles, SwigCXXFiles []string

	CgoCPPFLAGS, CgoCFLAGS, CgoCXXFLAGS, CgoFFLAGS, CgoLDFLAGS, CgoPkgConfig []string
}

// listFields limits the output of the go command to the fields of pkg.
const listFields = "-json=ImportPath,Name,Dir,Standard,Match,Imports,EmbedPatterns,Module," +
	"CgoFiles,CFiles,CXXFiles,MFiles,HFiles,FFiles,SFiles,SwigFiles,SwigCXXFiles," +
	"CgoCPPFLAGS,CgoCFLAGS,CgoCXXFLAGS,CgoFFLAGS,CgoLDFLAGS,CgoPkgConfig"

// listing holds the packages of stale targets.
type listing struct {
	request  Request
	graph    graph
	packages map[string]pkg     // by import path
	mains    map[string]string  // import paths by Target.Package
	inputs   map[string][]input // by Target.Package
	natives  map[string]native  // by import path; computed on demand
}

func (l listing) main(t Target) pkg { return l.packages[l.mains[t.Package]] }

// list lists the packages and inputs of the stale targets with the go command.
func (b *Builder) list(ctx context.Context, r Request, stale []int, watch *compileWatch) (listing, error) {
	wanted := map[string]bool{}
	for _, i := range stale {
		wanted[r.Targets[i].Package] = true
	}
	l := listing{r, b.moduleGraph(r), map[string]pkg{}, map[string]string{}, map[string][]input{}, map[string]native{}}
	args := []string{"list", "-deps", listFields}
	if len(r.Tags) > 0 {
		args = append(args, "-tags="+strings.Join(r.Tags, ","))
	}
	args = append(append(args, "--"), slices.Sorted(maps.Keys(wanted))...)
	cmd, err := b.tool.command(ctx, b.dir, r, args...)
	if err != nil {
		return l, err
	}
	out, stderr, err := run(cmd, watch)
	if err != nil {
		return l, &listError{stderr, err}
	}
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return l, fmt.Errorf("decoding the output of go list: %w", err)
		}
		l.packages[p.ImportPath] = p
	}
	for target := range wanted {
		path := target
		for _, p := range l.packages {
			if slices.Contains(p.Match, target) {
				path = p.ImportPath
			}
		}
		p := l.packages[path]
		if p.Name != "main" {
			actual := l.describePackage(filepath.Join(b.dir, target), p.Name)
			return l, &listError{fmt.Sprintf("%s is not a main package%s\n", target, actual), nil}
		}
		l.mains[target] = path
		l.inputs[target] = b.inputsOf(ctx, l, p)
	}
	return l, nil
}

// describePackage returns a text about a package that is not a main package. If name is empty, it looks for the name of
// the package in dir.
func (l listing) describePackage(dir, name string) string {
	for _, p := range l.packages {
		if name == "" && p.Dir != "" && sameDir(p.Dir, dir) {
			name = p.Name
		}
	}
	if name == "" {
		return ""
	}
	return ": it is package " + name
}

// closure returns the import paths of a package and all its dependencies.
func (l listing) closure(p pkg) []string {
	seen, todo := map[string]bool{p.ImportPath: true}, []string{p.ImportPath}
	for n := 0; n < len(todo); n++ {
		for _, path := range l.packages[todo[n]].Imports {
			if !seen[path] {
				seen[path] = true
				todo = append(todo, path)
			}
		}
	}
	return todo
}

// sameDir reports whether two paths name the same directory.
func sameDir(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	ia, errA := os.Stat(a)
	ib, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(ia, ib)
}
