package debian_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/base/debian"
)

func TestSources(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"none": {nil, []string{debian.DefaultMirror}},
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
`}, []string{"http://one.example/debian", "https://two.example/debian"}},
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
			[]string{"http://three.example/debian", "http://one.example/debian", "http://two.example/debian"}},
		"a list of mirrors": {map[string]string{
			"sources.list.d/debian.sources": "Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: trixie\n",
			"mirrors/debian.list":           "# near\nhttps://near.example/debian\tpriority:1\nhttp://far.example/debian\n",
		}, []string{"https://near.example/debian", "http://far.example/debian"}},
		"a list that is missing": {map[string]string{"sources.list": "deb mirror+file:/etc/apt/mirrors/x trixie main\n"}, []string{debian.DefaultMirror}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for name, content := range c.files {
				name = filepath.Join(root, "etc", "apt", filepath.FromSlash(name))
				require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
				require.NoError(t, os.WriteFile(name, []byte(content), 0o644))
			}
			got, err := debian.Sources(root)
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
	t.Run("broken", func(t *testing.T) {
		root := t.TempDir()
		require.NoError(t, os.MkdirAll(filepath.Join(root, "etc/apt/sources.list.d"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, "etc/apt/sources.list.d/x.sources"), []byte("nonsense\n"), 0o644))
		_, err := debian.Sources(root)
		assert.ErrorContains(t, err, "x.sources: a stanza, line 1: not a field: nonsense")
	})
}
