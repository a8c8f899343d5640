package debian

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

// move says that a directory is a link, and where what is below it really is.
type move struct {
	from, to string
	link     string // as the script of base-files, or base-files itself, makes it
	always   bool   // the link is made even where nothing is at to
}

// moves are the directories that Debian has replaced by links. Some packages have files below them still.
var moves = []move{
	{"/bin", "/usr/bin", "usr/bin", true},
	{"/sbin", "/usr/sbin", "usr/sbin", true},
	{"/lib", "/usr/lib", "usr/lib", true},
	{"/lib32", "/usr/lib32", "usr/lib32", false},
	{"/lib64", "/usr/lib64", "usr/lib64", false},
	{"/libx32", "/usr/libx32", "usr/libx32", false},
	{"/var/run", "/run", "/run", true},
	{"/var/lock", "/run/lock", "/run/lock", true},
}

// directories are those that programs expect, and that packages need not have.
var directories = map[string]uint32{
	"/dev": 0o755, "/etc": 0o755, "/home": 0o755, "/media": 0o755, "/mnt": 0o755, "/opt": 0o755, "/proc": 0o755,
	"/root": 0o700, "/run": 0o755, "/run/lock": 0o1777, "/srv": 0o755, "/sys": 0o755, "/tmp": 0o1777,
	"/usr/bin": 0o755, "/usr/lib": 0o755, "/usr/sbin": 0o755, "/var": 0o755, "/var/tmp": 0o1777,
}

// moved returns where an entry really is. An entry may be the link itself.
func moved(e layer.Entry) (string, error) {
	for _, m := range moves {
		if rest, ok := strings.CutPrefix(e.Path, m.from+"/"); ok {
			return m.to + "/" + rest, nil
		}
		if e.Path != m.from {
			continue
		}
		if e.Kind == layer.Dir {
			return m.to, nil
		}
		target := e.Link
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(e.Path), target)
		}
		if e.Kind != layer.Symlink || path.Clean(target) != m.to {
			return e.Path, fmt.Errorf("what Debian has there is a link to %s", m.to)
		}
	}
	return e.Path, nil
}

// layout makes the links and directories that no package has, and refuses what would be written through a link.
func (m *merger) layout() error {
	for p, mode := range directories {
		if _, ok := m.items[p]; !ok {
			m.items[p] = item{Entry: layer.Entry{Path: p, Kind: layer.Dir, Mode: mode}}
		}
	}
	below := map[string]bool{} // all directories that something is in
	for _, p := range slices.Sorted(maps.Keys(m.items)) {
		for dir := path.Dir(p); dir != "/" && !below[dir]; dir = path.Dir(dir) {
			below[dir] = true
			if have, ok := m.items[dir]; ok && have.Kind != layer.Dir {
				return &ConflictError{p, describe(have) + " at " + dir, describe(m.items[p])}
			}
		}
	}
	for _, mv := range moves {
		_, linked := m.items[mv.from]
		_, used := m.items[mv.to]
		if !linked && (mv.always || used || below[mv.to]) {
			m.items[mv.from] = item{Entry: layer.Entry{Path: mv.from, Kind: layer.Symlink, Mode: 0o777, Link: mv.link}}
		}
	}
	return nil
}

// inRoot turns the name of a file in a package into a path in the image.
func inRoot(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("a name that is empty")
	case strings.HasPrefix(name, "/"):
		return "", errors.New("an absolute path")
	case slices.Contains(strings.Split(name, "/"), ".."):
		return "", errors.New("a path with a .. element")
	}
	if err := checkText(name); err != nil {
		return "", err
	}
	return path.Join("/", name), nil
}

// checkText refuses what cannot be the name of a file on Linux, or what Debian Policy, 10.10 rules out.
func checkText(name string) error {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return errors.New("a name that is not text in UTF-8")
	}
	if len(name) >= 4096 {
		return errors.New("a path that is too long")
	}
	for elem := range strings.SplitSeq(name, "/") {
		if len(elem) > 255 {
			return errors.New("a name that is too long")
		}
	}
	return nil
}

// checkLink refuses a symbolic link whose target climbs above the root. An absolute target starts at the image's root.
func checkLink(at, target string) error {
	if target == "" {
		return errors.New("a link to nothing")
	}
	if err := checkText(target); err != nil {
		return fmt.Errorf("a link to %.60q: %w", target, err)
	}
	depth := strings.Count(at, "/") - 1
	if path.IsAbs(target) {
		depth = 0
	}
	for elem := range strings.SplitSeq(target, "/") {
		switch elem {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return fmt.Errorf("a link to %q, which is above the root", target)
			}
		default:
			depth++
		}
	}
	return nil
}
