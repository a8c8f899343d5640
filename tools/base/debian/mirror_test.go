package debian_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/base/debian"
	"github.com/multiarch-build/multiarch/tools/build/cache"
)

// file is an entry of a package.
type file struct {
	name string
	kind byte // typeflag of tar; 0 is a directory if the name ends in a slash, else a regular file
	body string
	link string
	mode int64
	uid  int
}

func tarOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{
			Name: f.name, Typeflag: f.kind, Linkname: f.link, Mode: f.mode, Size: int64(len(f.body)), Uid: f.uid, Gid: f.uid,
		}
		if f.kind == 0 {
			h.Typeflag = tar.TypeReg
			if strings.HasSuffix(f.name, "/") {
				h.Typeflag = tar.TypeDir
			}
		}
		if h.Mode == 0 {
			h.Mode = 0o644
			if h.Typeflag == tar.TypeDir {
				h.Mode = 0o755
			}
		}
		require.NoError(t, w.WriteHeader(h))
		_, err := w.Write([]byte(f.body))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

// compress compresses content in the format of a file extension.
func compress(t testing.TB, extension string, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	switch extension {
	case ".gz":
		w := gzip.NewWriter(&out)
		_, err := w.Write(content)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	case ".zst":
		w, err := zstd.NewWriter(&out)
		require.NoError(t, err)
		_, err = w.Write(content)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	case ".xz":
		return xzOf(content)
	default:
		return content
	}
	return out.Bytes()
}

// xzOf stores content in the xz format without compressing it: https://tukaani.org/xz/xz-file-format.txt
func xzOf(content []byte) []byte {
	var out bytes.Buffer
	sum := func(b []byte) []byte { return binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)) }
	number := func(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }
	flags := []byte{0, 1} // CRC32
	out.WriteString("\xfd7zXZ\x00")
	out.Write(append(flags, sum(flags)...))
	header := []byte{2, 0, 0x21, 1, 16, 0, 0, 0} // one filter, LZMA2
	block := append(header, sum(header)...)
	first := true
	for rest := content; len(rest) > 0; first = false {
		n := min(len(rest), 1<<16)
		kind := byte(2)
		if first {
			kind = 1
		}
		block = append(block, kind, byte((n-1)>>8), byte(n-1))
		block, rest = append(block, rest[:n]...), rest[n:]
	}
	block = append(block, 0)
	unpadded := len(block) + 4
	for len(block)%4 != 0 {
		block = append(block, 0)
	}
	out.Write(append(block, sum(content)...))
	index := append([]byte{0, 1}, append(number(unpadded), number(len(content))...)...)
	for len(index)%4 != 0 {
		index = append(index, 0)
	}
	out.Write(append(index, sum(index)...))
	footer := append(binary.LittleEndian.AppendUint32(nil, uint32(len(index)+4)/4-1), flags...)
	out.Write(append(sum(footer), footer...))
	out.WriteString("YZ")
	return out.Bytes()
}

// arOf returns an ar archive. members alternates names and contents.
func arOf(members ...string) []byte {
	var out bytes.Buffer
	out.WriteString("!<arch>\n")
	for i := 0; i+1 < len(members); i += 2 {
		name, content := members[i], members[i+1]
		fmt.Fprintf(&out, "%-16s%-12d%-6d%-6d%-8s%-10d`\n%s", name, 0, 0, 0, "100644", len(content), content)
		if len(content)%2 == 1 {
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

// debFile returns the file of a package, compressed in the format of extension. fields are added to its control file.
func debFile(t testing.TB, name, version, arch, fields, extension string, files ...file) []byte {
	t.Helper()
	const description = "Description: a test\n of several\n .\n lines\n"
	stanza := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\n%s%s", name, version, arch, fields, description)
	control := tarOf(t, file{name: "./"}, file{name: "./control", body: stanza},
		file{name: "./md5sums", body: "d41d8cd98f00b204e9800998ecf8427e  x\n"})
	return arOf("debian-binary", "2.0\n",
		"control.tar"+extension, string(compress(t, extension, control)),
		"data.tar"+extension, string(compress(t, extension, tarOf(t, files...))))
}

// newDeb returns a package with files.
func newDeb(t testing.TB, name, version, arch string, files ...file) debian.Deb {
	t.Helper()
	return debOf(name, version, arch, debFile(t, name, version, arch, "", ".gz", files...))
}

func sha(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// debOf returns a package with the given file content.
func debOf(name, version, arch string, content []byte) debian.Deb {
	return debian.Deb{
		Package: debian.Package{
			Name: name, Version: version, Architecture: arch,
			Path: "pool/" + name + ".deb", Size: int64(len(content)), SHA256: sha(content),
		},
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
	}
}

// mirror is an archive server that records requests.
type mirror struct {
	*httptest.Server
	mu       sync.Mutex
	files    map[string][]byte
	requests []string
	// before, if it is set, may answer a request; it returns false if it has not.
	before func(w http.ResponseWriter, r *http.Request) bool
}

func newMirror(t testing.TB) *mirror {
	t.Helper()
	m := &mirror{files: map[string][]byte{}}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		m.requests = append(m.requests, strings.TrimSpace(r.URL.Path+" "+r.Header.Get("Range")))
		content, ok := m.files[r.URL.Path]
		before := m.before
		m.mu.Unlock()
		if before != nil && before(w, r) {
			return
		}
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	t.Cleanup(m.Close)
	return m
}

// takeRequests returns the requests since the last call.
func (m *mirror) takeRequests() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := m.requests
	m.requests = nil
	return out
}

func newKey(t testing.TB) *openpgp.Entity {
	t.Helper()
	key, err := openpgp.NewEntity("Test", "", "test@example.com", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	require.NoError(t, err)
	return key
}

func publicKey(t testing.TB, keys ...*openpgp.Entity) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, key := range keys {
		require.NoError(t, key.Serialize(&out))
	}
	return out.Bytes()
}

func sign(t testing.TB, text string, keys ...*openpgp.Entity) []byte {
	t.Helper()
	var (
		out     bytes.Buffer
		private []*packet.PrivateKey
	)
	for _, key := range keys {
		private = append(private, key.PrivateKey)
	}
	w, err := clearsign.EncodeMulti(&out, private, nil)
	require.NoError(t, err)
	_, err = io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

// indexFormat selects how a suite stores its indexes.
type indexFormat struct {
	extensions []string
	byHash     bool
}

// suite adds a signed suite to the mirror, with indexes by component and architecture.
func (m *mirror) suite(
	t testing.TB, name string, indexes map[string]string, format indexFormat, keys ...*openpgp.Entity,
) {
	t.Helper()
	m.put("/debian/dists/"+name+"/InRelease", sign(t, m.release(t, name, indexes, format), keys...))
}

// release adds the indexes of a suite to the mirror and returns the text of its Release file.
func (m *mirror) release(t testing.TB, name string, indexes map[string]string, format indexFormat) string {
	t.Helper()
	var text, archs, sums strings.Builder
	dists := "/debian/dists/" + name + "/"
	for _, at := range []string{"main/amd64", "main/arm64", "contrib/amd64"} {
		index, ok := indexes[at]
		if !ok {
			continue
		}
		component, arch, _ := strings.Cut(at, "/")
		archs.WriteString(" " + arch)
		dir := component + "/binary-" + arch
		for _, extension := range format.extensions {
			content := compress(t, extension, []byte(index))
			path := dir + "/Packages" + extension
			fmt.Fprintf(&sums, " %s %d %s\n", sha(content), len(content), path)
			m.put(dists+path, content)
			if format.byHash {
				m.put(dists+dir+"/by-hash/SHA256/"+sha(content), content)
			}
		}
	}
	fmt.Fprintf(&text, "Origin: Debian\nSuite: %s\nCodename: codename-of-%[1]s\nVersion: 13.1\n", name)
	text.WriteString("Date: Sat, 12 Sep 2026 07:55:41 UTC\n")
	if format.byHash {
		text.WriteString("Acquire-By-Hash: yes\n")
	}
	fmt.Fprintf(&text, "Architectures: all%s\nComponents: main contrib\nSHA256:\n%s", archs.String(), sums.String())
	return text.String()
}

func (m *mirror) put(path string, content []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[path] = content
}

func (m *mirror) archive(suite string, keyring []byte) *debian.Archive {
	a := &debian.Archive{Mirrors: []string{m.URL + "/debian/"}, Suite: suite, Keyring: keyring}
	debian.SetPause(a, time.Millisecond)
	return a
}

// stanza returns a package's stanza of an index.
func stanza(name, version, arch string, lines ...string) string {
	const format = "Package: %s\nVersion: %s\nArchitecture: %s\n%sFilename: pool/%[1]s_%[2]s.deb\nSize: 100\n" +
		"SHA256: %[5]s\n\n"
	return fmt.Sprintf(format,
		name, version, arch, strings.Join(append(lines, ""), "\n"), sha([]byte(name+version)))
}

func newStore(t testing.TB) *cache.Store {
	t.Helper()
	s, err := cache.Open(t.TempDir())
	require.NoError(t, err)
	return s
}

// damage changes a byte of a stored package.
func damage(t testing.TB, d debian.Deb) {
	t.Helper()
	r, err := d.Open()
	require.NoError(t, err)
	defer r.Close()
	f, ok := r.(*os.File)
	require.True(t, ok, "%T is not a file", r)
	require.NoError(t, os.Chmod(f.Name(), 0o644))
	w, err := os.OpenFile(f.Name(), os.O_WRONLY, 0)
	require.NoError(t, err)
	defer w.Close()
	_, err = w.WriteAt([]byte("X"), 20)
	require.NoError(t, err)
}
