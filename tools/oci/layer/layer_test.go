package layer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand"
	"os"
	"runtime"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

func sample() []layer.Entry {
	return []layer.Entry{
		layer.NewFile("/usr/bin/tool", 0o755, []byte("binary")),
		layer.NewFile("/app/main.py", 0o644, []byte("print()")),
		layer.NewFile("/tmp/seed", 0o600, []byte("x")),
		layer.NewFile("/lib/libx.so", 0o644, []byte("elf")),
		{Path: "/app/empty", Kind: layer.Dir, Mode: 0o750, UID: 7, GID: 8},
		{Path: "/app/link", Kind: layer.Symlink, Mode: 0o777, Link: "main.py"},
		layer.NewFile("/etc/größe", 0o644, []byte("not ASCII")),
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
			"tmp/ 1777 0:0 ", // differs from other parents
			"tmp/seed 600 0:0 ",
			"usr/ 755 0:0 ",
			"usr/bin/ 755 0:0 ",
			"usr/bin/tool 755 0:0 ",
		}, got)
	}
}

func TestWindowsLayers(t *testing.T) {
	compressed, _ := write(t, []layer.Entry{layer.NewFile("/app/x.exe", 0o755, []byte("MZ"))},
		layer.Options{OS: "windows"})
	var names []string
	for _, h := range headers(t, unpack(t, compressed, false)) {
		names = append(names, h.Name)
		assert.Contains(t, h.PAXRecords, "MSWINDOWS.rawsd")
	}
	assert.Equal(t, []string{"Files/", "Files/app/", "Files/app/x.exe", "Hives/"}, names)
}

// TestEqualEntriesGiveEqualBytes shuffles entries, splits reads and changes the number of
// processors.
func TestEqualEntriesGiveEqualBytes(t *testing.T) {
	big := make([]byte, 3<<20)
	source := rand.New(rand.NewSource(1))
	for i := range big {
		big[i] = byte(source.Intn(1 + i/(1<<18)))
	}
	entries := append(sample(), layer.NewFile("/big", 0o644, big))
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

// TestFormat pins the bytes. If they change on purpose, Format has to change as well.
func TestFormat(t *testing.T) {
	_, gz := write(t, sample(), layer.Options{})
	_, zst := write(t, sample(), layer.Options{Zstd: true})
	assert.Equal(t, []string{"multiarch-layer-2", "cb2b002f68d39720", "fac7698396d5ddd0", "25d563b98ea1343c"},
		[]string{layer.Format, gz.DiffID.Hex[:16], gz.Digest.Hex[:16], zst.Digest.Hex[:16]},
		"the bytes changed: increment layer.Format, then update this line")
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

func TestWriteRejectsInvalidEntries(t *testing.T) {
	for _, c := range []struct {
		want    string
		entries []layer.Entry
	}{
		{"two different entries for /a", []layer.Entry{layer.NewFile("/a", 0o644, nil), layer.NewFile("/a", 0o755,
			nil)}},
		{"two different entries for /a", []layer.Entry{layer.NewFile("/a", 0o644, nil), layer.NewFile("/a/b", 0o644,
			nil)}},
		{"not a clean absolute path", []layer.Entry{layer.NewFile("a", 0o644, nil)}},
		{"not a clean absolute path", []layer.Entry{layer.NewFile("/a/../b", 0o644, nil)}},
		{"not a clean absolute path", []layer.Entry{layer.NewFile("/", 0o644, nil)}},
		{"changed while it was read", []layer.Entry{{Path: "/a", Kind: layer.File, Size: 3,
			Contents: layer.NewFile("/a", 0, []byte("abcd")).Contents}}},
		{"changed while it was read", []layer.Entry{{Path: "/a", Kind: layer.File, Size: 5,
			Contents: layer.NewFile("/a", 0, []byte("abcd")).Contents}}},
		{"changed while it was read", []layer.Entry{{Path: "/a", Kind: layer.File, Size: 4, SHA256: "00",
			Contents: layer.NewFile("/a", 0, []byte("abcd")).Contents}}},
		{"two different entries for /a", []layer.Entry{unread("/a", "abcd"), unread("/a", "abce")}},
		{
			"a directory with mode 0755 and owner 0:0 and a directory with mode 0755 and owner 7:8",
			[]layer.Entry{{Path: "/a", Kind: layer.Dir, Mode: 0o755}, {Path: "/a", Kind: layer.Dir, Mode: 0o755,
				UID: 7, GID: 8}},
		},
		{"names with the prefix .wh.", []layer.Entry{layer.NewFile("/a/.wh.b", 0o644, nil)}},
		{"names with the prefix .wh.", []layer.Entry{layer.NewFile("/.wh.a/b", 0o644, nil)}},
	} {
		_, err := layer.Write(t.Context(), io.Discard, c.entries, layer.Options{})
		assert.ErrorContains(t, err, c.want)
	}
	same := layer.NewFile("/a", 0o644, []byte("x"))
	_, err := layer.Write(t.Context(), io.Discard, []layer.Entry{same, same}, layer.Options{})
	assert.NoError(t, err, "duplicate entries are merged")
	known, err := layer.Write(t.Context(), io.Discard, []layer.Entry{layer.NewFile("/a", 0o644, []byte("x"))},
		layer.Options{})
	require.NoError(t, err)
	for _, entries := range [][]layer.Entry{{unread("/a", "x")}, {unread("/a", "x"), same}, {unread("/a", "x"),
		unread("/a", "x")}} {
		d, err := layer.Write(t.Context(), io.Discard, entries, layer.Options{})
		assert.NoError(t, err)
		assert.Equal(t, known, d, "a known digest changes nothing")
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = layer.Write(ctx, io.Discard, sample(), layer.Options{})
	assert.ErrorIs(t, err, context.Canceled)
	_, err = layer.Write(t.Context(), fullDisk{}, sample(), layer.Options{})
	assert.ErrorIs(t, err, syscall.ENOSPC)
}

// unread returns an entry without a digest.
func unread(path, content string) layer.Entry {
	e := layer.NewFile(path, 0o644, []byte(content))
	e.SHA256 = ""
	return e
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func BenchmarkWrite(b *testing.B) {
	binary, err := os.ReadFile(os.Args[0]) // the test binary is a Go program of some megabytes
	require.NoError(b, err)
	entries := []layer.Entry{layer.NewFile("/app/x", 0o755, binary)}
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

// TestWriteBuffersOutput guards against a system call for every few hundred bytes of a layer.
func TestWriteBuffersOutput(t *testing.T) {
	noise := make([]byte, 2<<20)
	_, _ = rand.New(rand.NewSource(1)).Read(noise) // never fails
	text := []byte(hex.EncodeToString(noise))
	for _, zstd := range []bool{false, true} {
		var out countedWriter
		d, err := layer.Write(t.Context(), &out, []layer.Entry{layer.NewFile("/x", 0o644, text)},
			layer.Options{Zstd: zstd})
		require.NoError(t, err)
		assert.EqualValues(t, d.Size, out.bytes)
		assert.Less(t, out.calls, out.bytes/(32<<10))
	}
}
