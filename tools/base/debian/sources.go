package debian

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"

	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
)

// Names of suites in Debian's archives. The security archive used subdirectories until buster.
const (
	suiteNames = `((old){0,2}stable|testing|buster|bullseye|bookworm|trixie|forky|duke)`
	debianName = `^((` + suiteNames + `|unstable|sid)(-updates|-backports|-proposed-updates)?|experimental)$`
)

var (
	debianSuite   = regexp.MustCompile(debianName)
	securitySuite = regexp.MustCompile(`^` + suiteNames + `(-security|/updates)$`)
)

// aptSource is an entry of apt's sources.
type aptSource struct {
	types, uris, suites []string
	signedBy            string
	frozen              bool // Check-Valid-Until: no
}

// Sources returns the Debian mirrors that apt uses, in the order of its files (sources.list(5), in both formats). root
// is the root directory of the machine. Sources skips archives that the keys of keyring (default: the keys of the
// Debian archive) do not sign. If apt has no mirrors, Sources returns Debian's.
func Sources(root string, keyring []byte) (Mirrors, error) {
	m := Mirrors{Snapshot: DefaultSnapshot}
	add := func(s aptSource) error {
		main := slices.ContainsFunc(s.suites, debianSuite.MatchString)
		security := slices.ContainsFunc(s.suites, securitySuite.MatchString)
		// Other archives also have a suite named stable, but are signed with other keys.
		if !slices.Contains(s.types, "deb") || !main && !security || !signedWith(root, s.signedBy, keyring) {
			return nil
		}
		mirrors, err := mirrorsOf(root, s.uris)
		if main {
			m.Main = mergeUnique(m.Main, mirrors)
		}
		if security {
			m.Security = mergeUnique(m.Security, mirrors)
		}
		if s.frozen {
			m.Frozen = mergeUnique(m.Frozen, mirrors)
		}
		return err
	}
	if err := readSources(root, add); err != nil {
		return m, err
	}
	named := m.Main
	if len(m.Main) == 0 {
		m.Main = []string{DefaultMirror}
	}
	if len(m.Security) == 0 {
		m.Security = mergeUnique(defaultSecurity, securitySiblings(named))
	}
	return m, nil
}

// readSources calls add with each entry of apt's files.
func readSources(root string, add func(aptSource) error) error {
	etc := filepath.Join(root, "etc", "apt")
	files := []string{filepath.Join(etc, "sources.list")}
	for _, pattern := range []string{"*.list", "*.sources"} {
		found, err := filepath.Glob(filepath.Join(etc, "sources.list.d", pattern))
		if err != nil {
			return err
		}
		files = append(files, found...)
	}
	for _, name := range files {
		content, err := inputfile.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			if path.Ext(name) == ".sources" {
				err = parseDeb822(content, add)
			} else {
				err = parseOneLine(content, add)
			}
		}
		if err != nil {
			return fmt.Errorf("reading apt sources %s: %w", name, err)
		}
	}
	return nil
}

// signedWith reports whether a key of the keyring can sign an archive with the given Signed-By option, which lists
// files and fingerprints, or contains a keyring. The file of the package debian-archive-keyring is recognized by its
// name.
func signedWith(root, option string, keyring []byte) bool {
	if strings.TrimSpace(option) == "" {
		return true
	}
	keys, err := readKeys(keyring)
	if err != nil {
		return false // reported when the keyring is used
	}
	if strings.Contains(option, "BEGIN PGP") {
		var block strings.Builder
		for line := range strings.Lines(option) {
			if line = strings.TrimSpace(line); line == "." {
				line = ""
			}
			block.WriteString(line + "\n")
		}
		signers, err := readKeys([]byte(block.String()))
		return err == nil && shareKey(signers, keys)
	}
	separator := func(r rune) bool { return strings.ContainsRune(", \t\n", r) }
	return slices.ContainsFunc(strings.FieldsFunc(option, separator), func(word string) bool {
		if !strings.HasPrefix(word, "/") {
			return slices.Contains(fingerprints(keys), strings.ToUpper(strings.TrimSuffix(word, "!")))
		}
		if len(keyring) == 0 && strings.Contains(word, "debian-archive") {
			return true
		}
		content, err := inputfile.ReadFile(filepath.Join(root, filepath.FromSlash(word)))
		if err != nil || len(content) == 0 {
			return false
		}
		signers, err := readKeys(content)
		return err == nil && shareKey(signers, keys)
	})
}

// shareKey reports whether two keyrings have a key in common.
func shareKey(a, b openpgp.EntityList) bool {
	known := fingerprints(b)
	return slices.ContainsFunc(fingerprints(a), func(id string) bool { return slices.Contains(known, id) })
}

// fingerprints returns the fingerprints of keys and their subkeys, in upper-case hexadecimal.
func fingerprints(keys openpgp.EntityList) []string {
	var out []string
	for _, key := range keys {
		out = append(out, fmt.Sprintf("%X", key.PrimaryKey.Fingerprint))
		for _, sub := range key.Subkeys {
			out = append(out, fmt.Sprintf("%X", sub.PublicKey.Fingerprint))
		}
	}
	return out
}

// isFalse reports whether a boolean option of apt is false.
func isFalse(value string) bool {
	return slices.Contains([]string{"no", "false", "without", "0", "off", "disable"}, strings.ToLower(value))
}

// parseOneLine parses the one-line format: deb [options] uri suite component...
func parseOneLine(content []byte, add func(aptSource) error) error {
	for line := range strings.Lines(string(content)) {
		line, _, _ = strings.Cut(line, "#")
		var s aptSource
		if before, rest, ok := strings.Cut(line, "["); ok {
			options, after, _ := strings.Cut(rest, "]")
			for option := range strings.FieldsSeq(options) {
				switch name, value, _ := strings.Cut(option, "="); strings.ToLower(name) {
				case "signed-by":
					s.signedBy = value
				case "check-valid-until":
					s.frozen = isFalse(value)
				}
			}
			line = before + " " + after
		}
		if f := strings.Fields(line); len(f) >= 3 {
			s.types, s.uris, s.suites = f[:1], f[1:2], f[2:3]
			if err := add(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// parseDeb822 parses the deb822 format, which has one stanza per archive.
func parseDeb822(content []byte, add func(aptSource) error) error {
	// Comments are allowed everywhere, even between the lines of a field.
	var plain bytes.Buffer
	for line := range bytes.Lines(content) {
		if !bytes.HasPrefix(line, []byte("#")) {
			plain.Write(line)
		}
	}
	return stanzas(plain.Bytes(), func(stanza []byte, _ int) error {
		f := map[string]string{}
		err := fields(stanza, func(name, value []byte) { f[strings.ToLower(string(name))] = string(value) })
		if err != nil {
			return err
		}
		if isFalse(f["enabled"]) {
			return nil
		}
		return add(aptSource{
			types: strings.Fields(f["types"]), uris: strings.Fields(f["uris"]), suites: strings.Fields(f["suites"]),
			signedBy: f["signed-by"], frozen: isFalse(f["check-valid-until"]),
		})
	})
}

// mirrorsOf returns the HTTP mirrors among URIs. It expands lists of mirrors (apt-transport-mirror(1)), which cloud
// images use.
func mirrorsOf(root string, uris []string) ([]string, error) {
	var out []string
	for _, uri := range uris {
		switch scheme, _, _ := strings.Cut(uri, ":"); scheme {
		case "http", "https":
			out = append(out, uri)
		case "mirror+file":
			list := strings.TrimLeft(strings.TrimPrefix(uri, "mirror+file:"), "/")
			content, err := inputfile.ReadFile(filepath.Join(root, filepath.FromSlash(list)))
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
