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

// dirLink is a link that replaces a directory.
type dirLink struct {
	path, target string
	link         string // as base-files or its script creates it
	always       bool   // create the link even if the target does not exist
}

// dirLinks lists the directories that Debian has replaced with links. Some packages still have files below them.
var dirLinks = []dirLink{
	{"/bin", "/usr/bin", "usr/bin", true},
	{"/sbin", "/usr/sbin", "usr/sbin", true},
	{"/lib", "/usr/lib", "usr/lib", true},
	{"/lib32", "/usr/lib32", "usr/lib32", false},
	{"/lib64", "/usr/lib64", "usr/lib64", false},
	{"/libx32", "/usr/libx32", "usr/libx32", false},
	{"/var/run", "/run", "/run", true},
	{"/var/lock", "/run/lock", "/run/lock", true},
}

// standardDirs maps directories that programs expect, but that packages may lack, to their modes.
var standardDirs = map[string]uint32{
	"/dev": 0o755, "/etc": 0o755, "/home": 0o755, "/media": 0o755, "/mnt": 0o755, "/opt": 0o755, "/proc": 0o755,
	"/root": 0o700, "/run": 0o755, "/run/lock": 0o1777, "/srv": 0o755, "/sys": 0o755, "/tmp": 0o1777,
	"/usr/bin": 0o755, "/usr/lib": 0o755, "/usr/sbin": 0o755, "/var": 0o755, "/var/tmp": 0o1777,
}

// followDirLinks returns the path of an entry after dirLinks. The entry may also be one of these links.
func followDirLinks(e layer.Entry) (string, error) {
	for _, l := range dirLinks {
		if rest, ok := strings.CutPrefix(e.Path, l.path+"/"); ok {
			return l.target + "/" + rest, nil
		}
		if e.Path != l.path {
			continue
		}
		if e.Kind == layer.Dir {
			return l.target, nil
		}
		target := e.Link
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(e.Path), target)
		}
		if e.Kind != layer.Symlink || path.Clean(target) != l.target {
			return e.Path, fmt.Errorf("must be a link to %s, as in Debian", l.target)
		}
	}
	return e.Path, nil
}

// addLayout adds the directories and links that the packages lack. It rejects entries below a link or a file.
func (m *merger) addLayout() error {
	for p, mode := range standardDirs {
		if _, ok := m.items[p]; !ok {
			m.items[p] = item{Entry: layer.Entry{Path: p, Kind: layer.Dir, Mode: mode}}
		}
	}
	parents := map[string]bool{}
	for _, p := range slices.Sorted(maps.Keys(m.items)) {
		for dir := path.Dir(p); dir != "/" && !parents[dir]; dir = path.Dir(dir) {
			parents[dir] = true
			if have, ok := m.items[dir]; ok && have.Kind != layer.Dir {
				return &ConflictError{p, describe(have) + " at " + dir, describe(m.items[p])}
			}
		}
	}
	for _, l := range dirLinks {
		_, linked := m.items[l.path]
		_, exists := m.items[l.target]
		if !linked && (l.always || exists || parents[l.target]) {
			m.items[l.path] = item{Entry: layer.Entry{Path: l.path, Kind: layer.Symlink, Mode: 0o777, Link: l.link}}
		}
	}
	return nil
}

// imagePath converts the name of a file in a package to its path in the image.
func imagePath(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("empty name")
	case strings.HasPrefix(name, "/"):
		return "", errors.New("absolute path")
	case slices.Contains(strings.Split(name, "/"), ".."):
		return "", errors.New(`path contains a ".." element`)
	}
	if err := validateName(name); err != nil {
		return "", err
	}
	return path.Join("/", name), nil
}

// validateName rejects names that Linux or Debian Policy, section 10.10, does not allow.
func validateName(name string) error {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return errors.New("name is not printable UTF-8")
	}
	if len(name) >= 4096 {
		return errors.New("path too long")
	}
	for elem := range strings.SplitSeq(name, "/") {
		if len(elem) > 255 {
			return errors.New("name too long")
		}
	}
	return nil
}

// validateLink rejects symbolic links to targets above the root. Absolute targets are relative to the root of the
// image.
func validateLink(at, target string) error {
	if target == "" {
		return errors.New("link without a target")
	}
	if err := validateName(target); err != nil {
		return fmt.Errorf("link to %.60q: %w", target, err)
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
				return fmt.Errorf("link to %q, which is above the root", target)
			}
		default:
			depth++
		}
	}
	return nil
}
