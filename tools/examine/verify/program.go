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

// program is an executable file: an ELF or PE binary, or a script. Shared libraries are programs here, too.
type program struct {
	path string
	// header is zero for a script.
	header arch.Header
	// interpreter is what the kernel starts in the program's place: the PT_INTERP of a dynamic ELF binary, or the first
	// word behind the #! of a script. It is "" for a static binary.
	interpreter string
	// argument is the word behind the interpreter of a script.
	argument string
	// links are what the dynamic loader is asked for, nil for a static binary.
	links *dynamic
	// settings are what the Go build information says about the target, nil where there is none.
	settings map[string]string
	// cut says how it is known that the end of a binary is missing, "" for a whole one.
	truncated string
	// unread is why the inside of a binary could not be examined, "" where it was.
	unreadable string
}

func (p *program) isScript() bool { return p.header == arch.Header{} }

// strings are those that p keeps in memory.
func (p *program) strings() []string {
	all := []string{p.interpreter, p.argument}
	if p.links != nil {
		all = append(append(all, p.links.soname, p.links.rpath, p.links.runpath), p.links.needed...)
	}
	return all
}

const (
	// memoryLimit is how long a binary may be to be examined in memory, in bytes. Longer ones go to a temporary file.
	memoryLimit = 16 << 20
	// spoolLimit is how long a binary may be to be examined inside, in bytes.
	spoolLimit = 512 << 20
	// insideLimit is how many bytes of a binary are looked at to find what is needed of it: damaged or hostile headers
	// can point to anything, as often as they like.
	readLimit = 48 << 20
	// scriptLine is how much of a script the kernel looks at: BINPRM_BUF_SIZE of Linux.
	scriptLine = 256
	// pathLimit is PATH_MAX of Linux.
	pathLimit = 4096
)

// examiner looks into executable files, one at a time. Each is copied to memory or, if it is long, to a temporary file.
type examiner struct {
	memory bytes.Buffer
	spool  *os.File
	// named is set where the system lets no open file be removed, which is otherwise done at once: then nothing is left
	// behind, however the process ends.
	removeOnClose bool
	// failed is why that could not be done.
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

// examine returns nil for what is no program we know. Of a file that is not executable, a library, it does not find out
// how it was built. An error means that nothing more can be examined.
func (e *examiner) examine(name string, h *tar.Header, content io.Reader, executable bool) (*program, error) {
	head := make([]byte, arch.HeaderSize)
	n, err := io.ReadFull(content, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) || int64(n) < min(h.Size, arch.HeaderSize) {
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
		// A few bytes of the archive can be any length of file.
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

// scriptInterpreter reads the #! line as Linux does: fs/binfmt_script.c. Windows line ends are part of the name there.
// The words behind the interpreter are one argument; the first of them is returned that is no option of env.
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

// store copies a file of size bytes to where any part of it can be read, until the next one is stored.
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

// failing keeps the error of a reader, to tell it from that of the writer.
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

// metered reads a file until it has read too much.
type limitedReaderAt struct {
	inner io.ReaderAt
	left  int64
}

var errReadLimit = errors.New("its headers are too involved")

func (m *limitedReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if m.left -= int64(len(p)) + 1; m.left < 0 {
		return 0, errReadLimit
	}
	return m.inner.ReadAt(p, off)
}

// look finds the interpreter, the libraries and, of an executable file, the build settings. The packages of the standard library that do so are not made for
// files that mean harm.
func (p *program) readMetadata(file io.ReaderAt, executable bool) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("examining it failed: %v", r)
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
		return nil // not written in Go, or too old to say
	}
	p.settings = targetSettings(info.Settings)
	return nil
}

// elfInterpreter returns the path in PT_INTERP, "" where there is none.
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

// targetSettings are the settings that say what a binary was built for. A binary with build information, but without
// settings, has an empty map.
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
