package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

// entry returns the entry of a layer for the value of -entry. The program is nil unless the file was built for a
// platform and has an executable header.
//
// The mode never depends on the permission bits of the source file: they are not part of the action key, and remote
// workers make all inputs executable.
func (s subject) entry(text string) (layer.Entry, *program, error) {
	var e entryFlag
	if err := unmarshal("-entry", []byte(text), &e); err != nil {
		return layer.Entry{}, nil, &usageError{err}
	}
	if !path.IsAbs(e.Path) || path.Clean(e.Path) != e.Path || e.Path == "/" {
		return layer.Entry{}, nil, &hintError{
			fmt.Errorf("invalid path %q in the image", e.Path), "use an absolute path without . and .., such as /app/hello",
		}
	}
	switch {
	case e.Dir:
		return layer.ImplicitDir(e.Path, e.Mode, e.UID, e.GID), nil, nil
	case e.From == "":
		return layer.Entry{
			Path: e.Path, Kind: layer.File, Mode: cmp.Or(e.Mode, plainMode), UID: e.UID, GID: e.GID,
			Contents: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil },
		}, nil, nil
	}
	return s.file(e)
}

const (
	plainMode      = 0o644
	executableMode = 0o755
)

// file returns the entry of a source file.
func (s subject) file(e entryFlag) (layer.Entry, *program, error) {
	capabilities, err := layer.Capabilities(e.Capabilities)
	if err != nil {
		return layer.Entry{}, nil, err
	}
	f, err := os.Open(e.From)
	if errors.Is(err, fs.ErrNotExist) {
		return layer.Entry{}, nil, &hintError{
			fmt.Errorf("adding %s: %s does not exist", e.Path, e.From),
			"build it, or remove it from files",
		}
	}
	if err != nil {
		return layer.Entry{}, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return layer.Entry{}, nil, err
	}
	if !info.Mode().IsRegular() {
		return layer.Entry{}, nil, &hintError{
			fmt.Errorf("adding %s: %s is not a regular file", e.Path, e.From),
			"list the files in it with a glob",
		}
	}
	entry := layer.Entry{
		Path: e.Path, Kind: layer.File, Mode: cmp.Or(e.Mode, plainMode), UID: e.UID, GID: e.GID,
		Size: info.Size(), From: e.From,
		Contents: func() (io.ReadCloser, error) { return os.Open(e.From) },
	}
	if entry.Xattrs, err = layer.CapabilityXattrs(f, e.From, capabilities); err != nil {
		return layer.Entry{}, nil, err
	}
	if !e.Binary && !e.Built && !e.DetectMode {
		return entry, nil, nil
	}
	head := make([]byte, arch.HeaderSize)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return layer.Entry{}, nil, err
	}
	head = head[:n]
	if e.DetectMode && e.Mode == 0 && isExecutable(head) {
		entry.Mode = executableMode
	}
	p := identify(head)
	if p != nil {
		p.Path, p.From = e.Path, e.From
	}
	switch {
	case e.Binary:
		return entry, nil, s.checkBinary(p)
	case e.Built:
		return entry, p, nil
	}
	return entry, nil, nil
}
