package debian

import (
	"path"
	"regexp"
	"strings"

	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

// unusedDirs lists directories that programs in an image do not read.
var unusedDirs = []string{
	"/usr/share/bug", "/usr/share/doc", "/usr/share/info", "/usr/share/lintian", "/usr/share/locale", "/usr/share/man",
}

// gconv matches glibc's modules for character sets. Only those for Unicode are common.
var gconv = regexp.MustCompile(`^/usr/lib/([^/]+/)?gconv/([^/]+)`)

// omittedIfSlim reports whether slim layers omit an entry.
func omittedIfSlim(e layer.Entry) bool {
	if found := gconv.FindStringSubmatch(e.Path); found != nil {
		return !strings.HasPrefix(found[2], "gconv-modules") && !strings.HasPrefix(found[2], "UTF-")
	}
	for _, dir := range unusedDirs {
		if e.Path != dir && !strings.HasPrefix(e.Path, dir+"/") {
			continue
		}
		switch {
		case dir == "/usr/share/doc" && e.Kind != layer.Dir:
			// Licences must be kept. Packages from the same source may link to each other's directories.
			return path.Base(e.Path) != "copyright" && !(e.Kind == layer.Symlink && path.Dir(e.Path) == dir)
		case e.Path == "/usr/share/locale/locale.alias":
			return false
		}
		return true
	}
	return false
}
