package verify

import (
	"debug/elf"
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// describeTruncation compares the length of a binary with its headers. It returns "" if the binary is complete or its
// headers are invalid.
func describeTruncation(file io.ReaderAt, h arch.Header, size int64) string {
	var end uint64
	var err error
	switch h.Format {
	case arch.ELF:
		end, err = elfEnd(file, h, size)
	case arch.PE:
		end, err = peEnd(file, size)
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends within its headers"
	case err == nil && end > uint64(size):
		return fmt.Sprintf("its headers describe %d bytes, and it has %d", end, size)
	}
	return ""
}

// readHeader reads a header at an offset of a file of size bytes.
func readHeader(file io.ReaderAt, order binary.ByteOrder, offset, size int64, header any) error {
	n := int64(binary.Size(header))
	if offset < 0 || offset > size-n {
		return io.ErrUnexpectedEOF
	}
	return binary.Read(io.NewSectionReader(file, offset, n), order, header)
}

// tableLimit bounds the entries that are read from a table of segments or sections.
const tableLimit = 4096

// elfEnd returns the end of the last segment, section or header table (System V ABI, "ELF Header").
func elfEnd(file io.ReaderAt, h arch.Header, size int64) (uint64, error) {
	var order binary.ByteOrder = binary.LittleEndian
	if h.Order == arch.Big {
		order = binary.BigEndian
	}
	var head elf.Header64
	if h.Bits == 64 {
		if err := readHeader(file, order, 0, size, &head); err != nil {
			return 0, err
		}
	} else {
		var short elf.Header32
		if err := readHeader(file, order, 0, size, &short); err != nil {
			return 0, err
		}
		head = elf.Header64{
			Phoff: uint64(short.Phoff), Phentsize: short.Phentsize, Phnum: short.Phnum,
			Shoff: uint64(short.Shoff), Shentsize: short.Shentsize, Shnum: short.Shnum,
		}
	}
	var end uint64
	reach := func(offset, length uint64) {
		if offset+length > end && offset+length >= offset {
			end = offset + length
		}
	}
	if head.Phnum > 0 {
		reach(head.Phoff, uint64(head.Phnum)*uint64(head.Phentsize))
	}
	if head.Shnum > 0 && head.Shoff > 0 {
		reach(head.Shoff, uint64(head.Shnum)*uint64(head.Shentsize))
	}
	if end > uint64(size) {
		return end, nil
	}
	for i := range min(uint64(head.Phnum), tableLimit) {
		var segment elf.Prog64
		at := int64(head.Phoff + i*uint64(head.Phentsize))
		if h.Bits == 64 {
			if err := readHeader(file, order, at, size, &segment); err != nil {
				return 0, err
			}
		} else {
			var short elf.Prog32
			if err := readHeader(file, order, at, size, &short); err != nil {
				return 0, err
			}
			segment.Off, segment.Filesz = uint64(short.Off), uint64(short.Filesz)
		}
		if segment.Filesz > 0 {
			reach(segment.Off, segment.Filesz)
		}
	}
	for i := range min(uint64(head.Shnum), tableLimit) {
		var section elf.Section64
		at := int64(head.Shoff + i*uint64(head.Shentsize))
		if h.Bits == 64 {
			if err := readHeader(file, order, at, size, &section); err != nil {
				return 0, err
			}
		} else {
			var short elf.Section32
			if err := readHeader(file, order, at, size, &short); err != nil {
				return 0, err
			}
			section.Type, section.Off, section.Size = short.Type, uint64(short.Off), uint64(short.Size)
		}
		if t := elf.SectionType(section.Type); t != elf.SHT_NULL && t != elf.SHT_NOBITS {
			reach(section.Off, section.Size)
		}
	}
	return end, nil
}

// peEnd returns the end of the last section (Microsoft, "PE Format", "Section Table").
func peEnd(file io.ReaderAt, size int64) (uint64, error) {
	const offsetAt, signature = 0x3c, 4
	var start uint32
	if err := readHeader(file, binary.LittleEndian, offsetAt, size, &start); err != nil {
		return 0, err
	}
	var head pe.FileHeader
	at := int64(start) + signature
	if err := readHeader(file, binary.LittleEndian, at, size, &head); err != nil {
		return 0, err
	}
	at += int64(binary.Size(head)) + int64(head.SizeOfOptionalHeader)
	var end uint64
	for range min(int(head.NumberOfSections), tableLimit) {
		var section pe.SectionHeader32
		if err := readHeader(file, binary.LittleEndian, at, size, &section); err != nil {
			return 0, err
		}
		at += int64(binary.Size(section))
		if section.SizeOfRawData > 0 {
			end = max(end, uint64(section.PointerToRawData)+uint64(section.SizeOfRawData))
		}
	}
	return end, nil
}
