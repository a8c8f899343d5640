package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// debianArchive is a Debian mirror with a security archive and a snapshot archive, signed with its own key.
type debianArchive struct {
	*httptest.Server
	key   *openpgp.Entity
	files map[string][]byte // by path
}

func newDebianArchive(t *testing.T) *debianArchive {
	t.Helper()
	key, err := openpgp.NewEntity("Test", "", "test@example.com", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	require.NoError(t, err)
	a := &debianArchive{key: key, files: map[string][]byte{}}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The snapshot archive has a single time, to which it redirects all others.
		if parts := strings.SplitN(r.URL.Path, "/", 5); len(parts) == 5 && parts[1] == "archive" &&
			parts[3] != "20260101T000000Z" {
			http.Redirect(w, r, "/archive/"+parts[2]+"/20260101T000000Z/"+parts[4], http.StatusFound)
			return
		}
		content, ok := a.files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(content)
	}))
	t.Cleanup(a.Close)
	return a
}

// suite adds a suite with one package for all architectures to an archive (debian or debian-security). The package is
// also in the snapshot archive.
func (a *debianArchive) suite(t *testing.T, archive, suite, codename, version string, valid time.Duration) {
	t.Helper()
	content := testPackage(t, version)
	pool := "pool/main/a/app/app_" + version + "_all.deb"
	a.files["/"+archive+"/"+pool], a.files["/archive/"+archive+"/20260101T000000Z/"+pool] = content, content
	index := fmt.Sprintf("Package: app\nVersion: %s\nArchitecture: all\nFilename: %s\nSize: %d\nSHA256: %x\n\n", version,
		pool, len(content), sha256.Sum256(content))
	text := fmt.Sprintf("Origin: Test\nSuite: %s\nCodename: %s\nDate: %s\n", suite, codename,
		time.Now().Add(-time.Hour).UTC().Format(time.RFC1123))
	if valid != 0 {
		text += "Valid-Until: " + time.Now().Add(valid).UTC().Format(time.RFC1123) + "\n"
	}
	text += "Architectures: amd64 arm64\nComponents: main\nSHA256:\n"
	for _, architecture := range []string{"amd64", "arm64"} {
		file := "main/binary-" + architecture + "/Packages"
		a.files["/"+archive+"/dists/"+codename+"/"+file] = []byte(index)
		text += fmt.Sprintf(" %x %d %s\n", sha256.Sum256([]byte(index)), len(index), file)
	}
	var signed bytes.Buffer
	w, err := clearsign.Encode(&signed, a.key.PrivateKey, nil)
	require.NoError(t, err)
	_, err = w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	a.files["/"+archive+"/dists/"+codename+"/InRelease"] = signed.Bytes()
}

// testPackage returns a package with a file that contains its version.
func testPackage(t *testing.T, version string) []byte {
	t.Helper()
	pack := func(name, body string) string {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(body))}))
		_, err := w.Write([]byte(body))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return out.String()
	}
	out := "!<arch>\n"
	for _, member := range [][2]string{
		{"debian-binary", "2.0\n"},
		{"control.tar", pack("./control", "Package: app\nVersion: "+version+"\nArchitecture: all\nDescription: test\n")},
		{"data.tar", pack("./version", version)},
	} {
		out += fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10d`\n%s", member[0], 0, 0, 0, "100644", len(member[1]), member[1])
	}
	return []byte(out)
}

// lose removes all packages from the mirrors, and optionally from the snapshot archive.
func (a *debianArchive) lose(snapshots bool) {
	for name := range maps.Keys(maps.Clone(a.files)) {
		if strings.HasSuffix(name, ".deb") && (snapshots || !strings.HasPrefix(name, "/archive/")) {
			delete(a.files, name)
		}
	}
}

// debianProject is a project with a Debian base.
type debianProject struct {
	services
	archive *debianArchive
	env     []string
}

func newDebianProject(t *testing.T) *debianProject {
	t.Helper()
	a := newDebianArchive(t)
	a.suite(t, "debian", "stable", "trixie", "1.0", 0)
	a.suite(t, "debian-security", "stable-security", "trixie-security", "1.0+deb13u1", time.Hour)
	p := &debianProject{services{t.TempDir(), t.TempDir()}, a, nil}
	var keys bytes.Buffer
	require.NoError(t, a.key.Serialize(&keys))
	p.write(t, "keys.gpg", keys.String())
	p.env = []string{
		"MULTIARCH_DEBIAN_MIRROR=" + a.URL + "/debian", "MULTIARCH_DEBIAN_SNAPSHOT=" + a.URL + "/archive",
		"MULTIARCH_DEBIAN_KEYRING=" + filepath.Join(p.dir, "keys.gpg"),
	}
	p.yaml(t, "")
	return p
}

// yaml writes the configuration, with additional fields of the base.
func (p *debianProject) yaml(t *testing.T, fields string) {
	p.write(t, "multiarch.yaml", `version: 1
platforms: [linux/amd64, linux/arm64]
bases: {app: {debian: {suite: trixie, packages: [app]`+fields+`}}}
images: {app: {base: app, files: [{from: multiarch.yaml, to: /etc/}], entrypoint: [/app], allow: [missing-entrypoint]}}
`)
}

// run runs a command and returns its output and exit code.
func (p *debianProject) run(args ...string) (stdout, stderr string, code int) {
	cmd := exec.Command("multiarch", args...)
	cmd.Dir = p.dir
	cmd.Env = append(append(os.Environ(), "MULTIARCH_CACHE="+p.cache), p.env...)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	_ = cmd.Run()
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

// want runs a command and requires an exit code.
func (p *debianProject) want(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, got := p.run(args...)
	require.Equal(t, code, got, stdout+stderr)
	return stdout, stderr
}

func TestSecurityUpdatesAreLocked(t *testing.T) {
	p := newDebianProject(t)
	stdout, _ := p.want(t, 0, "lock")
	assert.Contains(t, stdout, "app app: 1.0+deb13u1\n")
	locked, err := os.ReadFile(filepath.Join(p.dir, "multiarch.lock"))
	require.NoError(t, err)
	assert.Contains(t, string(locked), `"archive": "trixie-security"`)
	assert.NotContains(t, string(locked), p.archive.URL, "mirrors are a matter of the machine")
	p.want(t, 0, "lock", "--check")
	stdout, _ = p.want(t, 0, "outdated")
	assert.Empty(t, stdout)
	first, _ := p.want(t, 0, "build", "-q")

	// The next security update.
	p.archive.suite(t, "debian-security", "stable-security", "trixie-security", "1.0+deb13u2", time.Hour)
	stdout, _ = p.want(t, 4, "outdated")
	assert.Equal(t, "app app: 1.0+deb13u1 -> 1.0+deb13u2 (security)\n", stdout)
	again, _ := p.want(t, 0, "build", "-q")
	assert.Equal(t, first, again)
	p.want(t, 0, "lock", "--update", "-q")
	next, _ := p.want(t, 0, "build", "-q")
	assert.NotEqual(t, first, next)

	// Without.
	p.yaml(t, ", security: false")
	stdout, _ = p.want(t, 4, "lock", "--check")
	assert.Equal(t, "bases.app: security changed to false, but true is locked\n", stdout)
	_, stderr := p.want(t, 3, "build")
	assert.Contains(t, stderr, "security changed to false, but true is locked")
	stdout, _ = p.want(t, 0, "lock")
	assert.Equal(t, "app app: 1.0+deb13u2 -> 1.0\n", stdout)
	_, stderr = p.want(t, 0, "build")
	assert.NotContains(t, stderr, "security")
}

func TestSecurityUpdatesThatCannotBeHad(t *testing.T) {
	for name, c := range map[string]struct {
		change func(p *debianProject)
		fields string
		want   string
	}{
		"expired": {func(p *debianProject) {
			p.archive.suite(t, "debian-security", "stable-security", "trixie-security", "2", -time.Hour)
		}, "", "expired on "},
		"frozen": {func(p *debianProject) {
			p.archive.suite(t, "debian-security", "stable-security", "trixie-security", "2", -time.Hour)
		}, ", check_valid_until: false", ""},
		"missing": {func(p *debianProject) {
			delete(p.archive.files, "/debian-security/dists/trixie-security/InRelease")
		}, "", "security updates of suite trixie: downloading the Release file of suite trixie-security from"},
		"another suite": {func(p *debianProject) {
			p.archive.suite(t, "debian-security", "oldstable-security", "trixie-security", "2", time.Hour)
		}, "", ""},
		"changed": {func(p *debianProject) {
			p.archive.files["/debian-security/dists/trixie-security/main/binary-arm64/Packages"][0] ^= 1
		}, "", ": expected SHA-256 "},
		"not signed": {func(p *debianProject) {
			p.archive.files["/debian-security/dists/trixie-security/InRelease"] = []byte("Suite: x\n")
		}, "", "the file is not signed"},
		"elsewhere": {func(p *debianProject) {}, `, security: "http://127.0.0.1:1/debian-security"`, "127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newDebianProject(t)
			p.env = append(p.env, "MULTIARCH_DEBIAN_SECURITY_MIRROR="+p.archive.URL+"/debian-security")
			p.yaml(t, c.fields)
			c.change(p)
			if c.want == "" {
				p.want(t, 0, "lock")
				return
			}
			_, stderr := p.want(t, 5, "lock")
			assert.Contains(t, stderr, c.want)
			assert.Contains(t, stderr, "security: false")
			assert.NoFileExists(t, filepath.Join(p.dir, "multiarch.lock"))
		})
	}
}

// TestLostPackages builds from a lock whose packages have left the mirrors.
func TestLostPackages(t *testing.T) {
	p := newDebianProject(t)
	p.want(t, 0, "lock")
	first, stderr := p.want(t, 0, "build")
	assert.Regexp(t, `(?m)^app: built for 2 platforms in `, stderr)

	p.archive.lose(false)
	p.cache = t.TempDir()
	again, stderr := p.want(t, 0, "build")
	assert.Equal(t, first, again)
	assert.Contains(t, stderr, "not on the mirrors; trying the snapshot archive")

	p.cache = t.TempDir()
	snapshots := p.env
	p.env = append(slices.Clone(snapshots), "MULTIARCH_DEBIAN_SNAPSHOT=http://127.0.0.1:1")
	_, stderr = p.want(t, 5, "build")
	assert.Contains(t, stderr, "run: multiarch lock --update")

	for name, content := range p.archive.files {
		if strings.HasSuffix(name, ".deb") {
			content[len(content)-1] ^= 1
		}
	}
	p.env = snapshots
	_, stderr = p.want(t, 5, "build")
	assert.Contains(t, stderr, "unexpected content")
	assert.Contains(t, stderr, "run: multiarch lock --update")

	p.archive.lose(true)
	_, stderr = p.want(t, 5, "build")
	assert.Contains(t, stderr, "404 Not Found")
	assert.Contains(t, stderr, "run: multiarch lock --update")
}

// TestLockOfAnEarlierVersion builds a base that was locked without security updates, which is reported.
func TestLockOfAnEarlierVersion(t *testing.T) {
	p := newDebianProject(t)
	p.yaml(t, ", security: false")
	p.want(t, 0, "lock")
	p.yaml(t, "")
	file := filepath.Join(p.dir, "multiarch.lock")
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	var locked map[string]any
	require.NoError(t, json.Unmarshal(content, &locked))
	base := locked["bases"].(map[string]any)["app"].(map[string]any)["debian"].(map[string]any)
	require.Equal(t, false, base["security"])
	delete(base, "security")
	content, err = json.Marshal(locked)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, content, 0o644))

	_, stderr := p.want(t, 0, "build")
	assert.Contains(t, stderr, "bases.app: locked without the security updates of its suite; run: multiarch lock\n")
	p.archive.lose(false)
	p.cache = t.TempDir()
	p.want(t, 0, "build")
	stdout, _ := p.want(t, 4, "lock", "--check")
	assert.Equal(t, "bases.app: locked without the security updates of suite trixie\n", stdout)
	stdout, _ = p.want(t, 4, "outdated")
	assert.Equal(t, "app app: 1.0 -> 1.0+deb13u1 (security)\n", stdout)
	stdout, _ = p.want(t, 0, "lock")
	assert.Equal(t, "app app: 1.0 -> 1.0+deb13u1 (security)\n", stdout)
	p.want(t, 0, "lock", "--check")
}

func TestKeyringOfABase(t *testing.T) {
	p := newDebianProject(t)
	p.env = p.env[:2]
	_, stderr := p.want(t, 5, "lock")
	assert.Contains(t, stderr, "signature made by unknown entity")
	p.yaml(t, ", keyring: keys.gpg")
	p.want(t, 0, "lock")
	p.want(t, 0, "build")
	p.yaml(t, ", keyring: missing.gpg")
	_, stderr = p.want(t, 2, "lock", "--update")
	assert.Contains(t, stderr, "reading the keyring")
}
