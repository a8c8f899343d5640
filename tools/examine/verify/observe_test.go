package verify

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/blob"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

// observed writes a layer and lets an Observer keep what it holds.
func observed(t *testing.T, o *Observer, entries []layer.Entry, options layer.Options) ([]byte, v1.Descriptor) {
	t.Helper()
	options.Observe = o.Visit
	var out bytes.Buffer
	d, err := layer.Write(t.Context(), &out, entries, options)
	require.NoError(t, err)
	defer o.Close()
	about := v1.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
	o.Keep(about, d.DiffID)
	return out.Bytes(), about
}

// testHead returns the first megabyte of the running test: a program that is incomplete.
func testHead(t *testing.T) []byte {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	f, err := os.Open(self)
	require.NoError(t, err)
	defer f.Close()
	head := make([]byte, 1<<20)
	_, err = io.ReadFull(f, head)
	require.NoError(t, err)
	return head
}

func observedEntries(t *testing.T) []layer.Entry {
	t.Helper()
	program := testHead(t)
	pe := append([]byte("MZ"), make([]byte, 300)...)
	entries := []layer.Entry{
		layer.NewFile("/app/program", 0o755, program),
		layer.NewFile("/app/truncated", 0o755, program[:len(program)/2]),
		layer.NewFile("/app/headers", 0o755, program[:70]),
		layer.NewFile("/app/script", 0o755, []byte("#!/usr/bin/env -S python3 -u\n")),
		layer.NewFile("/app/tool.exe", 0o644, pe),
		layer.NewFile("/app/empty", 0o755, nil),
		layer.NewFile("/usr/lib/libx.so.1", 0o644, program[:4096]),
		layer.NewFile("/etc/passwd", 0o644, []byte("root:x:0:0::/:\n")),
		layer.NewFile("/etc/passwd-", 0o644, []byte("old")),
		layer.NewFile("/data/"+strings.Repeat("long/", 60)+"name", 0o600, []byte("x")),
		layer.NewFile("/data/\xff", 0o644, []byte("not UTF-8")),
		{Path: "/state", Kind: layer.Dir, Mode: 0o700, UID: 7},
		{Path: "/bin", Kind: layer.Symlink, Link: "usr/bin"},
	}
	entries[0].Xattrs = map[string][]byte{"security.capability": {1, 0, 0, 2}}
	return entries
}

// TestObserverNotesWhatReadingFinds compares what an Observer notes with what the finished bytes of the layer hold.
func TestObserverNotesWhatReadingFinds(t *testing.T) {
	cases := 0
	for i, o := range []layer.Options{{OS: "linux"}, {OS: "windows"}, {OS: "linux", Zstd: true, Epoch: time.Unix(1, 5)}} {
		known := MapMemory{}
		entries := observedEntries(t)
		if i == 0 { // once is enough for what takes long to compress
			long := append(testHead(t), make([]byte, memoryLimit)...)
			entries = append(entries, layer.NewFile("/app/long", 0o755, long))
		}
		raw, d := observed(t, NewObserver(known), entries, o)
		cache := layerCache{checks: Checks{Memory: known}}
		kept, ok := cache.lookup(d)
		require.True(t, ok)

		read := newLayerContents()
		e := &examiner{}
		defer e.close()
		m, err := blob.Measure(t.Context(), bytes.NewReader(raw), d.Digest, func(h *tar.Header, content io.Reader) error {
			return read.visit(h, content, e)
		})
		require.NoError(t, err)
		read.Measurement = m
		require.NoError(t, errors.Join(m.DecompressError, m.TarError))
		again := MapMemory{}
		storeLayer(again, d, read)
		want, ok := (&layerCache{checks: Checks{Memory: again}}).lookup(d)
		require.True(t, ok)
		assert.Equal(t, want, kept, "%+v", o.OS)
		assert.NotEmpty(t, kept.programs)
		assert.Equal(t, d.Digest, kept.Digest)
		cases += len(kept.entries)
	}
	t.Logf("%d entries compared", cases)
	assert.NotZero(t, cases)
}

func TestObserverKeepsNothingThatItDidNotExamine(t *testing.T) {
	known := MapMemory{}
	crowded, failed := NewObserver(known), NewObserver(known)
	crowded.contents.budget = 200
	failed.err = errors.New("cause")
	for _, o := range []*Observer{crowded, failed} {
		observed(t, o, observedEntries(t), layer.Options{})
		assert.Error(t, o.err)
		assert.Empty(t, known)
	}
}
