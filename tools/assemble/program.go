package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// program is a file with an executable header. Layers list their programs so that images can be checked without reading
// layers.
type program struct {
	Path string `json:"path"` // in the image
	From string `json:"from"`
	// Header is empty for a macOS program.
	Header arch.Header `json:"header"`
}

// isExecutable reports whether Linux or Windows can execute a file, by its first bytes.
func isExecutable(head []byte) bool {
	_, ok := arch.ReadHeader(head)
	return ok || bytes.HasPrefix(head, []byte("#!"))
}

// identify returns the program with the given first bytes, or nil if they are not an executable header.
func identify(head []byte) *program {
	if header, ok := arch.ReadHeader(head); ok {
		return &program{Header: header}
	}
	if isMachO(head) {
		return &program{}
	}
	return nil
}

// isMachO reports whether a file is a macOS program, which compilers on a Mac build by default.
func isMachO(head []byte) bool {
	if len(head) < 8 {
		return false
	}
	switch binary.BigEndian.Uint32(head) {
	case 0xcffaedfe, 0xcefaedfe:
		return true
	case 0xcafebabe:
		// Java class files have the same magic number, followed by a version of at least 45 instead of the number of
		// architectures.
		return binary.BigEndian.Uint32(head[4:]) < 45
	}
	return false
}

// target describes the platform of the program for error messages.
func (p program) target() string {
	if p.Header == (arch.Header{}) {
		return "macOS"
	}
	for _, row := range arch.Table() {
		// Variants of an architecture share a header. The first row has no variant.
		if row.Header == p.Header {
			return row.OS + "/" + row.Architecture
		}
	}
	return fmt.Sprintf("an unknown platform (%+v)", p.Header)
}

// checkBinary checks that the program of an image is for the image's platform. p is nil for a file without an
// executable header, such as a script.
func (s subject) checkBinary(p *program) error {
	platform, err := suggest.ParsePlatform(s.platform)
	if err != nil {
		return &usageError{err}
	}
	row, ok := arch.Find(platform)
	if !ok {
		return usagef("unknown platform %s", platform)
	}
	if p == nil || p.Header == row.Header {
		return nil
	}
	return &hintError{
		fmt.Errorf("%s is a program for %s", p.From, p.target()),
		fmt.Sprintf("use a binary that respects --platforms, such as a go_binary or a cc_binary, "+
			"or set a prebuilt file in overrides = {%q: {\"binary\": ...}}", platform),
	}
}

// addProgram lists a program, or only the first of several programs for the same platform. p may be nil.
func (f *layerFile) addProgram(p *program) {
	if p == nil || slices.ContainsFunc(f.Programs, func(other program) bool { return other.Header == p.Header }) {
		return
	}
	f.Programs = append(f.Programs, *p)
}

// isPortable reports whether a program may be in an image for another platform: .NET assemblies have PE headers for 386
// on all platforms, and Python packages contain launchers for Windows.
func (p program) isPortable(system string) bool {
	const machine386 = 0x14c
	return p.Header.Format == arch.PE && (system != "windows" || p.Header.Machine == machine386)
}

// checkPrograms checks that the programs in the layers of an image are for the image's platform.
func checkPrograms(platform arch.Platform, layers []layerFile) error {
	row, _ := arch.Find(platform) // parsed platforms are in the table
	for _, l := range layers {
		for _, p := range l.Programs {
			if p.Header == row.Header || p.isPortable(row.OS) {
				continue
			}
			return &hintError{
				fmt.Errorf("%s (%s) is a program for %s", p.Path, p.From, p.target()),
				"build it with a rule that respects --platforms, remove portable = True from the target that adds it, " +
					"or set allow = [\"wrong-platform\"]",
			}
		}
	}
	return nil
}
