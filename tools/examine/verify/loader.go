package verify

import (
	"encoding/binary"
	"path"
	"strings"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// loaderCache is the index of libraries that ldconfig writes for the loader of glibc, which does not read
// /etc/ld.so.conf.
const loaderCache = "/etc/ld.so.cache"

// textLimit bounds the files whose text is kept. The loader cache of a desktop has 200 KiB.
const textLimit = 1 << 20

// textFile reports whether the text of a file is needed: to find libraries or to look up users.
func textFile(name string) bool {
	return name == passwdFile || name == groupFile || name == loaderCache || strings.HasPrefix(name, "/etc/ld-musl-") &&
		strings.HasSuffix(name, ".path")
}

// libraryName reports whether a file has the name of a shared library.
func libraryName(name string) bool {
	base := path.Base(name)
	return strings.HasSuffix(base, ".so") || strings.Contains(base, ".so.")
}

// loader describes where a dynamic loader (ld.so), the interpreter of an ELF binary, searches for libraries.
type loader struct {
	musl bool
	// environment lists the directories of LD_LIBRARY_PATH.
	environment []string
	// cached lists the paths of a library in the loader cache.
	cached map[string][]string
	// system lists the default directories.
	system []string
	// libs lists the values that $LIB can have.
	libs []string
	// unreadable is a file that could not be read. Without it, no library can be reported as missing.
	unreadable string
}

// newLoader describes the loader at the path interpreter.
func newLoader(root *rootfs, row arch.Row, interpreter string, env []string) *loader {
	l := &loader{musl: strings.HasPrefix(path.Base(interpreter), "ld-musl-")}
	if search, ok := variable(env, "LD_LIBRARY_PATH", false); ok && search != "" {
		l.environment = strings.FieldsFunc(strings.ReplaceAll(search, ";", ":"), func(r rune) bool { return r == ':' })
		if len(l.environment) == 0 || strings.Contains(":"+search+":", "::") {
			l.environment = append(l.environment, ".")
		}
	}
	if l.musl {
		// musl, ldso/dynlink.c: the directories in the file, or else these.
		name, _, _ := strings.Cut(strings.TrimPrefix(path.Base(interpreter), "ld-musl-"), ".so")
		search := "/lib:/usr/local/lib:/usr/lib"
		if text, found := l.read(root, "/etc/ld-musl-"+name+".path"); found {
			search = text
		}
		l.system = strings.FieldsFunc(search, func(r rune) bool { return r == ':' || r == '\n' })
		return l
	}
	if text, found := l.read(root, loaderCache); found {
		var ok bool
		if l.cached, ok = parseLoaderCache(text, row.Header.Order); !ok {
			l.unreadable = loaderCache
		}
	}
	for _, name := range debianDirectories(row) {
		l.system = append(l.system, "/lib/"+name, "/usr/lib/"+name)
		l.libs = append(l.libs, "lib/"+name)
	}
	l.system = append(l.system, "/lib64", "/usr/lib64", "/lib", "/usr/lib")
	l.libs = append(l.libs, "lib64", "lib")
	return l
}

// debianDirectories lists the directories of Debian for the libraries of a row. If Debian does not build the row (the
// libraries of Raspbian's arm/v6 are in the directory of arm/v7), or if its variant is unknown, they are those of all
// rows with the same machine.
func debianDirectories(row arch.Row) []string {
	if known, _ := arch.Find(row.Platform); known == row && row.Debian != "" {
		return []string{row.LibraryDir()}
	}
	var names []string
	for _, other := range arch.Table() {
		if name := other.LibraryDir(); other.Header == row.Header && name != "" {
			names = append(names, name)
		}
	}
	return names
}

// read returns the text of a file.
func (l *loader) read(root *rootfs, name string) (text string, found bool) {
	switch at := root.resolve(name); {
	case !at.found:
		return "", false
	case at.text == nil:
		l.unreadable = name
		return "", false
	default:
		return *at.text, true
	}
}

// parseLoaderCache parses the file that ldconfig writes (glibc, sysdeps/generic/dl-cache.h). It skips entries for
// specific processors, because there is always a generic one, too.
func parseLoaderCache(text string, byteOrder arch.ByteOrder) (paths map[string][]string, ok bool) {
	var order binary.ByteOrder = binary.LittleEndian
	if byteOrder == arch.Big {
		order = binary.BigEndian
	}
	raw := []byte(text)
	const old, magic = "ld.so-1.7.0", "glibc-ld.so.cache1.1"
	if strings.HasPrefix(text, old) {
		// Up to glibc 2.31 the file begins with an older format: a header of 16 bytes and entries of 12.
		if len(raw) < 16 {
			return nil, false
		}
		skip := (16 + 12*uint64(order.Uint32(raw[12:])) + 7) &^ 7
		if skip > uint64(len(raw)) {
			return nil, false
		}
		raw = raw[skip:]
	}
	const head, length = 48, 24
	if len(raw) < head || string(raw[:len(magic)]) != magic {
		return nil, false
	}
	n := order.Uint32(raw[20:])
	if uint64(n)*length > uint64(len(raw)-head) {
		return nil, false
	}
	word := func(offset uint32) string {
		if uint64(offset) >= uint64(len(raw)) {
			return ""
		}
		rest := raw[offset:min(len(raw), int(offset)+pathLimit)]
		for i, b := range rest {
			if b == 0 {
				return string(rest[:i])
			}
		}
		return ""
	}
	paths = map[string][]string{}
	for e := raw[head : head+int(n)*length]; len(e) > 0; e = e[length:] {
		name, to := word(order.Uint32(e[4:])), word(order.Uint32(e[8:]))
		if name != "" && path.IsAbs(to) && order.Uint64(e[16:]) == 0 {
			paths[name] = append(paths[name], to)
		}
	}
	return paths, true
}

// builtIn reports whether the loader of musl itself provides a library (ldso/dynlink.c, load_library).
func (l *loader) builtIn(name string) bool {
	rest, ok := strings.CutPrefix(name, "lib")
	if !l.musl || !ok {
		return false
	}
	for _, own := range []string{"c.", "pthread.", "rt.", "m.", "dl.", "util.", "xnet."} {
		if strings.HasPrefix(rest, own) {
			return true
		}
	}
	return false
}

// object is a loaded binary and the one that needs it, nil for the program.
type object struct {
	path   string
	links  *dynamic
	loader *object
	depth  int // distance to the program
}

// candidates lists the paths of a library that o needs, in the order in which the loader tries them (man ld.so, and
// ldso/dynlink.c of musl). Relative paths are relative to the working directory.
func (l *loader) candidates(o *object, name string) []string {
	if strings.Contains(name, "/") {
		return l.expand(o, name)
	}
	var found []string
	add := func(o *object, directories []string) {
		for _, d := range directories {
			for _, dir := range l.expand(o, d) {
				found = append(found, join(dir, name))
			}
		}
	}
	if l.musl {
		add(o, l.environment)
		for a := o; a != nil; a = a.loader {
			// musl treats RPATH and RUNPATH alike and uses one of them.
			if a.links.runpath != "" {
				add(a, directories(a.links.runpath))
			} else {
				add(a, directories(a.links.rpath))
			}
		}
		add(o, l.system)
		return found
	}
	if o.links.runpath == "" {
		for a := o; a != nil; a = a.loader {
			if a.links.runpath == "" {
				add(a, directories(a.links.rpath))
			}
		}
	}
	first := o
	for first.loader != nil {
		first = first.loader
	}
	add(first, l.environment)
	add(o, directories(o.links.runpath))
	found = append(found, l.cached[name]...)
	add(o, l.system)
	return found
}

// directories splits a list. An empty element is the working directory.
func directories(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ":")
}

// expand replaces the variables that the loader replaces. It returns nothing if a value is not known: $PLATFORM is the
// name of the processor.
func (l *loader) expand(o *object, name string) []string {
	if name == "" {
		return []string{"."}
	}
	if !strings.Contains(name, "$") {
		return []string{name}
	}
	origin := path.Dir(o.path)
	name = strings.NewReplacer("${ORIGIN}", origin, "$ORIGIN", origin, "${LIB}", "$LIB").Replace(name)
	all := []string{name}
	if strings.Contains(name, "$LIB") {
		all = nil
		for _, lib := range l.libs {
			all = append(all, strings.ReplaceAll(name, "$LIB", lib))
		}
	}
	var known []string
	for _, n := range all {
		if !strings.Contains(n, "$") {
			known = append(known, n)
		}
	}
	return known
}
