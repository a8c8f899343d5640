package verify_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/examine/verify"
	"github.com/multiarch-build/multiarch/tools/oci/source"
	"github.com/multiarch-build/multiarch/tools/oci/source/sourcetest"
)

// elfFile returns a minimal dynamically linked executable.
func elfFile(order binary.ByteOrder, bits byte, machine uint16, interpreter string) string {
	var out bytes.Buffer
	write := func(values ...any) {
		for _, v := range values {
			_ = binary.Write(&out, order, v)
		}
	}
	data := byte(1)
	if order == binary.BigEndian {
		data = 2
	}
	out.WriteString("\x7fELF")
	write([]byte{bits / 32, data, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, uint16(2), machine, uint32(1))
	n := uint16(1)
	if interpreter == "" {
		n = 0
	}
	path := interpreter + "\x00"
	if bits == 64 {
		write(uint64(0), uint64(64), uint64(0), uint32(0), uint16(64), uint16(56), n, uint16(64), uint16(0), uint16(0))
		write(uint32(3), uint32(4), uint64(120), uint64(0), uint64(0), uint64(len(path)), uint64(len(path)), uint64(1))
	} else {
		write(uint32(0), uint32(52), uint32(0), uint32(0), uint16(52), uint16(32), n, uint16(40), uint16(0), uint16(0))
		write(uint32(3), uint32(84), uint32(0), uint32(0), uint32(len(path)), uint32(len(path)), uint32(4), uint32(1))
	}
	out.WriteString(path)
	return out.String()
}

// linked is a dynamically linked ELF file.
type linked struct {
	platform, interpreter string
	needed                []string
	soname, rpath         string
	runpath               string
}

// elf returns the file. Its segments are a loaded one, the dynamic section and the interpreter.
func (l linked) elf(t testing.TB) string {
	t.Helper()
	p, err := arch.Parse(l.platform)
	require.NoError(t, err)
	row, _ := arch.Find(p)
	var order binary.ByteOrder = binary.LittleEndian
	data := byte(1)
	if row.Header.Order == arch.Big {
		order, data = binary.BigEndian, 2
	}
	word := row.Header.Bits / 8
	put := func(out *bytes.Buffer, values ...uint64) { // words of the machine
		for _, v := range values {
			if word == 8 {
				_ = binary.Write(out, order, v)
			} else {
				_ = binary.Write(out, order, uint32(v))
			}
		}
	}
	const base = 0x10000
	head, entry, segments := 64, 56, 3
	if word == 4 {
		head, entry = 52, 32
	}
	start := head + segments*entry
	strings := "\x00"
	add := func(s string) uint64 {
		at := len(strings)
		strings += s + "\x00"
		return uint64(at)
	}
	var section bytes.Buffer
	for _, n := range l.needed {
		put(&section, 1, add(n))
	}
	for tag, s := range map[uint64]string{14: l.soname, 15: l.rpath, 29: l.runpath} {
		if s != "" {
			put(&section, tag, add(s))
		}
	}
	interpreter := add(l.interpreter)
	length := section.Len() + 6*word
	put(&section, 5, uint64(base+start+length), 10, uint64(len(strings)), 0, 0)
	require.Equal(t, length, section.Len())

	var out bytes.Buffer
	write := func(values ...any) {
		for _, v := range values {
			_ = binary.Write(&out, order, v)
		}
	}
	out.WriteString("\x7fELF")
	write([]byte{byte(row.Header.Bits / 32), data, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, uint16(3), row.Header.Machine, uint32(1))
	put(&out, 0, uint64(head), 0)
	write(uint32(0), uint16(head), uint16(entry), uint16(segments), uint16(0), uint16(0), uint16(0))
	segment := func(kind uint32, at, size uint64) {
		if word == 8 {
			write(kind, uint32(4), at, base+at, base+at, size, size, uint64(1))
		} else {
			write(kind, uint32(at), uint32(base+at), uint32(base+at), uint32(size), uint32(size), uint32(4), uint32(1))
		}
	}
	segment(1, 0, uint64(start+section.Len()+len(strings)))
	segment(2, uint64(start), uint64(section.Len()))
	if l.interpreter == "" {
		segment(0, 0, 0)
	} else {
		segment(3, uint64(start+section.Len())+interpreter, uint64(len(l.interpreter)+1))
	}
	out.Write(section.Bytes())
	out.WriteString(strings)
	return out.String()
}

// ldconfigCache returns an /etc/ld.so.cache in the format of glibc 2.32 and later. Earlier versions put the old format
// in front of it, which is the argument before.
func ldconfigCache(before string, entries ...string) string {
	var out, words bytes.Buffer
	out.WriteString("glibc-ld.so.cache1.1")
	_ = binary.Write(&out, binary.LittleEndian, []uint32{uint32(len(entries) / 2), 0, 2, 0, 0, 0, 0})
	for i := 0; i < len(entries); i += 2 {
		at := 48 + 24*len(entries)/2 + words.Len()
		words.WriteString(entries[i] + "\x00" + entries[i+1] + "\x00")
		_ = binary.Write(&out, binary.LittleEndian, []uint32{3, uint32(at), uint32(at + len(entries[i]) + 1), 0, 0, 0})
	}
	return before + out.String() + words.String()
}

func verifyImage(t *testing.T, img v1.Image) *verify.Verdict {
	t.Helper()
	root, err := sourcetest.Describe(img)
	require.NoError(t, err)
	v, err := verify.Source(t.Context(), &source.Source{Name: "image", Root: root, Image: img})
	require.NoError(t, err)
	return v
}
