package layer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

func sample() []layer.Entry {
	return []layer.Entry{
		layer.Content("/usr/bin/tool", 0o755, []byte("binary")),
		layer.Content("/app/main.py", 0o644, []byte("print()")),
		layer.Content("/tmp/seed", 0o600, []byte("x")),
		layer.Content("/lib/libx.so", 0o644, []byte("elf")),
		{Path: "/app/empty", Kind: layer.Dir, Mode: 0o750, UID: 7, GID: 8},
		{Path: "/app/link", Kind: layer.Symlink, Mode: 0o777, Link: "main.py"},
		layer.Content("/etc/größe", 0o644, []byte("not ASCII")),
	}
}

func write(t testing.TB, entries []layer.Entry, o layer.Options) ([]byte, layer.Descriptor) {
	t.Helper()
	var out bytes.Buffer
	d, err := layer.Write(t.Context(), &out, entries, o)
	require.NoError(t, err)
	return out.Bytes(), d
}

func unpack(t *testing.T, compressed []byte, isZstd bool) []byte {
	t.Helper()
	var r io.Reader
	var err error
	if isZstd {
		r, err = zstd.NewReader(bytes.NewReader(compressed))
	} else {
		r, err = gzip.NewReader(bytes.NewReader(compressed))
	}
	require.NoError(t, err)
	all, err := io.ReadAll(r)
	require.NoError(t, err)
	return all
}

func headers(t *testing.T, plain []byte) []tar.Header {
	t.Helper()
	var all []tar.Header
	for r := tar.NewReader(bytes.NewReader(plain)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		require.NoError(t, err)
		all = append(all, *h)
	}
}

func TestWrite(t *testing.T) {
	for _, useZstd := range []bool{false, true} {
		compressed, d := write(t, sample(), layer.Options{Zstd: useZstd, Epoch: time.Unix(1700000000, 5)})
		plain := unpack(t, compressed, useZstd)

		digest, size, err := v1.SHA256(bytes.NewReader(compressed))
		require.NoError(t, err)
		diffID, _, err := v1.SHA256(bytes.NewReader(plain))
		require.NoError(t, err)
		assert.Equal(t, []any{digest, size, diffID}, []any{d.Digest, d.Size, d.DiffID})

		var got []string
		for _, h := range headers(t, plain) {
			assert.Equal(t, int64(1700000000), h.ModTime.Unix())
			assert.Empty(t, h.Uname+h.Gname)
			got = append(got, fmt.Sprintf("%s %o %d:%d %s", h.Name, h.Mode, h.Uid, h.Gid, h.Linkname))
		}
		assert.Equal(t, []string{
			"app/ 755 0:0 ",
			"app/empty/ 750 7:8 ",
			"app/link 777 0:0 main.py",
			"app/main.py 644 0:0 ",
			"etc/ 755 0:0 ",
			"etc/größe 644 0:0 ",
			"lib/ 755 0:0 ",
			"lib/libx.so 644 0:0 ",
			"tmp/ 1777 0:0 ", // not what other parents have
			"tmp/seed 600 0:0 ",
			"usr/ 755 0:0 ",
			"usr/bin/ 755 0:0 ",
			"usr/bin/tool 755 0:0 ",
		}, got)
	}
}

func TestWindowsLayersHaveTheirForm(t *testing.T) {
	compressed, _ := write(t, []layer.Entry{layer.Content("/app/x.exe", 0o755, []byte("MZ"))}, layer.Options{OS: "windows"})
	var names []string
	for _, h := range headers(t, unpack(t, compressed, false)) {
		names = append(names, h.Name)
		assert.Contains(t, h.PAXRecords, "MSWINDOWS.rawsd")
	}
	assert.Equal(t, []string{"Files/", "Files/app/", "Files/app/x.exe", "Hives/"}, names)
}

// TestTheSameEntriesGiveTheSameBytes shuffles entries, cuts reads into pieces and changes the number of processors.
func TestTheSameEntriesGiveTheSameBytes(t *testing.T) {
	big := make([]byte, 3<<20)
	source := rand.New(rand.NewSource(1))
	for i := range big {
		big[i] = byte(source.Intn(1 + i/(1<<18)))
	}
	entries := append(sample(), layer.Content("/big", 0o644, big))
	for _, o := range []layer.Options{{}, {Zstd: true}} {
		want, d := write(t, entries, o)
		for round := range 4 {
			before := runtime.GOMAXPROCS(1 + round)
			shuffled := append([]layer.Entry(nil), entries...)
			source.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			for i, e := range shuffled {
				if e.Kind == layer.File && e.Size < 1000 {
					open := e.Contents
					shuffled[i].Contents = func() (io.ReadCloser, error) {
						r, err := open()
						return struct {
							io.Reader
							io.Closer
						}{iotest.OneByteReader(r), r}, err
					}
				}
			}
			got, again := write(t, shuffled, o)
			runtime.GOMAXPROCS(before)
			assert.Equal(t, d, again)
			assert.True(t, bytes.Equal(want, got))
			assert.Equal(t, layer.Key(entries, o), layer.Key(shuffled, o))
		}
	}
}

// TestFormat pins the bytes. Where they change on purpose, Format has to change with them.
func TestFormat(t *testing.T) {
	_, gz := write(t, sample(), layer.Options{})
	_, zst := write(t, sample(), layer.Options{Zstd: true})
	assert.Equal(t, []string{"multiarch-layer-2", "cb2b002f68d39720", "fac7698396d5ddd0", "25d563b98ea1343c"},
		[]string{layer.Format, gz.DiffID.Hex[:16], gz.Digest.Hex[:16], zst.Digest.Hex[:16]},
		"the bytes changed: give layer.Format a new number, then mend this line")
}

func TestKeyDependsOnEverything(t *testing.T) {
	keys := map[string]string{}
	add := func(what string, entries []layer.Entry, o layer.Options) {
		k := layer.Key(entries, o)
		assert.Empty(t, keys[k], what)
		keys[k] = what
	}
	add("sample", sample(), layer.Options{})
	add("zstd", sample(), layer.Options{Zstd: true})
	add("windows", sample(), layer.Options{OS: "windows"})
	add("epoch", sample(), layer.Options{Epoch: time.Unix(1, 0)})
	for what, change := range map[string]func(*layer.Entry){
		"path":    func(e *layer.Entry) { e.Path += "x" },
		"mode":    func(e *layer.Entry) { e.Mode++ },
		"uid":     func(e *layer.Entry) { e.UID++ },
		"gid":     func(e *layer.Entry) { e.GID++ },
		"content": func(e *layer.Entry) { e.SHA256 = "0" },
		"size":    func(e *layer.Entry) { e.Size++ },
		"kind":    func(e *layer.Entry) { e.Kind = layer.Dir },
		"link":    func(e *layer.Entry) { e.Link = "x" },
		"mtime":   func(e *layer.Entry) { e.ModTime = time.Unix(1, 1) },
		"xattr":   func(e *layer.Entry) { e.Xattrs = map[string][]byte{"security.capability": {0xfe}} },
		"xattr 2": func(e *layer.Entry) { e.Xattrs = map[string][]byte{"security.capability": {0xff}} },
	} {
		entries := sample()
		change(&entries[0])
		add(what, entries, layer.Options{})
	}
}

func TestConflictsAndNonsenseAreRefused(t *testing.T) {
	for _, c := range []struct {
		want    string
		entries []layer.Entry
	}{
		{"two different entries for /a", []layer.Entry{layer.Content("/a", 0o644, nil), layer.Content("/a", 0o755, nil)}},
		{"two different entries for /a", []layer.Entry{layer.Content("/a", 0o644, nil), layer.Content("/a/b", 0o644, nil)}},
		{"not a clean absolute path", []layer.Entry{layer.Content("a", 0o644, nil)}},
		{"not a clean absolute path", []layer.Entry{layer.Content("/a/../b", 0o644, nil)}},
		{"not a clean absolute path", []layer.Entry{layer.Content("/", 0o644, nil)}},
		{"changed while it was read", []layer.Entry{{Path: "/a", Kind: layer.File, Size: 3, Contents: layer.Content("/a", 0, []byte("abcd")).Contents}}},
		{"changed while it was read", []layer.Entry{{Path: "/a", Kind: layer.File, Size: 5, Contents: layer.Content("/a", 0, []byte("abcd")).Contents}}},
		{"changed while it was read", []layer.Entry{{Path: "/a", Kind: layer.File, Size: 4, SHA256: "00", Contents: layer.Content("/a", 0, []byte("abcd")).Contents}}},
		{"two different entries for /a", []layer.Entry{unread("/a", "abcd"), unread("/a", "abce")}},
		{
			"a directory with mode 0755 and owner 0:0 and a directory with mode 0755 and owner 7:8",
			[]layer.Entry{{Path: "/a", Kind: layer.Dir, Mode: 0o755}, {Path: "/a", Kind: layer.Dir, Mode: 0o755, UID: 7, GID: 8}},
		},
		{"names that begin with .wh.", []layer.Entry{layer.Content("/a/.wh.b", 0o644, nil)}},
		{"names that begin with .wh.", []layer.Entry{layer.Content("/.wh.a/b", 0o644, nil)}},
	} {
		_, err := layer.Write(t.Context(), io.Discard, c.entries, layer.Options{})
		assert.ErrorContains(t, err, c.want)
	}
	same := layer.Content("/a", 0o644, []byte("x"))
	_, err := layer.Write(t.Context(), io.Discard, []layer.Entry{same, same}, layer.Options{})
	assert.NoError(t, err, "the same entry twice is one entry")
	known, err := layer.Write(t.Context(), io.Discard, []layer.Entry{layer.Content("/a", 0o644, []byte("x"))}, layer.Options{})
	require.NoError(t, err)
	for _, entries := range [][]layer.Entry{{unread("/a", "x")}, {unread("/a", "x"), same}, {unread("/a", "x"), unread("/a", "x")}} {
		d, err := layer.Write(t.Context(), io.Discard, entries, layer.Options{})
		assert.NoError(t, err)
		assert.Equal(t, known, d, "a digest beforehand changes nothing")
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = layer.Write(ctx, io.Discard, sample(), layer.Options{})
	assert.ErrorIs(t, err, context.Canceled)
	_, err = layer.Write(t.Context(), fullDisk{}, sample(), layer.Options{})
	assert.ErrorIs(t, err, syscall.ENOSPC)
}

// unread is an entry whose content nobody has read yet.
func unread(path, content string) layer.Entry {
	e := layer.Content(path, 0o644, []byte(content))
	e.SHA256 = ""
	return e
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestCollect(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"app/main.py": 0o644, "app/main_test.py": 0o644, "app/sub/run.sh": 0o700, "one": 0o600, "app/sub/deep/x.txt": 0o644} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(name), mode))
	}
	require.NoError(t, os.Symlink("main.py", filepath.Join(dir, "app/link")))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "empties/one/two"), 0o755))
	tree, err := os.OpenRoot(dir)
	require.NoError(t, err)

	for _, c := range []struct {
		source layer.Source
		want   []string
	}{
		{layer.Source{From: "one", To: "/etc/two"}, []string{"file /etc/two 644"}},
		{layer.Source{From: "./one", To: "/etc/"}, []string{"file /etc/one 644"}},
		{layer.Source{From: "one", To: "/etc/two", Mode: 0o4755, UID: 3, GID: 4}, []string{"file /etc/two 4755"}},
		{layer.Source{From: "app", To: "/app"}, []string{"symlink /app/link 777", "file /app/main.py 644", "file /app/main_test.py 644", "dir /app/sub 755", "dir /app/sub/deep 755", "file /app/sub/deep/x.txt 644", "file /app/sub/run.sh 755"}},
		{layer.Source{From: "app", To: "/", Glob: []string{"**/*.py", "!**/*_test.py"}}, []string{"file /main.py 644"}},
		{layer.Source{From: "app", To: "/x", Glob: []string{"!*.py", "!link"}}, []string{"file /x/sub/deep/x.txt 644", "file /x/sub/run.sh 755"}},
		{layer.Source{From: ".", To: "/all", Glob: []string{"one"}}, []string{"file /all/one 644"}},
		{layer.Source{From: "app", To: "/x", UID: 5, GID: 6, Glob: []string{"**/*.sh"}}, []string{"dir /x 755", "dir /x/sub 755", "file /x/sub/run.sh 755"}},
		{layer.Source{From: "app/sub/deep", To: "/state/", UID: 5}, []string{"dir /state 755", "file /state/x.txt 644"}},
		{layer.Source{From: "app/sub/deep", To: "/state", Mode: 0o640}, []string{"dir /state 750", "file /state/x.txt 640"}},
		{layer.Source{From: "app/sub", To: "/state", Mode: 0o4711}, []string{"dir /state 711", "dir /state/deep 711", "file /state/deep/x.txt 4711", "file /state/run.sh 4711"}},
		{layer.Source{From: "empties", To: "/e"}, []string{"dir /e/one 755", "dir /e/one/two 755"}},
	} {
		entries, err := layer.Collect(tree, c.source)
		require.NoError(t, err)
		var got []string
		for _, e := range entries {
			got = append(got, fmt.Sprintf("%s %s %o", e.Kind, e.Path, e.Mode))
			assert.Equal(t, []int{c.source.UID, c.source.GID}, []int{e.UID, e.GID})
		}
		assert.Equal(t, c.want, got)
		_, err = layer.Write(t.Context(), io.Discard, entries, layer.Options{})
		assert.NoError(t, err)
	}

	_, err = layer.Collect(tree, layer.Source{From: "app/nowhere/deeper", To: "/x"})
	var missing *layer.MissingError
	require.ErrorAs(t, err, &missing)
	assert.Contains(t, missing.Hint(), "app has ")
	assert.NotEmpty(t, missing.Has)
}

// TestWhatCannotBeCollected wants Check to find whatever Collect finds.
func TestWhatCannotBeCollected(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "app", "sub"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "app", "main.py"), nil, 0o644))
	require.NoError(t, os.WriteFile(outside, []byte("secret"), 0o644))
	for link, target := range map[string]string{
		"leak": outside, "up": "../elsewhere", "dangling": "app/gone", "app/sub/deep": "../../gone", "chain": "dangling", "fine": "app", "circle": "circle",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(dir, filepath.FromSlash(link))))
	}
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "empty"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "whiteouts/.wh.dir"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "whiteouts/sub"), 0o755))
	for _, name := range []string{"sub/.wh.x", ".wh.dir/y", "fine"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "whiteouts", name), nil, 0o644))
	}
	tree, err := os.OpenRoot(dir)
	require.NoError(t, err)
	for _, c := range []struct {
		from, want string
		glob       []string
	}{
		{from: "app/main.py"},
		{from: "app"},
		{from: "fine"},
		{from: "fine/main.py"},
		{from: "nowhere", want: "nowhere does not exist"},
		{from: "fine/nowhere", want: "fine/nowhere does not exist"},
		{from: "app", glob: []string{"*.rb"}, want: "no file below app matches *.rb"},
		{from: "leak", want: "leak is a link out of the project, to " + outside},
		{from: "up/there", want: "up is a link out of the project, to ../elsewhere"},
		{from: "dangling", want: "dangling is a link to app/gone, which does not exist"},
		{from: "app/sub/deep/x", want: "app/sub/deep is a link to ../../gone, which does not exist"},
		{from: "chain", want: "dangling is a link to app/gone, which does not exist"},
		{from: "circle", want: "reading circle: "},
		{from: "empty", want: "empty is an empty directory"},
		{from: "whiteouts", want: "whiteouts/.wh.dir: names that begin with .wh."},
		{from: "whiteouts", glob: []string{"**/y"}, want: "whiteouts/.wh.dir/y: names that begin with .wh."},
		{from: "whiteouts", glob: []string{"**/*", "!**/.wh.*", "!**/.wh.*/**"}},
	} {
		_, err := layer.Collect(tree, layer.Source{From: c.from, To: "/x", Glob: c.glob})
		checked := layer.Check(tree, layer.Source{From: c.from, To: "/x", Glob: c.glob})
		if c.want == "" {
			assert.NoError(t, errors.Join(err, checked), c.from)
			continue
		}
		require.ErrorContains(t, err, c.want)
		assert.EqualError(t, checked, err.Error())
	}
}

func TestTakes(t *testing.T) {
	for _, c := range []struct {
		from, file string
		glob       []string
		want       bool
	}{
		{".", "dist/index.json", nil, true},
		{"./web", "web/dist/index.json", nil, true},
		{"dist", "dist/index.json", nil, true},
		{"dist/more", "dist/index.json", nil, false},
		{"web", "website/index.json", nil, false},
		{".", "dist/index.json", []string{"**/*.json"}, true},
		{".", "dist/index.json", []string{"*.json"}, false},
		{".", "dist/index.json", []string{"!dist/**"}, false},
		{"web", "web/dist/blobs/sha256/aa", []string{"dist/blobs/**"}, true},
	} {
		assert.Equal(t, c.want, layer.Source{From: c.from, Glob: c.glob}.Takes(c.file), c)
	}
}

// TestCollectLeavesOut walks a project with a checkout and a submodule.
func TestCollectLeavesOut(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		".git/config", ".git/objects/aa/bb", ".gitignore", ".github/x.yml", "lib/.git", "lib/a", "web/.git/HEAD",
		"dist/index.json",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	tree, err := os.OpenRoot(dir)
	require.NoError(t, err)
	for _, c := range []struct {
		source     layer.Source
		want       string
		wrong      string
		hintSaying string
	}{
		{source: layer.Source{From: ".", Glob: []string{"!dist/**"}}, want: "/src/.github/x.yml /src/.gitignore /src/lib/a"},
		{source: layer.Source{From: "web"}, wrong: "web is an empty directory", hintSaying: "directories: [{path: /src}]"},
		{source: layer.Source{From: "lib"}, want: "/src/a"},
		{source: layer.Source{From: ".", Glob: []string{"*"}}, want: "/src/.gitignore"},
		// What from: leads to is meant.
		{source: layer.Source{From: ".git/config"}, want: "/src"},
		{source: layer.Source{From: "web/.git"}, want: "/src/HEAD"},
		{source: layer.Source{From: ".", Glob: []string{".git/config"}}, wrong: "no file below . matches .git/config", hintSaying: "unless from: leads there"},
	} {
		c.source.To = "/src"
		entries, err := layer.Collect(tree, c.source)
		if c.wrong != "" {
			var hinting fault.Hinter
			require.ErrorAs(t, err, &hinting)
			assert.EqualError(t, err, c.wrong)
			assert.Contains(t, hinting.Hint(), c.hintSaying)
			continue
		}
		require.NoError(t, err)
		var got []string
		for _, e := range entries {
			got = append(got, e.Path)
		}
		assert.Equal(t, c.want, strings.Join(got, " "), c.source)
	}
}

// TestCollectLeavesTheSystemItsDirectories puts a tree at the root, whose own modes are not those of a system.
func TestCollectLeavesTheSystemItsDirectories(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"tmp/f", "bin/f", "etc/f"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	tree, err := os.OpenRoot(dir)
	require.NoError(t, err)
	for uid, want := range map[int][]string{
		0: {"dir /bin 755", "file /bin/f 644", "dir /etc 755", "file /etc/f 644", "dir /tmp 1777", "file /tmp/f 644"},
		7: {"dir /bin 755", "file /bin/f 644", "dir /etc 755", "file /etc/f 644", "dir /tmp 755", "file /tmp/f 644"},
	} {
		entries, err := layer.Collect(tree, layer.Source{From: ".", To: "/", UID: uid})
		require.NoError(t, err)
		var got []string
		for _, e := range entries {
			got = append(got, fmt.Sprintf("%s %s %o", e.Kind, e.Path, e.Mode))
			assert.Equal(t, uid, e.UID)
		}
		assert.Equal(t, want, got)
	}
}

func BenchmarkWrite(b *testing.B) {
	binary, err := os.ReadFile(os.Args[0]) // the test itself is a Go program of some megabytes
	require.NoError(b, err)
	entries := []layer.Entry{layer.Content("/app/x", 0o755, binary)}
	for name, o := range map[string]layer.Options{"gzip": {}, "zstd": {Zstd: true}} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(binary)))
			for b.Loop() {
				d, err := layer.Write(b.Context(), io.Discard, entries, o)
				require.NoError(b, err)
				b.ReportMetric(float64(d.Size)/float64(len(binary)), "ratio")
			}
		})
	}
}

// countedWriter counts the calls of Write.
type countedWriter struct{ calls, bytes int }

func (w *countedWriter) Write(p []byte) (int, error) {
	w.calls++
	w.bytes += len(p)
	return len(p), nil
}

// TestLayersAreWrittenInLargePieces guards against a system call for every few hundred bytes of a layer.
func TestLayersAreWrittenInLargePieces(t *testing.T) {
	noise := make([]byte, 2<<20)
	_, _ = rand.New(rand.NewSource(1)).Read(noise) // never fails
	text := []byte(hex.EncodeToString(noise))
	for _, zstd := range []bool{false, true} {
		var out countedWriter
		d, err := layer.Write(t.Context(), &out, []layer.Entry{layer.Content("/x", 0o644, text)}, layer.Options{Zstd: zstd})
		require.NoError(t, err)
		assert.EqualValues(t, d.Size, out.bytes)
		assert.Less(t, out.calls, out.bytes/(32<<10))
	}
}
