package config

import (
	"path"
	"slices"
	"strings"
)

// checkDirectories validates the directories and links of an image or of its overrides.
func (r *reader) checkDirectories(at Path, s Settings) {
	first := map[string]Path{}
	once := func(at Path, p string) {
		r.checkCreated(at, p)
		if other, twice := first[path.Clean(p)]; twice && p != "" {
			r.fail(at, "remove one of the two", "%q is already defined in %s", p, other)
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
			r.fail(at.to("links", i, "path"), "remove the trailing slash", "invalid path of a link: %q", l.Path)
		}
		if l.To == "" || strings.ContainsRune(l.To, 0) {
			r.fail(at.to("links", i, "to"), "write an absolute path, or one relative to the directory of the link",
				"invalid target of a link: %q", l.To)
		}
	}
}

// checkCreated accepts absolute paths in the image except the root.
func (r *reader) checkCreated(at Path, p string) {
	r.checkInside(at, p)
	r.checkWhiteout(at, p)
	if path.Clean(p) == "/" {
		r.fail(at, "write a path below /", "the root of the image always exists")
	}
}

// checkWhiteout rejects names that container runtimes interpret as deletions; see "Whiteouts" in
// the image specification.
func (r *reader) checkWhiteout(at Path, p string) {
	if slices.ContainsFunc(strings.Split(p, "/"), func(name string) bool { return strings.HasPrefix(name, ".wh.") }) {
		r.fail(at, "choose another name",
			"%q contains a name with the prefix .wh., which container runtimes interpret as the deletion of a file", p)
	}
}
