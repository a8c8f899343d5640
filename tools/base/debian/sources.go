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

// Names of suites in Debian's archives. Suites of the security archive were in a folder until buster.
const (
	suiteNames = `((old){0,2}stable|testing|buster|bullseye|bookworm|trixie|forky|duke)`
	debianName = `^((` + suiteNames + `|unstable|sid)(-updates|-backports|-proposed-updates)?|experimental)$`
)

var (
	debianSuite   = regexp.MustCompile(debianName)
	securitySuite = regexp.MustCompile(`^` + suiteNames + `(-security|/updates)$`)
)

// aptSource is an archive that apt uses.
type aptSource struct {
	kinds, uris, suites []string
	signedBy            string
	frozen              bool // apt does not check its Valid-Until
}

// Sources returns the mirrors of Debian that a machine's apt uses, in the order of its files: sources.list(5), in both
// forms. root is the machine's root directory. Archives that are signed with other keys than those of keyring are left
// out; none means the keys of the Debian archive. Of what a machine does not name, it has Debian's own mirrors.
func Sources(root string, keyring []byte) (Mirrors, error) {
	m := Mirrors{Snapshot: DefaultSnapshot}
	add := func(s aptSource) error {
		main, security := slices.ContainsFunc(s.suites, debianSuite.MatchString), slices.ContainsFunc(s.suites, securitySuite.MatchString)
		// Others call their suites stable, too; but their keys are not Debian's.
		if !slices.Contains(s.kinds, "deb") || !main && !security || !signedWith(root, s.signedBy, keyring) {
			return nil
		}
		mirrors, err := mirrorsOf(root, s.uris)
		if main {
			m.Main = unique(m.Main, mirrors)
		}
		if security {
			m.Security = unique(m.Security, mirrors)
		}
		if s.frozen {
			m.Frozen = unique(m.Frozen, mirrors)
		}
		return err
	}
	etc := filepath.Join(root, "etc", "apt")
	files := []string{filepath.Join(etc, "sources.list")}
	for _, ending := range []string{"*.list", "*.sources"} {
		found, err := filepath.Glob(filepath.Join(etc, "sources.list.d", ending))
		if err != nil {
			return m, err
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
				err = deb822(content, add)
			} else {
				err = oneLineForm(content, add)
			}
		}
		if err != nil {
			return m, fmt.Errorf("reading which mirrors this machine uses: %s: %w", name, err)
		}
	}
	named := m.Main
	if len(m.Main) == 0 {
		m.Main = []string{DefaultMirror}
	}
	if len(m.Security) == 0 {
		m.Security = unique(defaultSecurity, siblings(named))
	}
	return m, nil
}

// signedWith reports whether a key of the keyring can sign an archive with the given option Signed-By: files,
// fingerprints or a keyring itself. The file of the package debian-archive-keyring counts by its name.
func signedWith(root, option string, keyring []byte) bool {
	if strings.TrimSpace(option) == "" {
		return true
	}
	keys, err := readKeys(keyring)
	if err != nil {
		return false // locking says so
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
		return err == nil && anyOf(signers, keys)
	}
	return slices.ContainsFunc(strings.FieldsFunc(option, func(r rune) bool { return strings.ContainsRune(", \t\n", r) }), func(word string) bool {
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
		return err == nil && anyOf(signers, keys)
	})
}

func anyOf(some, all openpgp.EntityList) bool {
	known := fingerprints(all)
	return slices.ContainsFunc(fingerprints(some), func(id string) bool { return slices.Contains(known, id) })
}

// fingerprints returns those of keys and their subkeys, in upper-case hexadecimal.
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

// isNo reads a boolean option of apt.
func isNo(value string) bool {
	return slices.Contains([]string{"no", "false", "without", "0", "off", "disable"}, strings.ToLower(value))
}

// oneLineForm reads the older form: deb [options] uri suite component...
func oneLineForm(content []byte, add func(aptSource) error) error {
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
					s.frozen = isNo(value)
				}
			}
			line = before + " " + after
		}
		if f := strings.Fields(line); len(f) >= 3 {
			s.kinds, s.uris, s.suites = f[:1], f[1:2], f[2:3]
			if err := add(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// deb822 reads the newer form: a stanza for each archive.
func deb822(content []byte, add func(aptSource) error) error {
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
		if isNo(f["enabled"]) {
			return nil
		}
		return add(aptSource{
			strings.Fields(f["types"]), strings.Fields(f["uris"]), strings.Fields(f["suites"]), f["signed-by"], isNo(f["check-valid-until"]),
		})
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
			content, err := inputfile.ReadFile(list)
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
