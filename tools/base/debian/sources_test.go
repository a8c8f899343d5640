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

// public are the mirrors of the security archive for machines that name none.
var public = []string{"http://deb.debian.org/debian-security", "http://security.debian.org/debian-security"}

func TestSources(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
		// security are the mirrors of the security archive; none are Debian's.
		security []string
		frozen   []string
	}{
		"none": {nil, []string{debian.DefaultMirror}, nil, nil},
		"lines": {map[string]string{"sources.list": `# deb http://off.example/debian trixie main
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
`}, []string{"http://one.example/debian", "https://two.example/debian"}, []string{"http://security.example/debian-security"}, nil},
		"stanzas": {map[string]string{"sources.list.d/debian.sources": `# by the installer
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
`, "sources.list.d/old.list": "deb http://three.example/debian oldstable main\n", "sources.list.d/notes.txt": "deb http://no.example/debian stable main\n"},
			[]string{"http://three.example/debian", "http://one.example/debian", "http://two.example/debian"},
			[]string{"http://security.example/debian-security"}, nil},
		"a list of mirrors": {map[string]string{
			"sources.list.d/debian.sources": "Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: trixie\n",
			"mirrors/debian.list":           "# near\nhttps://near.example/debian\tpriority:1\nhttp://far.example/debian\n",
		}, []string{"https://near.example/debian", "http://far.example/debian"}, append(public[:2:2], "https://near.example/debian-security", "http://far.example/debian-security"), nil},
		"a list that is missing": {map[string]string{"sources.list": "deb mirror+file:/etc/apt/mirrors/x trixie main\n"}, []string{debian.DefaultMirror}, nil, nil},
		"security updates in a folder": {map[string]string{"sources.list": `deb http://one.example/debian buster main
deb http://security.example/ buster/updates main
`}, []string{"http://one.example/debian"}, []string{"http://security.example"}, nil},
		"one tree for all": {map[string]string{"sources.list.d/debian.sources": "Types: deb\nURIs: http://one.example/debian\nSuites: trixie trixie-updates trixie-security\n"},
			[]string{"http://one.example/debian"}, []string{"http://one.example/debian"}, nil},
		"frozen": {map[string]string{
			"sources.list":             "deb [check-valid-until=no] http://one.example/debian trixie main\ndeb [check-valid-until=yes] http://two.example/debian trixie main\n",
			"sources.list.d/s.sources": "Types: deb\nURIs: http://security.example/debian-security\nSuites: trixie-security\nCheck-Valid-Until: no\n",
		}, []string{"http://one.example/debian", "http://two.example/debian"}, []string{"http://security.example/debian-security"},
			[]string{"http://one.example/debian", "http://security.example/debian-security"}},
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
			assert.Equal(t, c.want, got.Main)
			if c.security == nil {
				c.security = public
			}
			assert.Equal(t, c.security, got.Security)
			assert.Equal(t, c.frozen, got.Frozen)
			assert.Equal(t, "http://snapshot.debian.org/archive", got.Snapshot)
		})
	}
	t.Run("broken", func(t *testing.T) {
		root := t.TempDir()
		require.NoError(t, os.MkdirAll(filepath.Join(root, "etc/apt/sources.list.d"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, "etc/apt/sources.list.d/x.sources"), []byte("nonsense\n"), 0o644))
		_, err := debian.Sources(root, nil)
		assert.ErrorContains(t, err, "x.sources: stanza, line 1: invalid field \"nonsense\"")
	})
}

// TestSourcesOfAnotherKey: an archive counts if one of the keys can sign it, whatever the file of its keys is called.
func TestSourcesOfAnotherKey(t *testing.T) {
	ours, other := newKey(t), newKey(t)
	for name, c := range map[string]struct {
		option string
		want   bool
	}{
		"a file of our key":            {"/etc/apt/keyrings/ours.gpg", true},
		"a file of another key":        {"/etc/apt/keyrings/other.gpg", false},
		"either":                       {"/etc/apt/keyrings/other.gpg,/etc/apt/keyrings/ours.gpg", true},
		"a file that is missing":       {"/etc/apt/keyrings/missing.gpg", false},
		"the keys of Debian":           {"/usr/share/keyrings/debian-archive-keyring.gpg", false},
		"a fingerprint of ours":        {fmt.Sprintf("%X", ours.PrimaryKey.Fingerprint), true},
		"another fingerprint":          {fmt.Sprintf("%X", other.PrimaryKey.Fingerprint), false},
		"an empty file":                {"/etc/apt/keyrings/empty.gpg", false},
		"nothing, as in older systems": {"", true},
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

func TestMirrorsOfABase(t *testing.T) {
	machine, err := debian.Sources(t.TempDir(), nil)
	require.NoError(t, err)
	given := machine.With(nil, []string{"http://s.example"})
	for name, c := range map[string]struct {
		got            debian.Mirrors
		main, security []string
	}{
		"the machine's":           {machine.ForBase("", config.Security{}, ""), []string{debian.DefaultMirror}, public},
		"a mirror":                {machine.ForBase("http://m.example/debian", config.Security{}, ""), []string{"http://m.example/debian"}, append([]string{"http://m.example/debian-security", "http://m.example/debian"}, public...)},
		"a mirror in a folder":    {machine.ForBase("http://m.example/debian/2026/", config.Security{}, ""), []string{"http://m.example/debian/2026/"}, append([]string{"http://m.example/debian-security/2026", "http://m.example/debian/2026"}, public...)},
		"a host called debian":    {machine.ForBase("http://debian", config.Security{}, ""), []string{"http://debian"}, append([]string{"http://debian"}, public...)},
		"both":                    {machine.ForBase("http://m.example/debian", config.Security{Mirror: "http://s.example"}, ""), []string{"http://m.example/debian"}, []string{"http://s.example"}},
		"the machine's is chosen": {given.ForBase("http://m.example/debian", config.Security{}, ""), []string{"http://m.example/debian"}, []string{"http://s.example"}},
		"two":                     {machine.With([]string{"http://a.example/debian", "http://b.example/debian"}, nil), []string{"http://a.example/debian", "http://b.example/debian"}, append([]string{"http://a.example/debian-security", "http://b.example/debian-security", "http://a.example/debian", "http://b.example/debian"}, public...)},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.main, c.got.Main)
			assert.Equal(t, c.security, c.got.Security)
		})
	}
	assert.Empty(t, machine.ForBase("", config.Security{}, "own.gpg").Snapshot, "the names of private packages stay here")
}
