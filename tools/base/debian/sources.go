package debian

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// DefaultMirror is the mirror of machines that name no other.
const DefaultMirror = "http://deb.debian.org/debian"

// debianSuite matches the suites of Debian's main archive. Those of -security are in another.
var debianSuite = regexp.MustCompile(`^(((old){0,2}stable|testing|unstable|sid|buster|bullseye|bookworm|trixie|forky|duke)(-updates|-backports|-proposed-updates)?|experimental)$`)

// Sources returns the mirrors of Debian that a machine's apt uses, in the order of its files: sources.list(5), in both
// forms. root is the machine's root directory. Other archives, and Debian's for security, are left out; a machine that
// names none has DefaultMirror.
func Sources(root string) ([]string, error) {
	var out []string
	add := func(kinds, uris, suites []string, signedBy string) error {
		if !slices.Contains(kinds, "deb") || !slices.ContainsFunc(suites, debianSuite.MatchString) {
			return nil
		}
		// Others call their suites stable, too; but their keys are not Debian's.
		if signedBy != "" && !strings.Contains(signedBy, "debian-archive") {
			return nil
		}
		mirrors, err := mirrorsOf(root, uris)
		for _, m := range mirrors {
			if m = strings.TrimRight(m, "/"); !slices.Contains(out, m) {
				out = append(out, m)
			}
		}
		return err
	}
	etc := filepath.Join(root, "etc", "apt")
	files := []string{filepath.Join(etc, "sources.list")}
	for _, ending := range []string{"*.list", "*.sources"} {
		found, err := filepath.Glob(filepath.Join(etc, "sources.list.d", ending))
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			if path.Ext(name) == ".sources" {
				err = deb822(content, add)
			} else {
				err = oneLine(content, add)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("reading which mirrors this machine uses: %s: %w", name, err)
		}
	}
	if len(out) == 0 {
		out = []string{DefaultMirror}
	}
	return out, nil
}

type adder = func(kinds, uris, suites []string, signedBy string) error

// oneLine reads the older form: deb [options] uri suite component...
func oneLine(content []byte, add adder) error {
	for line := range strings.Lines(string(content)) {
		line, _, _ = strings.Cut(line, "#")
		signedBy := ""
		if before, rest, ok := strings.Cut(line, "["); ok {
			options, after, _ := strings.Cut(rest, "]")
			for option := range strings.FieldsSeq(options) {
				if value, ok := strings.CutPrefix(option, "signed-by="); ok {
					signedBy = value
				}
			}
			line = before + " " + after
		}
		if f := strings.Fields(line); len(f) >= 3 {
			if err := add(f[:1], f[1:2], f[2:3], signedBy); err != nil {
				return err
			}
		}
	}
	return nil
}

// deb822 reads the newer form: a stanza for each archive.
func deb822(content []byte, add adder) error {
	// Comments may stand anywhere, and belong to no field.
	var plain bytes.Buffer
	for line := range bytes.Lines(content) {
		if !bytes.HasPrefix(line, []byte("#")) {
			plain.Write(line)
		}
	}
	return stanzas(plain.Bytes(), func(stanza []byte, _ int) error {
		f := map[string]string{}
		if err := fields(stanza, func(name, value []byte) { f[strings.ToLower(string(name))] = string(value) }); err != nil {
			return err
		}
		if slices.Contains([]string{"no", "false", "0", "off"}, strings.ToLower(f["enabled"])) {
			return nil
		}
		return add(strings.Fields(f["types"]), strings.Fields(f["uris"]), strings.Fields(f["suites"]), f["signed-by"])
	})
}

// mirrorsOf leaves out what is not read over HTTP, and reads lists of mirrors: apt-transport-mirror(1), as images for
// clouds have them.
func mirrorsOf(root string, uris []string) ([]string, error) {
	var out []string
	for _, uri := range uris {
		switch scheme, _, _ := strings.Cut(uri, ":"); scheme {
		case "http", "https":
			out = append(out, uri)
		case "mirror+file":
			list := filepath.Join(root, filepath.FromSlash(strings.TrimLeft(strings.TrimPrefix(uri, "mirror+file:"), "/")))
			content, err := os.ReadFile(list)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			for line := range strings.Lines(string(content)) {
				if f := strings.Fields(line); len(f) > 0 && strings.HasPrefix(f[0], "http") {
					out = append(out, f[0])
				}
			}
		}
	}
	return out, nil
}
