package config

import (
	"path"
	"slices"
	"strings"
)

// checkDirectories checks the directories and links of an image or of its overrides.
func (r *reader) checkDirectories(at Path, s Settings) {
	first := map[string]Path{}
	once := func(at Path, p string) {
		r.checkCreated(at, p)
		if other, twice := first[path.Clean(p)]; twice && p != "" {
			r.fail(at, "remove one of them", "%q is in %s already", p, other)
			return
		}
		first[path.Clean(p)] = at
	}
	for i, d := range s.Directories {
		once(at.to("directories", i, "path"), d.Path)
	}
	for i, l := range s.Links {
		once(at.to("links", i, "path"), l.Path)
		if strings.HasSuffix(l.Path, "/") {
			r.fail(at.to("links", i, "path"), "write it without the slash at its end", "%q is not the path of a link", l.Path)
		}
		if l.To == "" || strings.ContainsRune(l.To, 0) {
			r.fail(at.to("links", i, "to"), "write an absolute path, or one relative to the directory of the link", "%q is not a target of a link", l.To)
		}
	}
}

// checkCreated accepts an absolute path of the image, except its root.
func (r *reader) checkCreated(at Path, p string) {
	r.checkInside(at, p)
	r.checkWhiteout(at, p)
	if path.Clean(p) == "/" {
		r.fail(at, "name something below /", "the root of the image is always there")
	}
}

// checkWhiteout refuses names that container runtimes take for the removal of a file: image spec, "Whiteouts".
func (r *reader) checkWhiteout(at Path, p string) {
	if slices.ContainsFunc(strings.Split(p, "/"), func(name string) bool { return strings.HasPrefix(name, ".wh.") }) {
		r.fail(at, "choose another name", "%q has a name that begins with .wh., which container runtimes take for the removal of a file", p)
	}
}
