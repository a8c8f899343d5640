package verify

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
)

// dynamic is the dynamic section of a binary (System V ABI, "Dynamic Section").
type dynamic struct {
	needed []string // DT_NEEDED: the libraries that it needs
	soname string   // DT_SONAME: the name of a library
	// rpath and runpath are DT_RPATH and DT_RUNPATH: directories, separated by colons.
	rpath, runpath string
}

const (
	// dynamicLimit bounds the bytes that are read from a dynamic section. That of libLLVM has a kilobyte.
	dynamicLimit = 64 << 10
	// neededLimit bounds the number of libraries.
	neededLimit = 1024
)

// readDynamic reads the segments, as loaders do, because sections are optional. It returns nil for a static binary.
func readDynamic(f *elf.File) (*dynamic, error) {
	var segment *elf.Prog
	for _, s := range f.Progs {
		if s.Type == elf.PT_DYNAMIC {
			segment = s
			break
		}
	}
	if segment == nil || segment.Filesz == 0 {
		return nil, nil
	}
	raw := make([]byte, min(segment.Filesz, dynamicLimit))
	if n, err := segment.ReadAt(raw, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading its dynamic section: %w", err)
	} else {
		raw = raw[:n]
	}
	word := 4
	if f.Class == elf.ELFCLASS64 {
		word = 8
	}
	value := func(b []byte) uint64 {
		if word == 8 {
			return f.ByteOrder.Uint64(b)
		}
		return uint64(f.ByteOrder.Uint32(b))
	}
	var needed []uint64
	tags := map[elf.DynTag]uint64{}
	for ; len(raw) >= 2*word; raw = raw[2*word:] {
		tag, v := elf.DynTag(int32(value(raw))), value(raw[word:])
		if tag == elf.DT_NULL {
			break
		}
		if tag == elf.DT_NEEDED {
			needed = append(needed, v)
		} else {
			tags[tag] = v
		}
	}
	if len(needed) > neededLimit {
		return nil, errReadLimit
	}
	table := stringTable{f, tags[elf.DT_STRTAB], tags[elf.DT_STRSZ]}
	d := &dynamic{}
	for _, offset := range needed {
		name, err := table.at(offset)
		if err != nil {
			return nil, err
		}
		d.needed = append(d.needed, name)
	}
	for tag, into := range map[elf.DynTag]*string{
		elf.DT_SONAME:  &d.soname,
		elf.DT_RPATH:   &d.rpath,
		elf.DT_RUNPATH: &d.runpath,
	} {
		offset, ok := tags[tag]
		if !ok {
			continue
		}
		var err error
		if *into, err = table.at(offset); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// stringTable is the string table of a dynamic section, at its address in memory.
type stringTable struct {
	file          *elf.File
	address, size uint64
}

// at reads a string.
func (t stringTable) at(offset uint64) (string, error) {
	address := t.address + offset
	for _, s := range t.file.Progs {
		if s.Type != elf.PT_LOAD || offset >= t.size || address < t.address || address < s.Vaddr ||
			address-s.Vaddr >= s.Filesz {
			continue
		}
		// Most names are short: read the maximum only for long ones.
		for _, length := range []uint64{64, pathLimit} {
			raw := make([]byte, min(length, t.size-offset))
			n, err := s.ReadAt(raw, int64(address-s.Vaddr))
			if err != nil && !errors.Is(err, io.EOF) {
				return "", fmt.Errorf("reading the names of its libraries: %w", err)
			}
			if text, _, ended := bytes.Cut(raw[:n], []byte{0}); ended {
				return string(text), nil
			}
		}
		return "", errors.New("the name of a library it needs is too long, or does not end")
	}
	return "", errors.New("the names of the libraries it needs are not in the file")
}
