package arch

import (
	"encoding/binary"
	"fmt"
)

// Format is the file format of an executable.
type Format string

// Executable formats in the table.
const (
	ELF Format = "ELF"
	PE  Format = "PE"
)

// ByteOrder is the byte order of an executable.
type ByteOrder string

// Byte orders in the table.
const (
	Little ByteOrder = "little-endian"
	Big    ByteOrder = "big-endian"
)

// Header identifies the machine of an executable by its first bytes. It does not include variants:
// ELF flags are the same for GOARM 5, 6 and 7 and for GOAMD64 v1 to v4. Headers can be compared
// with ==.
type Header struct {
	Format  Format    `json:"format"`
	Machine uint16    `json:"machine"` // ELF e_machine, or the PE COFF machine
	Bits    int       `json:"bits"`    // 32 or 64
	Order   ByteOrder `json:"order"`
}

// String describes h and lists the architectures that use it.
func (h Header) String() string {
	seen, names := map[string]bool{}, ""
	for _, r := range table {
		if name := r.OS + "/" + r.Architecture; r.Header == h && !seen[name] {
			seen[name] = true
			names += " " + name
		}
	}
	if names == "" {
		names = " unknown"
	}
	return fmt.Sprintf("%s %d-bit %s machine %#x (%s)", h.Format, h.Bits, h.Order, h.Machine, names[1:])
}

// HeaderSize is the number of bytes that ReadHeader needs; a shorter file may be passed whole. It
// covers the positions at which linkers place the PE header.
const HeaderSize = 1024

// ReadHeader recognises an executable by its first bytes. ok is false if they are not a complete
// ELF or PE header.
//
// ELF: System V ABI, "ELF Header". PE: Microsoft PE format, "MS-DOS Stub" and "COFF File Header".
func ReadHeader(head []byte) (h Header, ok bool) {
	switch {
	case len(head) >= 20 && string(head[:4]) == "\x7fELF":
		h.Format = ELF
		h.Bits = map[byte]int{1: 32, 2: 64}[head[4]]
		switch head[5] {
		case 1:
			h.Order, h.Machine = Little, binary.LittleEndian.Uint16(head[18:])
		case 2:
			h.Order, h.Machine = Big, binary.BigEndian.Uint16(head[18:])
		}
		return h, h.Bits != 0 && h.Order != ""
	case len(head) >= 64 && string(head[:2]) == "MZ":
		at := int64(binary.LittleEndian.Uint32(head[60:]))
		if at+26 > int64(len(head)) || string(head[at:at+4]) != "PE\x00\x00" {
			return Header{}, false
		}
		h = Header{PE, binary.LittleEndian.Uint16(head[at+4:]), 32, Little}
		if binary.LittleEndian.Uint16(head[at+24:]) == 0x20b { // the optional header's magic: PE32+
			h.Bits = 64
		}
		return h, true
	}
	return Header{}, false
}
