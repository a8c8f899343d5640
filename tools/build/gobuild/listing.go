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

// pkg is what `go list -json` reports about a package.
type pkg struct {
	ImportPath    string
	Name          string
	Dir           string
	Standard      bool
	Match         []string // the patterns that name it
	Imports       []string
	EmbedPatterns []string
	Module        *struct {
		Path string
		Dir  string
	}

	CgoFiles, CFiles, CXXFiles, MFiles, HFiles, FFiles, SFiles, SwigFiles, SwigCXXFiles []string

	CgoCPPFLAGS, CgoCFLAGS, CgoCXXFLAGS, CgoFFLAGS, CgoLDFLAGS, CgoPkgConfig []string
}

// listFields are the fields of pkg, so that the go command computes no others.
const listFields = "-json=ImportPath,Name,Dir,Standard,Match,Imports,EmbedPatterns,Module," +
	"CgoFiles,CFiles,CXXFiles,MFiles,HFiles,FFiles,SFiles,SwigFiles,SwigCXXFiles," +
	"CgoCPPFLAGS,CgoCFLAGS,CgoCXXFLAGS,CgoFFLAGS,CgoLDFLAGS,CgoPkgConfig"

// listing is what the go command reports about the stale targets.
type listing struct {
	request  Request
	graph    graph
	packages map[string]pkg     // by import path
	mains    map[string]string  // a target's package -> its import path
	inputs   map[string][]input // a target's package -> what it is made of
	natives  map[string]native  // by import path; filled on demand
}

func (l listing) main(t Target) pkg { return l.packages[l.mains[t.Package]] }

// list asks the go command what the stale targets are made of.
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
			return l, fmt.Errorf("reading what the go command lists: %w", err)
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
			return l, &listError{fmt.Sprintf("%s is not a main package%s\n", target, l.other(filepath.Join(b.dir, target), p.Name)), nil}
		}
		l.mains[target] = path
		l.inputs[target] = b.inputsOf(ctx, l, p)
	}
	return l, nil
}

// other describes a package that is not a main package: the one called name, or else the one in dir.
func (l listing) other(dir, name string) string {
	for _, p := range l.packages {
		if name == "" && p.Dir != "" && same(p.Dir, dir) {
			name = p.Name
		}
	}
	if name == "" {
		return ""
	}
	return ": it is package " + name
}

// closure returns the import paths of a package and of all that it imports.
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

// same reports whether two paths lead to one directory.
func same(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	ia, errA := os.Stat(a)
	ib, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(ia, ib)
}

type listError struct {
	output string
	err    error
}

func (e *listError) Error() string { return e.output }
