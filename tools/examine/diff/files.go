package diff

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/oci/blob"
)

// fileDifferences are the files in which two layers differ.
type fileDifferences struct {
	list []File
	note string
}

// fileList lists the files of a layer with everything that its diffID depends on.
type fileList struct {
	files map[string]file
	// order is a hash of the names in the order of the archive.
	order hash.Hash
	room  int
}

type file struct {
	kind      byte
	mode      int64
	uid, gid  int
	user      string // user:group by name
	size      int64
	content   [sha256.Size]byte
	mtime     time.Time
	link      string
	device    string
	extension string
}

func listFiles(ctx context.Context, img v1.Image, digest v1.Hash) (*fileList, error) {
	layer, err := img.LayerByDigest(digest)
	if err != nil {
		return nil, err
	}
	stored, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	defer stored.Close()
	l := &fileList{files: map[string]file{}, order: sha256.New(), room: filesLimit}
	m, err := blob.Measure(ctx, stored, digest, l.visit)
	if err != nil {
		return nil, err
	}
	if m.Digest != digest {
		return nil, fmt.Errorf("its bytes have the digest %s", m.Digest)
	}
	if m.DecompressError != nil {
		return nil, fmt.Errorf("decompressing it: %w", m.DecompressError)
	}
	return l, m.TarError
}

// filesLimit is the approximate memory, in bytes, for the files of a layer.
const filesLimit = 96 << 20

var errTooManyFiles = errors.New("it has too many files to compare")

// fileCost is the memory of a file without its strings, in bytes.
const fileCost = 250

func (l *fileList) visit(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name := path.Clean("/" + h.Name)
	f := file{
		kind: h.Typeflag, mode: h.Mode, uid: h.Uid, gid: h.Gid, size: h.Size, mtime: h.ModTime.UTC(), link: h.Linkname,
		extension: paxRecords(h),
	}
	if h.Uname != "" || h.Gname != "" {
		f.user = h.Uname + ":" + h.Gname
	}
	if h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock {
		f.device = fmt.Sprintf("%d:%d", h.Devmajor, h.Devminor)
	}
	l.room -= fileCost + len(name) + len(f.link) + len(f.user) + len(f.extension)
	if l.room < 0 {
		return errTooManyFiles
	}
	if h.Typeflag == tar.TypeReg && !blob.IsSparse(h) {
		hasher := sha256.New()
		if _, err := io.Copy(hasher, content); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		hasher.Sum(f.content[:0])
	}
	l.files[name] = f
	fmt.Fprintf(l.order, "%q\n", h.Name)
	return nil
}

// paxRecords returns the extended attributes and other PAX records that have no field in a tar header.
func paxRecords(h *tar.Header) string {
	var all []string
	for key, value := range h.PAXRecords {
		switch key {
		case "path", "linkpath", "size", "uid", "gid", "uname", "gname", "mtime":
		default:
			all = append(all, fmt.Sprintf("%s=%s", key, value))
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// compare returns the files that differ. If there are none, the note explains why the layers differ.
func (l *fileList) compare(other *fileList) fileDifferences {
	var d fileDifferences
	names := map[string]bool{}
	for name := range l.files {
		names[name] = true
	}
	for name := range other.files {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		x, inA := l.files[name]
		y, inB := other.files[name]
		switch {
		case !inB:
			d.list = append(d.list, File{Path: name, Kind: Removed})
		case !inA:
			d.list = append(d.list, File{Path: name, Kind: Added})
		default:
			if fields := x.compare(y); len(fields) > 0 {
				d.list = append(d.list, File{name, Changed, fields})
			}
		}
	}
	switch {
	case len(d.list) > 0:
	case string(l.order.Sum(nil)) != string(other.order.Sum(nil)):
		d.note = "the files are the same, in a different order or with names that are spelled differently"
	default:
		d.note = "the files are the same, and the tar archive is encoded differently"
	}
	return d
}

func (f file) compare(g file) []Change {
	var changes []Change
	field := func(name, a, b string) {
		if a != b {
			changes = append(changes, Change{name, a, b})
		}
	}
	field("type", typeName(f.kind), typeName(g.kind))
	field("size", fmt.Sprint(f.size), fmt.Sprint(g.size))
	field("mode", fmt.Sprintf("%04o", f.mode), fmt.Sprintf("%04o", g.mode))
	field("owner", fmt.Sprintf("%d:%d", f.uid, f.gid), fmt.Sprintf("%d:%d", g.uid, g.gid))
	field("owner name", f.user, g.user)
	field("content", f.digest(), g.digest())
	field("mtime", f.mtime.Format(time.RFC3339Nano), g.mtime.Format(time.RFC3339Nano))
	field("link", f.link, g.link)
	field("device", f.device, g.device)
	field("extended", f.extension, g.extension)
	return changes
}

func (f file) digest() string {
	if f.content == [sha256.Size]byte{} {
		return ""
	}
	return "sha256:" + hex.EncodeToString(f.content[:])
}

func typeName(flag byte) string {
	names := map[byte]string{
		tar.TypeReg: "file", tar.TypeDir: "directory", tar.TypeSymlink: "symbolic link", tar.TypeLink: "hard link",
		tar.TypeChar: "character device", tar.TypeBlock: "block device", tar.TypeFifo: "pipe",
	}
	if name, ok := names[flag]; ok {
		return name
	}
	return fmt.Sprintf("tar type %q", flag)
}
