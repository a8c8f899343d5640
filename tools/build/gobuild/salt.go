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

// salts add native inputs to the keys of the go command's cache, which ignores them otherwise. For packages in the
// tree, -overlay adds a Go file without declarations, whose comment contains the digest of the native inputs. Packages
// in the module cache cannot be overlaid. For these, CGO_CPPFLAGS defines an unused macro, which applies to all
// packages. Neither affects the program; -trimpath removes the flags from it.
type salts struct {
	files map[string]string // content of the files of the overlay, by path
	macro string            // value of the macro, or ""
}

// saltFile is the name of the file that the overlay adds to packages.
const saltFile = "multiarch_native_inputs.go"

// salts returns the salts for a main package and its dependencies.
func (b *Builder) salts(ctx context.Context, l listing, main pkg, digests *files) salts {
	s := salts{files: map[string]string{}}
	var macros []string
	for _, path := range l.closure(main) {
		p := l.packages[path]
		n := l.native(ctx, b, p)
		salt := b.nativeDigest(n, digests)
		switch {
		case salt == "":
		case within(b.tool.env["GOMODCACHE"], p.Dir) || b.tool.hasOverlay(l.request):
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

// identity identifies the salts. It does not depend on the path of the tree.
func (s salts) identity() string {
	if len(s.files) == 0 && s.macro == "" {
		return ""
	}
	return digest(slices.Sorted(maps.Values(s.files)), s.macro)
}

// nativeDigest returns a digest of the native inputs of a package, or "" if there are none. It does not depend on the
// path of the tree.
func (b *Builder) nativeDigest(n native, digests *files) string {
	if len(n.files) == 0 && n.flags == "" {
		return ""
	}
	parts := []string{n.flags}
	for _, used := range n.files {
		name := filepath.Base(used)
		if rel, err := filepath.Rel(b.dir, used); err == nil && within(b.dir, used) {
			name = filepath.ToSlash(rel)
		}
		parts = append(parts, name+" "+digests.digest(input{Kind: file, Path: rawPath(used)}))
	}
	slices.Sort(parts)
	return digest(parts)
}

// hasOverlay reports whether the user passes -overlay to the go command, which our flag would replace.
func (t toolchain) hasOverlay(r Request) bool {
	return strings.Contains(t.env["GOFLAGS"]+" "+strings.Join(r.Env, " "), "-overlay")
}

// overlay writes an overlay with the given files to the work directory, and returns the flag for it.
func (o *outputs) overlay(files map[string]string) (flag string, err error) {
	dir, err := os.MkdirTemp(o.workDir, "overlay-")
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
