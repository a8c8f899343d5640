package inspect_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/inspect"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// verifyLayer runs Verify and Diff over a layer of any bytes.
func verifyLayer(t *testing.T, blob []byte) *inspect.Verdict {
	sum, _, err := v1.SHA256(bytes.NewReader(blob))
	require.NoError(t, err)
	img := imageOf(t, "linux/amd64", nil, stored{static.NewLayer(blob, types.OCIUncompressedLayer), sum})
	root, err := describe(img)
	require.NoError(t, err)
	s := &inspect.Source{Name: "fuzz", Root: root, Image: img}
	v, err := inspect.Verify(t.Context(), s)
	require.NoError(t, err)
	for _, p := range append(v.Problems, v.Notes...) {
		assert.NotContains(t, p.String(), "\n")
	}
	other := imageOf(t, "linux/amd64", nil, layerOf(t, file{name: "a"}))
	rootOther, err := describe(other)
	require.NoError(t, err)
	// What cannot be read cannot be compared: an error is fine.
	if d, err := inspect.Diff(t.Context(), s, &inspect.Source{Name: "other", Root: rootOther, Image: other}); err == nil {
		_ = d.String()
	}
	return v
}

func FuzzLayer(f *testing.F) {
	elf := elfFile(binary.LittleEndian, 64, 62, "/lib/ld.so")
	f.Add(tarOf(f, file{name: "app/hello", text: elf, mode: 0o755}, file{name: "lib", link: "usr/lib"}, file{name: "usr/lib/ld.so", mode: 0o755}))
	f.Add(tarOf(f, file{name: "app/hello", text: "#!/bin/sh\n", mode: 0o755}, file{name: "bin/sh", link: "app/hello", typeflag: tar.TypeLink}))
	f.Add(tarOf(f, file{name: "app", link: "../app/hello/.."}, file{name: ".wh."}, file{name: ".wh..."}, file{name: "a/.wh..wh..opq"}))
	f.Add([]byte{})
	f.Add([]byte("\x1f\x8b\x08"))
	f.Add([]byte("\x28\xb5\x2f\xfd\x00"))
	f.Fuzz(func(t *testing.T, blob []byte) { verifyLayer(t, blob) })
}

func FuzzExecutable(f *testing.F) {
	f.Add([]byte(elfFile(binary.LittleEndian, 64, 62, "/lib/ld.so")))
	f.Add([]byte(elfFile(binary.BigEndian, 32, 8, "/lib/ld.so")))
	f.Add(compile(f, "linux/amd64")[:8192])
	f.Add(compile(f, "windows/amd64")[:8192])
	f.Add([]byte("#!/bin/sh"))
	f.Fuzz(func(t *testing.T, content []byte) {
		verifyLayer(t, tarOf(t, file{name: "app/hello", text: string(content), mode: 0o755}, file{name: "x.exe", text: string(content)}))
	})
}

func FuzzArchive(f *testing.F) {
	f.Add(tarOf(f, file{name: "oci-layout", text: "{}"}, file{name: "index.json", text: `{"manifests":[{}]}`}))
	f.Add(tarOf(f, file{name: "manifest.json", text: `[{"Config":"c","Layers":["l"]}]`}, file{name: "c", text: "{}"}, file{name: "l", link: "l"}))
	f.Fuzz(func(t *testing.T, content []byte) {
		name := filepath.Join(t.TempDir(), "a.tar")
		require.NoError(t, os.WriteFile(name, content, 0o644))
		s, err := inspect.Open(t.Context(), registry.Client{}, name)
		if err != nil {
			return
		}
		defer func() { require.NoError(t, s.Close()) }()
		if v, err := inspect.Verify(t.Context(), s); err == nil {
			assert.NotNil(t, v.Problems)
		}
		_, _ = inspect.NewReport(t.Context(), s)
		_, _ = inspect.DockerManifests(t.Context(), s)
	})
}

// hostile is a 64-bit ELF file whose section names are a trap for those who read them.
func hostile(flags uint64, n uint16, names []byte) string {
	var out bytes.Buffer
	write := func(values ...any) {
		for _, v := range values {
			_ = binary.Write(&out, binary.LittleEndian, v)
		}
	}
	out.WriteString("\x7fELF")
	write([]byte{2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, uint16(2), uint16(62), uint32(1))
	write(uint64(0), uint64(0), uint64(64), uint32(0), uint16(64), uint16(56), uint16(0), uint16(64), n, uint16(1))
	for range n {
		write(uint32(0), uint32(3), flags, uint64(0), uint64(64+64*int(n)), uint64(len(names)), uint64(0), uint64(1), uint64(0))
	}
	out.Write(names)
	return out.String()
}

func TestVerifyOfHostileLayers(t *testing.T) {
	long := append(bytes.Repeat([]byte("n"), 20<<20), 0)
	bomb := append(binary.LittleEndian.AppendUint64([]byte{2, 0, 0, 0, 0, 0, 0, 0}, 1<<40), make([]byte, 8)...)
	// A zstd frame of blocks that each repeat one byte 128 KiB times.
	bomb = append(bomb, 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58)
	for range 100_000 {
		bomb = append(bomb, 0x02, 0x00, 0x10, 'n')
	}
	var deep, links []file
	for i := range 200 {
		deep = append(deep, file{name: "d" + string(bytes.Repeat([]byte("/x"), 1500+i)), mode: 0o755, text: "#!/a"})
		links = append(links, file{name: "l" + string(rune('a'+i%26)) + string(rune('a'+i/26)), link: string(bytes.Repeat([]byte("la/"), 1000))})
	}
	for name, files := range map[string][]file{
		"compressed section names": {{name: "app/hello", text: hostile(0x800, 2, bomb), mode: 0o755}},
		"long section names":       {{name: "app/hello", text: hostile(0, 60_000, long), mode: 0o755}},
		"deep directories":         deep,
		"links to links":           append(links, file{name: "app", link: "la"}),
	} {
		t.Run(name, func(t *testing.T) {
			v := verifyLayer(t, tarOf(t, files...))
			assert.NotEmpty(t, append(v.Problems, v.Notes...))
		})
	}
}

// sparseFile is a tar of one program of a length in bytes of which only the first block is stored. archive/tar reads such
// files, and does not write them.
func sparseFile(t *testing.T, size int64) []byte {
	raw := tarOf(t, file{name: "app/hello", text: elfFile(binary.LittleEndian, 64, 62, "") + strings.Repeat("\x00", 391), mode: 0o755,
		header: func(h *tar.Header) { h.Format = tar.FormatGNU }})
	h := raw[:512]
	h[156] = tar.TypeGNUSparse
	copy(h[386:], fmt.Sprintf("%011o\x00%011o\x00", 0, 512))
	h[483] = 0x80
	binary.BigEndian.PutUint64(h[487:], uint64(size))
	copy(h[148:156], "        ")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return raw
}

func TestVerifyOfASparseFile(t *testing.T) {
	for size, want := range map[int64]string{1 << 20: "it is stored as a sparse file", 1 << 50: "it has more than 536870912 bytes"} {
		v := verifyLayer(t, sparseFile(t, size))
		assert.Empty(t, lines(v.Notes))
		assert.Equal(t, []string{"linux/amd64: layer 1 (sha256:...): /app/hello: cannot be examined inside: " + want}, lines(v.Problems))
	}
}

func TestVerifyKeepsMemoryFlat(t *testing.T) {
	// A megabyte of blob, and a program of 256 MiB in it.
	var blob bytes.Buffer
	packed := gzip.NewWriter(&blob)
	w := tar.NewWriter(packed)
	head := elfFile(binary.LittleEndian, 64, 62, "")
	const size = 256 << 20
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "app/hello", Mode: 0o755, Size: size}))
	_, err := io.WriteString(w, head)
	require.NoError(t, err)
	_, err = io.CopyN(w, zeros{}, int64(size-len(head)))
	require.NoError(t, err)
	require.NoError(t, errors.Join(w.Close(), packed.Close()))

	img := imageOf(t, "linux/amd64", nil, stored{static.NewLayer(blob.Bytes(), types.OCILayer), v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}})
	s := open(t, "oci:"+writeLayout(t, img))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	v, err := inspect.Verify(t.Context(), s)
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	require.Len(t, v.Problems, 1)
	assert.Contains(t, v.Problems[0].Text, "its diffID is sha256:")
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20), "bytes that were allocated in all")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	s := open(t, "oci:"+writeLayout(t, goodIndex(t, "linux/amd64")))
	_, err := inspect.Verify(canceled(t), s)
	require.ErrorIs(t, err, context.Canceled)
}
