package gobuild

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/build/cache"
)

// salts make the go command's cache tell native inputs apart. A package of the tree gets, by -overlay, a Go file without
// declarations, whose comment is the digest of its native inputs. What is in the module cache cannot be overlaid: for
// those packages a macro that nothing uses goes into CGO_CPPFLAGS, which applies to all packages. Neither leaves anything
// in the program; with -trimpath, not even the flags.
type salts struct {
	files map[string]string // of the overlay: path -> content
	macro string
}

// saltFile is the name of the file that is added to packages.
const saltFile = "multiarch_native_inputs.go"

// salts returns the salts for the closure of a main package. read reads files, each once.
func (b *Builder) salts(ctx context.Context, l listing, main pkg, read *files) salts {
	s := salts{files: map[string]string{}}
	var macros []string
	for _, path := range l.closure(main) {
		p := l.packages[path]
		n := l.native(ctx, b, p)
		salt := b.digestOf(n, read)
		switch {
		case salt == "":
		case within(b.tool.env["GOMODCACHE"], p.Dir) || b.tool.overlaid(l.request):
			macros = append(macros, path+" "+salt)
		default:
			s.files[filepath.Join(p.Dir, saltFile)] = fmt.Sprintf("// %s\n\npackage %s\n", salt, p.Name)
		}
	}
	if len(macros) > 0 {
		slices.Sort(macros)
		s.macro = digest(macros)[:16]
	}
	return s
}

// identity is the same for equal salts, wherever the tree is.
func (s salts) identity() string {
	if len(s.files) == 0 && s.macro == "" {
		return ""
	}
	return digest(slices.Sorted(maps.Values(s.files)), s.macro)
}

// digestOf identifies the native inputs of a package: "" if there are none. It does not depend on where the tree is.
func (b *Builder) digestOf(n native, read *files) string {
	if len(n.files) == 0 && n.flags == "" {
		return ""
	}
	facts := []string{n.flags}
	for _, used := range n.files {
		name := filepath.Base(used)
		if rel, err := filepath.Rel(b.dir, used); err == nil && within(b.dir, used) {
			name = filepath.ToSlash(rel)
		}
		facts = append(facts, name+" "+read.digest(input{Kind: file, Path: rawPath(used)}))
	}
	slices.Sort(facts)
	return digest(facts)
}

// overlaid reports whether a request has an overlay of its own, which ours would replace.
func (t toolchain) overlaid(r Request) bool {
	return strings.Contains(t.env["GOFLAGS"]+" "+strings.Join(r.Env, " "), "-overlay")
}

// overlay writes the overlay of some files to the work folder, and returns the flag for it.
func (o *outputs) overlay(files map[string]string) (flag string, err error) {
	dir, err := os.MkdirTemp(o.work, "overlay-")
	if err != nil {
		return "", &cache.UnusableError{Dir: o.store.Dir(), Err: err}
	}
	replace := map[string]string{}
	for n, path := range slices.Sorted(maps.Keys(files)) {
		replace[path] = filepath.Join(dir, fmt.Sprint(n)+".go")
		if err := os.WriteFile(replace[path], []byte(files[path]), 0o644); err != nil {
			return "", &cache.UnusableError{Dir: o.store.Dir(), Err: err}
		}
	}
	content, err := json.Marshal(map[string]any{"Replace": replace})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "overlay.json"), content, 0o644)
	}
	if err != nil {
		return "", &cache.UnusableError{Dir: o.store.Dir(), Err: err}
	}
	return "-overlay=" + filepath.Join(dir, "overlay.json"), nil
}
