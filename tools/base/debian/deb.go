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

// The limits of what is unpacked. Debian's largest packages have some 2 GB and 100,000 files.
const (
	maxUnpacked = 4 << 30 // bytes of one package
	maxFiles    = 1 << 19 // files and directories of one package
	maxControl  = 64 << 20
	maxText     = 16 << 20 // bytes of control, and of md5sums
	maxWindow   = 128 << 20
)

// control is what a package says of itself.
type control struct {
	stanza  []byte
	md5sums []byte
}

// readDeb reads a package: deb(5). It calls data with its files, once its control file has been read.
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
		return errors.New("not a package in the format 2.0: it does not start with debian-binary")
	}
	var own *control
	for {
		name, content, err := members.next()
		if errors.Is(err, io.EOF) {
			return errors.New("it has no data.tar")
		}
		if err != nil {
			return err
		}
		stem, _, _ := strings.Cut(name, ".tar")
		switch {
		case strings.HasPrefix(name, "_"): // deb(5) leaves these to others.
		case stem == "control" && own == nil:
			if own, err = readControl(name, content); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		case stem == "data" && own != nil:
			unpacked, err := decompress(name, content)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			defer unpacked.Close()
			return data(own, tar.NewReader(&bounded{unpacked, limit}))
		default:
			return fmt.Errorf("an unexpected member %q", name)
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
	files := tar.NewReader(&bounded{unpacked, maxControl})
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
			return nil, fmt.Errorf("%s is not a file", h.Name)
		}
		if *into, err = readAll(files, maxText); err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name, err)
		}
	}
	if out.stanza == nil {
		return nil, errors.New("it has no control file")
	}
	return out, nil
}

// is tells whether the control file is that of a package.
func (c *control) is(p Package) error {
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
		return fmt.Errorf("its control file: %w", err)
	}
	if count != 1 || name != p.Name || version != p.Version || arch != p.Architecture {
		return fmt.Errorf("its control file is that of %q %q for %q", name, version, arch)
	}
	return nil
}

// decompress unpacks what the end of a name says it is packed with.
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
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case ".tar", "":
		return io.NopCloser(r), nil
	}
	return nil, fmt.Errorf("packed with %s, which is not known", path.Ext(name))
}

var errTooLarge = errors.New("it unpacks to more than is allowed")

// bounded reads so many bytes and then fails, where io.LimitReader would make the end look sound.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// arReader reads an archive in the form that ar(5) has in packages: names of up to 16 letters, one member after the other.
type arReader struct {
	r    io.Reader
	body *io.LimitedReader // of the member that is being read
	pad  int64
}

const (
	arMagic  = "!<arch>\n"
	arHeader = 60
)

func (a *arReader) magic() error {
	start := make([]byte, len(arMagic))
	if _, err := io.ReadFull(a.r, start); err != nil || string(start) != arMagic {
		return errors.New("not a package: it does not start as an ar archive")
	}
	return nil
}

// next returns the next member, or io.EOF. What is left of the one before is skipped.
func (a *arReader) next() (name string, content io.Reader, err error) {
	if a.body != nil {
		if _, err := io.Copy(io.Discard, a.body); err != nil {
			return "", nil, err
		}
		if a.body.N > 0 {
			return "", nil, io.ErrUnexpectedEOF
		}
		if _, err := io.CopyN(io.Discard, a.r, a.pad); err != nil && !errors.Is(err, io.EOF) {
			return "", nil, err
		}
	}
	var h [arHeader]byte
	if _, err := io.ReadFull(a.r, h[:]); err != nil {
		return "", nil, err
	}
	size, err := strconv.ParseInt(strings.TrimRight(string(h[48:58]), " "), 10, 64)
	if err != nil || size < 0 || string(h[58:]) != "`\n" {
		return "", nil, errors.New("not the header of a member of an ar archive")
	}
	a.body, a.pad = &io.LimitedReader{R: a.r, N: size}, size%2
	return strings.TrimSuffix(strings.TrimRight(string(h[:16]), " "), "/"), a.body, nil
}
