package debian

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// Limits for unpacking a package. Debian's largest packages have about 2 GB and 100,000 files.
const (
	maxUnpacked = 4 << 30  // bytes of data.tar
	maxFiles    = 1 << 19  // entries of data.tar
	maxControl  = 64 << 20 // bytes of control.tar
	maxText     = 16 << 20 // bytes of control, md5sums and files that Merge reads
	maxWindow   = 128 << 20
)

// control is the content of control.tar.
type control struct {
	stanza  []byte
	md5sums []byte
}

// readDeb reads a package (deb(5)). After control.tar, it calls data with the entries of data.tar.
func readDeb(r io.Reader, limit int64, data func(*control, *tar.Reader) error) error {
	members := &arReader{r: r}
	if err := members.magic(); err != nil {
		return err
	}
	name, content, err := members.next()
	if err != nil {
		return err
	}
	version, err := readAll(content, 64)
	if err != nil || name != "debian-binary" || !bytes.HasPrefix(version, []byte("2.")) {
		return errors.New("unsupported package format: want debian-binary with version 2")
	}
	var c *control
	for {
		name, content, err := members.next()
		if errors.Is(err, io.EOF) {
			return errors.New("data.tar is missing")
		}
		if err != nil {
			return err
		}
		stem, _, _ := strings.Cut(name, ".tar")
		switch {
		case strings.HasPrefix(name, "_"): // deb(5) allows other tools to add these
		case stem == "control" && c == nil:
			if c, err = readControl(name, content); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		case stem == "data" && c != nil:
			unpacked, err := decompress(name, content)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			defer unpacked.Close()
			return data(c, tar.NewReader(&boundedReader{unpacked, limit}))
		default:
			return fmt.Errorf("unexpected member %q", name)
		}
	}
}

func readControl(name string, content io.Reader) (*control, error) {
	unpacked, err := decompress(name, content)
	if err != nil {
		return nil, err
	}
	defer unpacked.Close()
	out := &control{}
	files := tar.NewReader(&boundedReader{unpacked, maxControl})
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		var into *[]byte
		switch path.Clean(h.Name) {
		case "control":
			into = &out.stanza
		case "md5sums":
			into = &out.md5sums
		default:
			continue
		}
		if h.Typeflag != tar.TypeReg {
			return nil, fmt.Errorf("%s is not a regular file", h.Name)
		}
		if *into, err = readAll(files, maxText); err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name, err)
		}
	}
	if out.stanza == nil {
		return nil, errors.New("control file is missing")
	}
	return out, nil
}

// verify checks that the control file belongs to a package.
func (c *control) verify(p Package) error {
	var name, version, arch string
	count := 0
	err := stanzas(c.stanza, func(stanza []byte, _ int) error {
		count++
		return fields(stanza, func(field, value []byte) {
			switch string(field) {
			case "Package":
				name = string(value)
			case "Version":
				version = string(value)
			case "Architecture":
				arch = string(value)
			}
		})
	})
	if err != nil {
		return fmt.Errorf("control file: %w", err)
	}
	if count != 1 || name != p.Name || version != p.Version || arch != p.Architecture {
		return fmt.Errorf("control file is for package %q, version %q, architecture %q", name, version, arch)
	}
	return nil
}

// decompress decompresses r. The extension of name selects the format.
func decompress(name string, r io.Reader) (io.ReadCloser, error) {
	switch path.Ext(name) {
	case ".xz":
		x, err := xz.NewReader(r, xz.DefaultDictMax)
		if err != nil {
			return nil, err
		}
		return io.NopCloser(x), nil
	case ".gz":
		return gzip.NewReader(r)
	case ".zst":
		z, err := zstd.NewReader(r,
			zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case ".tar", "":
		return io.NopCloser(r), nil
	}
	return nil, fmt.Errorf("unsupported compression %q", path.Ext(name))
}

var errTooLarge = errors.New("unpacked content exceeds the size limit")

// boundedReader fails after a number of bytes. io.LimitReader would report a regular end instead.
type boundedReader struct {
	r    io.Reader
	left int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// arReader reads an archive in the variant of ar(5) that packages use, without extended names.
type arReader struct {
	r       io.Reader
	content *io.LimitedReader // of the current member
	padding int64
}

const (
	arMagic  = "!<arch>\n"
	arHeader = 60
)

func (a *arReader) magic() error {
	start := make([]byte, len(arMagic))
	if _, err := io.ReadFull(a.r, start); err != nil || string(start) != arMagic {
		return errors.New("not an ar archive")
	}
	return nil
}

// next skips the rest of the current member and returns the next one, or io.EOF.
func (a *arReader) next() (name string, content io.Reader, err error) {
	if a.content != nil {
		if _, err := io.Copy(io.Discard, a.content); err != nil {
			return "", nil, err
		}
		if a.content.N > 0 {
			return "", nil, io.ErrUnexpectedEOF
		}
		if _, err := io.CopyN(io.Discard, a.r, a.padding); err != nil && !errors.Is(err, io.EOF) {
			return "", nil, err
		}
	}
	var h [arHeader]byte
	if _, err := io.ReadFull(a.r, h[:]); err != nil {
		return "", nil, err
	}
	size, err := strconv.ParseInt(strings.TrimRight(string(h[48:58]), " "), 10, 64)
	if err != nil || size < 0 || string(h[58:]) != "`\n" {
		return "", nil, errors.New("invalid ar header")
	}
	a.content, a.padding = &io.LimitedReader{R: a.r, N: size}, size%2
	return strings.TrimSuffix(strings.TrimRight(string(h[:16]), " "), "/"), a.content, nil
}
