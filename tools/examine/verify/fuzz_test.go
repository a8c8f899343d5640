package verify_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/examine/diff"
	"github.com/multiarch-build/multiarch/tools/examine/verify"
	"github.com/multiarch-build/multiarch/tools/oci/source"
	"github.com/multiarch-build/multiarch/tools/oci/source/sourcetest"
)

// verifyLayer runs Verify and Diff over a layer of any bytes.
func verifyLayer(t *testing.T, blob []byte) *verify.Verdict {
	sum, _, err := v1.SHA256(bytes.NewReader(blob))
	require.NoError(t, err)
	img := sourcetest.Image(t, "linux/amd64", nil, sourcetest.LayerWithDiffID{
		Layer: static.NewLayer(blob, types.OCIUncompressedLayer),
		ID:    sum,
	})
	root, err := sourcetest.Describe(img)
	require.NoError(t, err)
	s := &source.Source{Name: "fuzz", Root: root, Image: img}
	v, err := verify.Source(t.Context(), s)
	require.NoError(t, err)
	for _, p := range append(v.Problems, v.Notes...) {
		assert.NotContains(t, p.String(), "\n")
	}
	other := sourcetest.Image(t, "linux/amd64", nil, sourcetest.Layer(t, sourcetest.File{Name: "a"}))
	rootOther, err := sourcetest.Describe(other)
	require.NoError(t, err)
	// What cannot be read cannot be compared: an error is fine.
	if d, err := diff.Compare(t.Context(), s, &source.Source{Name: "other", Root: rootOther, Image: other}); err == nil {
		_ = d.String()
	}
	return v
}

func FuzzLayer(f *testing.F) {
	elf := elfFile(binary.LittleEndian, 64, 62, "/lib/ld.so")
	f.Add(sourcetest.Tar(f, sourcetest.File{Name: "app/hello", Text: elf, Mode: 0o755},
		sourcetest.File{Name: "lib", Link: "usr/lib"}, sourcetest.File{Name: "usr/lib/ld.so", Mode: 0o755}))
	f.Add(sourcetest.Tar(f, sourcetest.File{Name: "app/hello", Text: "#!/bin/sh\n", Mode: 0o755}, sourcetest.File{
		Name:     "bin/sh",
		Link:     "app/hello",
		Typeflag: tar.TypeLink,
	}))
	f.Add(sourcetest.Tar(f, sourcetest.File{Name: "app", Link: "../app/hello/.."}, sourcetest.File{Name: ".wh."},
		sourcetest.File{Name: ".wh..."}, sourcetest.File{Name: "a/.wh..wh..opq"}))
	f.Add([]byte{})
	f.Add([]byte("\x1f\x8b\x08"))
	f.Add([]byte("\x28\xb5\x2f\xfd\x00"))
	f.Fuzz(func(t *testing.T, blob []byte) { verifyLayer(t, blob) })
}

func FuzzExecutable(f *testing.F) {
	f.Add([]byte(elfFile(binary.LittleEndian, 64, 62, "/lib/ld.so")))
	f.Add([]byte(elfFile(binary.BigEndian, 32, 8, "/lib/ld.so")))
	f.Add(sourcetest.Compile(f, "linux/amd64")[:8192])
	f.Add(sourcetest.Compile(f, "windows/amd64")[:8192])
	f.Add([]byte("#!/bin/sh"))
	f.Fuzz(func(t *testing.T, content []byte) {
		verifyLayer(t, sourcetest.Tar(t, sourcetest.File{Name: "app/hello", Text: string(content), Mode: 0o755},
			sourcetest.File{Name: "x.exe", Text: string(content)}))
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
		write(uint32(0), uint32(3), flags, uint64(0), uint64(64+64*int(n)), uint64(len(names)), uint64(0), uint64(1),
			uint64(0))
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
	var deep, links []sourcetest.File
	for i := range 200 {
		deep = append(deep, sourcetest.File{
			Name: "d" + string(bytes.Repeat([]byte("/x"), 1500+i)),
			Mode: 0o755,
			Text: "#!/a",
		})
		links = append(links, sourcetest.File{
			Name: "l" + string(rune('a'+i%26)) + string(rune('a'+i/26)),
			Link: string(bytes.Repeat([]byte("la/"), 1000)),
		})
	}
	for name, files := range map[string][]sourcetest.File{
		"compressed section names": {{Name: "app/hello", Text: hostile(0x800, 2, bomb), Mode: 0o755}},
		"long section names":       {{Name: "app/hello", Text: hostile(0, 60_000, long), Mode: 0o755}},
		"deep directories":         deep,
		"links to links":           append(links, sourcetest.File{Name: "app", Link: "la"}),
	} {
		t.Run(name, func(t *testing.T) {
			v := verifyLayer(t, sourcetest.Tar(t, files...))
			assert.NotEmpty(t, append(v.Problems, v.Notes...))
		})
	}
}

// sparseFile is a tar of one program of a length in bytes of which only the first block is stored. archive/tar reads
// such files, and does not write them.
func sparseFile(t *testing.T, size int64) []byte {
	raw := sourcetest.Tar(t, sourcetest.File{
		Name:   "app/hello",
		Text:   elfFile(binary.LittleEndian, 64, 62, "") + strings.Repeat("\x00", 391),
		Mode:   0o755,
		Header: func(h *tar.Header) { h.Format = tar.FormatGNU },
	})
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
	for size, want := range map[int64]string{
		1 << 20: "it is stored as a sparse file",
		1 << 50: "it has more than 536870912 bytes",
	} {
		v := verifyLayer(t, sparseFile(t, size))
		assert.Empty(t, lines(v.Notes))
		assert.Equal(t, []string{"linux/amd64: layer 1 (sha256:...): /app/hello: cannot be examined: " + want},
			lines(v.Problems))
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

	img := sourcetest.Image(t, "linux/amd64", nil, sourcetest.LayerWithDiffID{
		Layer: static.NewLayer(blob.Bytes(), types.OCILayer),
		ID:    v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)},
	})
	s := sourcetest.Open(t, "oci:"+sourcetest.WriteLayout(t, img))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	v, err := verify.Source(t.Context(), s)
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
	s := sourcetest.Open(t, "oci:"+sourcetest.WriteLayout(t, sourcetest.HelloIndex(t, "linux/amd64")))
	_, err := verify.Source(canceled(t), s)
	require.ErrorIs(t, err, context.Canceled)
}
