package verify

import (
	"archive/tar"
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/blob"
)

// program is an executable file: an ELF or PE binary, or a script. It is also used for shared libraries.
type program struct {
	path string
	// header is zero for a script.
	header arch.Header
	// interpreter is the program that the kernel starts instead: PT_INTERP of a dynamic ELF binary, or the first word
	// after the #! of a script. It is "" for a static binary.
	interpreter string
	// argument is the word after the interpreter of a script.
	argument string
	// links is the dynamic section, nil for a static binary.
	links *dynamic
	// settings are the target settings of the Go build information, nil if there is none.
	settings map[string]string
	// truncated describes why a binary is incomplete, "" for a complete one.
	truncated string
	// unreadable is why a binary could not be examined, "" if it was.
	unreadable string
}

func (p *program) isScript() bool { return p.header == arch.Header{} }

// strings returns the strings that p keeps in memory.
func (p *program) strings() []string {
	all := []string{p.interpreter, p.argument}
	if p.links != nil {
		all = append(append(all, p.links.soname, p.links.rpath, p.links.runpath), p.links.needed...)
	}
	return all
}

const (
	// memoryLimit bounds the binaries that are examined in memory, in bytes. Longer ones are copied to a temporary
	// file.
	memoryLimit = 16 << 20
	// spoolLimit bounds the binaries that are examined, in bytes.
	spoolLimit = 512 << 20
	// readLimit bounds the bytes that are read from a binary to examine it: damaged or hostile headers can refer to
	// anything, any number of times.
	readLimit = 48 << 20
	// scriptLine is the length of the #! line that Linux reads: BINPRM_BUF_SIZE.
	scriptLine = 256
	// pathLimit is PATH_MAX of Linux.
	pathLimit = 4096
)

// examiner examines executable files one at a time. It copies each to memory or, if it is long, to a temporary file.
type examiner struct {
	memory bytes.Buffer
	spool  *os.File
	// removeOnClose is set if the system cannot remove open files. Otherwise the temporary file is removed at once, so
	// that nothing is left if the process is killed.
	removeOnClose bool
	// spoolError is why the temporary file could not be written.
	spoolError error
}

func (e *examiner) close() {
	if e.spool != nil {
		_ = e.spool.Close()
		if e.removeOnClose {
			_ = os.Remove(e.spool.Name())
		}
	}
}

// examine returns nil for files that are not known programs. It does not read the build settings of files that are not
// executable. After an error, no more files can be examined.
func (e *examiner) examine(name string, h *tar.Header, content io.Reader, executable bool) (*program, error) {
	head := make([]byte, arch.HeaderSize)
	n, err := io.ReadFull(content, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) ||
		int64(n) < min(h.Size, arch.HeaderSize) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	head = head[:n]
	if interpreter, argument, ok := scriptInterpreter(head); ok {
		return &program{path: name, interpreter: interpreter, argument: argument}, nil
	}
	header, ok := arch.ReadHeader(head)
	if !ok {
		return nil, nil
	}
	p := &program{path: name, header: header}
	switch {
	case h.Size > spoolLimit:
		p.unreadable = fmt.Sprintf("it has more than %d bytes", spoolLimit)
		return p, nil
	case blob.IsSparse(h):
		// A sparse file can have any length and take a few bytes in the archive.
		p.unreadable = "it is stored as a sparse file"
		return p, nil
	}
	inside, err := e.store(io.MultiReader(bytes.NewReader(head), content), h.Size)
	if err != nil {
		return nil, err
	}
	p.truncated = describeTruncation(inside, header, h.Size)
	if err := p.readMetadata(inside, executable); err != nil {
		p.unreadable = err.Error()
	}
	return p, nil
}

// scriptInterpreter parses the #! line as Linux does (fs/binfmt_script.c), where a carriage return is part of the name.
// Linux passes the rest of the line as one argument; argument is its first word that is not an option of env.
func scriptInterpreter(head []byte) (interpreter, argument string, ok bool) {
	if !bytes.HasPrefix(head, []byte("#!")) {
		return "", "", false
	}
	line, _, _ := strings.Cut(string(head[2:min(len(head), scriptLine)]), "\n")
	words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == 0 })
	if len(words) == 0 {
		return "", "", false
	}
	for _, word := range words[1:] {
		if !strings.HasPrefix(word, "-") && !strings.Contains(word, "=") {
			return words[0], word, true
		}
	}
	return words[0], "", true
}

// store copies a file of size bytes for random access. The copy is valid until the next call.
func (e *examiner) store(content io.Reader, size int64) (io.ReaderAt, error) {
	if size <= memoryLimit {
		e.memory.Reset()
		e.memory.Grow(int(size) + bytes.MinRead)
		if _, err := e.memory.ReadFrom(content); err != nil {
			return nil, err
		}
		return &limitedReaderAt{bytes.NewReader(e.memory.Bytes()), readLimit}, nil
	}
	err := func() (err error) {
		if e.spool == nil {
			if e.spool, err = os.CreateTemp("", "multiarch-inspect-*"); err != nil {
				return err
			}
			e.removeOnClose = os.Remove(e.spool.Name()) != nil
		}
		if err := e.spool.Truncate(0); err != nil {
			return err
		}
		_, err = e.spool.Seek(0, io.SeekStart)
		return err
	}()
	if err != nil {
		e.spoolError = fmt.Errorf("preparing a temporary file: %w", err)
		return nil, e.spoolError
	}
	source := &errorRecorder{inner: content}
	n, err := io.Copy(e.spool, source)
	if err != nil {
		if source.err == nil {
			e.spoolError = fmt.Errorf("writing a temporary file: %w", err)
		}
		return nil, err
	}
	return &limitedReaderAt{io.NewSectionReader(e.spool, 0, n), readLimit}, nil
}

// errorRecorder records the error of a reader, to distinguish it from that of the writer.
type errorRecorder struct {
	inner io.Reader
	err   error
}

func (f *errorRecorder) Read(p []byte) (int, error) {
	n, err := f.inner.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// limitedReaderAt fails after a number of bytes.
type limitedReaderAt struct {
	inner io.ReaderAt
	left  int64
}

var errReadLimit = errors.New("its headers are too complex")

func (m *limitedReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if m.left -= int64(len(p)) + 1; m.left < 0 {
		return 0, errReadLimit
	}
	return m.inner.ReadAt(p, off)
}

// readMetadata reads the interpreter, the libraries and, of an executable file, the build settings. It recovers from
// panics, because the debug packages are not hardened against hostile files.
func (p *program) readMetadata(file io.ReaderAt, executable bool) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("examining the content failed: %v", r)
		}
	}()
	if p.header.Format == arch.ELF {
		plain, err := sanitizeELF(file, p.header)
		if err != nil {
			return err
		}
		file = plain
		f, err := elf.NewFile(file)
		if err != nil {
			return err
		}
		if p.interpreter, err = elfInterpreter(f); err != nil {
			return err
		}
		if p.links, err = readDynamic(f); err != nil {
			return err
		}
	}
	if !executable {
		return nil
	}
	info, err := buildinfo.Read(file)
	if err != nil {
		return nil // not a Go binary, or too old for build information
	}
	p.settings = targetSettings(info.Settings)
	return nil
}

// elfInterpreter returns the path in PT_INTERP, or "".
func elfInterpreter(f *elf.File) (string, error) {
	for _, segment := range f.Progs {
		if segment.Type != elf.PT_INTERP {
			continue
		}
		raw := make([]byte, min(segment.Filesz, pathLimit))
		if _, err := segment.ReadAt(raw, 0); err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("reading its interpreter: %w", err)
		}
		name, _, _ := bytes.Cut(raw, []byte{0})
		return string(name), nil
	}
	return "", nil
}

// targetSettings selects the build settings that describe the target. The result is empty, not nil, for a binary with
// build information but without settings.
func targetSettings(all []debug.BuildSetting) map[string]string {
	settings := map[string]string{}
	for _, s := range all {
		_, level := levels[s.Key]
		if (level || s.Key == "GOOS" || s.Key == "GOARCH") && len(s.Value) < 100 {
			settings[s.Key] = s.Value
		}
	}
	return settings
}
