package debian_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/base/debian"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// defaultSecurity lists the mirrors of the security archive for machines without another one.
var defaultSecurity = []string{
	"http://deb.debian.org/debian-security", "http://security.debian.org/debian-security",
}

func TestSourcesReadsAptConfiguration(t *testing.T) {
	for name, c := range map[string]struct {
		files    map[string]string // below /etc/apt
		main     []string
		security []string // default: defaultSecurity
		frozen   []string
	}{
		"none": {main: []string{debian.DefaultMirror}},
		"one-line format": {
			files: map[string]string{"sources.list": `# deb http://off.example/debian trixie main
deb http://one.example/debian/ trixie main contrib # near
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] https://two.example/debian trixie-updates main
deb-src http://source.example/debian trixie main
deb http://security.example/debian-security trixie-security main
deb http://one.example/debian trixie-backports main
deb [signed-by=/etc/apt/keyrings/docker.asc] https://docker.example/linux/debian trixie stable
deb http://apt.example/pgdg trixie-pgdg main
deb cdrom:[Debian]/ trixie main
deb file:/srv/debian trixie main
deb
`},
			main:     []string{"http://one.example/debian", "https://two.example/debian"},
			security: []string{"http://security.example/debian-security"},
		},
		"deb822 format": {
			files: map[string]string{
				"sources.list.d/debian.sources": `# by the installer
Types: deb deb-src
URIs: http://one.example/debian
# a second one
  http://two.example/debian/
Suites: stable stable-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://off.example/debian
Suites: stable
Enabled: no

Types: deb
URIs: http://security.example/debian-security
Suites: stable-security

Types: deb
URIs: http://other.example/apt
Suites: stable
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 xxxx
`,
				"sources.list.d/old.list":  "deb http://three.example/debian oldstable main\n",
				"sources.list.d/notes.txt": "deb http://no.example/debian stable main\n",
			},
			main:     []string{"http://three.example/debian", "http://one.example/debian", "http://two.example/debian"},
			security: []string{"http://security.example/debian-security"},
		},
		"list of mirrors": {
			files: map[string]string{
				"sources.list.d/debian.sources": "Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: trixie\n",
				"mirrors/debian.list":           "# near\nhttps://near.example/debian\tpriority:1\nhttp://far.example/debian\n",
			},
			main: []string{"https://near.example/debian", "http://far.example/debian"},
			security: append(slices.Clone(defaultSecurity),
				"https://near.example/debian-security", "http://far.example/debian-security"),
		},
		"missing list of mirrors": {
			files: map[string]string{"sources.list": "deb mirror+file:/etc/apt/mirrors/x trixie main\n"},
			main:  []string{debian.DefaultMirror},
		},
		"security updates in a subdirectory": {
			files: map[string]string{"sources.list": `deb http://one.example/debian buster main
deb http://security.example/ buster/updates main
`},
			main: []string{"http://one.example/debian"}, security: []string{"http://security.example"},
		},
		"security updates in the tree of the suite": {
			files: map[string]string{"sources.list.d/debian.sources": `Types: deb
URIs: http://one.example/debian
Suites: trixie trixie-updates trixie-security
`},
			main: []string{"http://one.example/debian"}, security: []string{"http://one.example/debian"},
		},
		"frozen archives": {
			files: map[string]string{
				"sources.list": `deb [check-valid-until=no] http://one.example/debian trixie main
deb [check-valid-until=yes] http://two.example/debian trixie main
`,
				"sources.list.d/s.sources": `Types: deb
URIs: http://security.example/debian-security
Suites: trixie-security
Check-Valid-Until: no
`,
			},
			main:     []string{"http://one.example/debian", "http://two.example/debian"},
			security: []string{"http://security.example/debian-security"},
			frozen:   []string{"http://one.example/debian", "http://security.example/debian-security"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for name, content := range c.files {
				name = filepath.Join(root, "etc", "apt", filepath.FromSlash(name))
				require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
				require.NoError(t, os.WriteFile(name, []byte(content), 0o644))
			}
			got, err := debian.Sources(root, nil)
			require.NoError(t, err)
			assert.Equal(t, c.main, got.Main)
			if c.security == nil {
				c.security = defaultSecurity
			}
			assert.Equal(t, c.security, got.Security)
			assert.Equal(t, c.frozen, got.Frozen)
			assert.Equal(t, "http://snapshot.debian.org/archive", got.Snapshot)
		})
	}
}

func TestSourcesReportsInvalidFile(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "etc/apt/sources.list.d/x.sources")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte("nonsense\n"), 0o644))
	_, err := debian.Sources(root, nil)
	assert.ErrorContains(t, err, `x.sources: stanza, line 1: invalid field "nonsense"`)
}

func TestSourcesSelectsArchivesByKey(t *testing.T) {
	ours, other := newKey(t), newKey(t)
	for name, c := range map[string]struct {
		option string
		want   bool
	}{
		"file with our key":          {"/etc/apt/keyrings/ours.gpg", true},
		"file with another key":      {"/etc/apt/keyrings/other.gpg", false},
		"files with either key":      {"/etc/apt/keyrings/other.gpg,/etc/apt/keyrings/ours.gpg", true},
		"missing file":               {"/etc/apt/keyrings/missing.gpg", false},
		"keys of Debian":             {"/usr/share/keyrings/debian-archive-keyring.gpg", false},
		"fingerprint of our key":     {fmt.Sprintf("%X", ours.PrimaryKey.Fingerprint), true},
		"fingerprint of another key": {fmt.Sprintf("%X", other.PrimaryKey.Fingerprint), false},
		"empty file":                 {"/etc/apt/keyrings/empty.gpg", false},
		"no Signed-By":               {"", true},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			keyrings := filepath.Join(root, "etc/apt/keyrings")
			require.NoError(t, os.MkdirAll(keyrings, 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(keyrings, "ours.gpg"), publicKey(t, other, ours), 0o644))
			require.NoError(t, os.WriteFile(filepath.Join(keyrings, "other.gpg"), publicKey(t, other), 0o644))
			require.NoError(t, os.WriteFile(filepath.Join(keyrings, "empty.gpg"), nil, 0o644))
			require.NoError(t, os.WriteFile(filepath.Join(root, "etc/apt/sources.list"),
				[]byte("deb [signed-by="+c.option+"] http://one.example/debian trixie main\n"), 0o644))
			got, err := debian.Sources(root, publicKey(t, ours))
			require.NoError(t, err)
			assert.Equal(t, c.want, slices.Contains(got.Main, "http://one.example/debian"))
		})
	}
}

func TestMirrorsForBase(t *testing.T) {
	machine, err := debian.Sources(t.TempDir(), nil)
	require.NoError(t, err)
	withSecurity := machine.With(nil, []string{"http://s.example"})
	const mirror = "http://m.example/debian"
	securityMirror := config.Security{Mirror: "http://s.example"}
	for name, c := range map[string]struct {
		got            debian.Mirrors
		main, security []string
		defaults       bool // security ends with defaultSecurity
	}{
		"without mirrors": {
			got: machine.ForBase("", config.Security{}, ""), main: []string{debian.DefaultMirror}, defaults: true,
		},
		"with a mirror": {
			got: machine.ForBase(mirror, config.Security{}, ""), main: []string{mirror},
			security: []string{"http://m.example/debian-security", mirror}, defaults: true,
		},
		"with a subdirectory of a mirror": {
			got: machine.ForBase(mirror+"/2026/", config.Security{}, ""), main: []string{mirror + "/2026/"},
			security: []string{"http://m.example/debian-security/2026", mirror + "/2026"}, defaults: true,
		},
		"with a host named debian": {
			got: machine.ForBase("http://debian", config.Security{}, ""), main: []string{"http://debian"},
			security: []string{"http://debian"}, defaults: true,
		},
		"with both mirrors": {
			got: machine.ForBase(mirror, securityMirror, ""), main: []string{mirror}, security: []string{"http://s.example"},
		},
		"with the machine's security mirror": {
			got: withSecurity.ForBase(mirror, config.Security{}, ""), main: []string{mirror},
			security: []string{"http://s.example"},
		},
		"with two mirrors": {
			got:  machine.With([]string{"http://a.example/debian", "http://b.example/debian"}, nil),
			main: []string{"http://a.example/debian", "http://b.example/debian"},
			security: []string{
				"http://a.example/debian-security", "http://b.example/debian-security",
				"http://a.example/debian", "http://b.example/debian",
			},
			defaults: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.defaults {
				c.security = append(c.security, defaultSecurity...)
			}
			assert.Equal(t, c.main, c.got.Main)
			assert.Equal(t, c.security, c.got.Security)
		})
	}
	assert.Empty(t, machine.ForBase("", config.Security{}, "own.gpg").Snapshot,
		"the snapshot archive must not learn the names of private packages")
}
