package debian

import (
	"path"
	"regexp"
	"strings"

	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

// unread are directories with what no program needs in an image.
var unread = []string{
	"/usr/share/bug", "/usr/share/doc", "/usr/share/info", "/usr/share/lintian", "/usr/share/locale", "/usr/share/man",
}

// gconv are glibc's modules for character sets, of which Unicode's are the ones that are used.
var gconv = regexp.MustCompile(`^/usr/lib/([^/]+/)?gconv/([^/]+)`)

// superfluous tells whether a slim layer goes without an entry.
func superfluous(e layer.Entry) bool {
	if found := gconv.FindStringSubmatch(e.Path); found != nil {
		return !strings.HasPrefix(found[2], "gconv-modules") && !strings.HasPrefix(found[2], "UTF-")
	}
	for _, dir := range unread {
		if e.Path != dir && !strings.HasPrefix(e.Path, dir+"/") {
			continue
		}
		switch {
		case dir == "/usr/share/doc" && e.Kind != layer.Dir:
			// A licence must go with what it is for. Packages of one source may link to the directory of another.
			return path.Base(e.Path) != "copyright" && !(e.Kind == layer.Symlink && path.Dir(e.Path) == dir)
		case e.Path == "/usr/share/locale/locale.alias":
			return false
		}
		return true
	}
	return false
}
