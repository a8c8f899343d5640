package verify

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// sectionNamesLimit bounds the length of all section names together, if each were as long as their table. A real
// executable has a few dozen sections and a table of a few hundred bytes.
const sectionNamesLimit = 16 << 20

// sanitizeELF returns an ELF file that debug/elf can read safely. debug/elf reads all section names into memory, from a
// table that can be compressed, and each name can be as long as the table. Files that exploit this are returned without
// their sections, which are not needed at run time.
func sanitizeELF(file io.ReaderAt, h arch.Header) (io.ReaderAt, error) {
	var order binary.ByteOrder = binary.LittleEndian
	if h.Order == arch.Big {
		order = binary.BigEndian
	}
	// System V ABI, "ELF Header" and "Sections": the offset of the section table, the length and number of its entries,
	// and the index of the table of names.
	var table struct {
		offset           int64
		length, n, names uint16
	}
	var hidden *maskedFile
	flags, size := uint64(0), uint64(0)
	if h.Bits == 64 {
		var head elf.Header64
		if err := binary.Read(io.NewSectionReader(file, 0, 64), order, &head); err != nil {
			return nil, fmt.Errorf("reading its ELF header: %w", err)
		}
		table.offset, table.length, table.n, table.names = int64(head.Shoff), head.Shentsize, head.Shnum, head.Shstrndx
		hidden = &maskedFile{file, [][2]int64{{40, 48}, {60, 64}}} // e_shoff, e_shnum and e_shstrndx
	} else {
		var head elf.Header32
		if err := binary.Read(io.NewSectionReader(file, 0, 52), order, &head); err != nil {
			return nil, fmt.Errorf("reading its ELF header: %w", err)
		}
		table.offset, table.length, table.n, table.names = int64(head.Shoff), head.Shentsize, head.Shnum, head.Shstrndx
		hidden = &maskedFile{file, [][2]int64{{32, 36}, {48, 52}}}
	}
	if table.n == 0 || table.names >= table.n || table.offset < 0 {
		return hidden, nil // more than 65279 sections, no names, or invalid
	}
	at := table.offset + int64(table.names)*int64(table.length)
	if at < 0 {
		return hidden, nil
	}
	if h.Bits == 64 {
		var names elf.Section64
		if err := binary.Read(io.NewSectionReader(file, at, 64), order, &names); err != nil {
			return hidden, nil
		}
		flags, size = names.Flags, names.Size
	} else {
		var names elf.Section32
		if err := binary.Read(io.NewSectionReader(file, at, 40), order, &names); err != nil {
			return hidden, nil
		}
		flags, size = uint64(names.Flags), uint64(names.Size)
	}
	if flags&uint64(elf.SHF_COMPRESSED) != 0 || size > sectionNamesLimit/uint64(table.n) {
		return hidden, nil
	}
	return file, nil
}

// maskedFile is a file in which some ranges read as zero.
type maskedFile struct {
	inner  io.ReaderAt
	zeroed [][2]int64
}

func (e *maskedFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := e.inner.ReadAt(p, off)
	for _, z := range e.zeroed {
		for at := max(z[0], off); at < min(z[1], off+int64(n)); at++ {
			p[at-off] = 0
		}
	}
	return n, err
}
