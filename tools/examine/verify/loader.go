package verify

import (
	"encoding/binary"
	"path"
	"strings"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// loaderCache is the index of libraries that ldconfig writes for glibc's loader, which reads no /etc/ld.so.conf.
const loaderCache = "/etc/ld.so.cache"

// textLimit is how long a file may be whose content is kept. The loader cache of a desktop is 200 KiB.
const textLimit = 1 << 20

// textFile tells whether the content of a file is needed: loaders read it to know where libraries are, or runtimes to
// know who a user is.
func textFile(name string) bool {
	return name == passwdFile || name == groupFile || name == loaderCache || strings.HasPrefix(name, "/etc/ld-musl-") && strings.HasSuffix(name, ".path")
}

// libraryName tells whether a file is called as a shared library is.
func libraryName(name string) bool {
	base := path.Base(name)
	return strings.HasSuffix(base, ".so") || strings.Contains(base, ".so.")
}

// loader is the program that an ELF interpreter is, ld.so: where it looks for libraries.
type loader struct {
	musl bool
	// environment are the directories of LD_LIBRARY_PATH, as they are written there.
	environment []string
	// cached are the paths that the cache has for a name.
	cached map[string][]string
	// system are the directories that need not be named.
	system []string
	// libs are what $LIB can stand for.
	libs []string
	// unknown is the file that could not be read, and without which nothing can be said to be missing.
	unreadable string
}

// newLoader describes the loader at the path interpreter. multiarch are the names of Debian's directories.
func newLoader(root *rootfs, row arch.Row, interpreter string, env []string) *loader {
	l := &loader{musl: strings.HasPrefix(path.Base(interpreter), "ld-musl-")}
	if search, ok := variable(env, "LD_LIBRARY_PATH", false); ok && search != "" {
		l.environment = strings.FieldsFunc(strings.ReplaceAll(search, ";", ":"), func(r rune) bool { return r == ':' })
		if len(l.environment) == 0 || strings.Contains(":"+search+":", "::") {
			l.environment = append(l.environment, ".")
		}
	}
	if l.musl {
		// musl, ldso/dynlink.c: what the file lists, else these.
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

// multiarch lists Debian's directory for the libraries of a row. For one that Debian does not build (Raspbian's arm/v6
// is in the directory of arm/v7) or whose variant is not known it is those of all rows with the same machine.
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

// read returns the content of a file that was kept.
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

// parseLoaderCache reads what ldconfig has written: glibc, sysdeps/generic/dl-cache.h. Entries for some processors only
// are left out; there is always another for all.
func parseLoaderCache(text string, byteOrder arch.ByteOrder) (paths map[string][]string, ok bool) {
	var order binary.ByteOrder = binary.LittleEndian
	if byteOrder == arch.Big {
		order = binary.BigEndian
	}
	raw := []byte(text)
	const old, magic = "ld.so-1.7.0", "glibc-ld.so.cache1.1"
	if strings.HasPrefix(text, old) {
		// Up to glibc 2.31 the same stood there in an older form first: a head of 16 bytes, and entries of 12.
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

// builtIn tells whether musl's loader is itself what a name asks for: ldso/dynlink.c, load_library.
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

// object is a binary that has been loaded, and by which other: the first one by none.
type object struct {
	path   string
	links  *dynamic
	loader *object
	depth  int // how many others there are up to the first one
}

// places lists the paths that a name that o needs can have, in the order in which they are tried: man ld.so, and musl's
// ldso/dynlink.c. Relative ones are relative to the working directory.
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
			// One of the two is enough; musl makes no difference between them.
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

// directories splits a list. An empty word is the working directory.
func directories(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ":")
}

// expand replaces what a loader replaces. Where it cannot be known ($PLATFORM is the processor's name) there is no path.
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
