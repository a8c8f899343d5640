package verify

import (
	"bytes"
	"encoding/gob"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/blob"
)

// layerRecord is layerContents in a Memory. It is encoded with gob, because JSON would change file names that are not
// UTF-8.
type layerRecord struct {
	Size           int64
	Compression    string
	DiffID         v1.Hash
	Entries        map[string]entryRecord
	Plain, Folding map[uint64]bool
	Gone, Opaque   map[string]bool
	// Programs are those of the entries. The first Executables of them are executable.
	Programs    []programRecord
	Executables int
}

type entryRecord struct {
	Kind                         byte
	Executable, Library, Implied bool
	Target                       string
	// Program is an index into Programs plus one; 0 means none.
	Program int
	HasText bool
	Text    string
}

type programRecord struct {
	Path                  string
	Header                arch.Header
	Interpreter, Argument string
	Dynamic               bool
	Needed                []string
	Soname                string
	Rpath, Runpath        string
	Built                 bool
	Settings              map[string]string
	Cut, Unread           string
}

func layerKey(d v1.Descriptor) string { return checksVersion + " " + d.Digest.String() }

// store stores a layer whose content matches its digest.
func (c *layerCache) store(d v1.Descriptor, content *layerContents) {
	if c.checks.Memory == nil || content.readError != nil || content.DecompressError != nil || content.TarError != nil ||
		content.Digest != d.Digest {
		return
	}
	storeLayer(c.checks.Memory, d, content)
}

// storeLayer stores a layer in a Memory. If this fails, the next run reads the layer again.
func storeLayer(memory Memory, d v1.Descriptor, content *layerContents) {
	var raw bytes.Buffer
	if gob.NewEncoder(&raw).Encode(content.record()) == nil {
		_ = memory.Put(layerKind, layerKey(d), raw.Bytes())
	}
}

// lookup returns the stored contents of a layer.
func (c *layerCache) lookup(d v1.Descriptor) (*layerContents, bool) {
	var raw []byte
	if c.checks.Memory == nil || !c.checks.Memory.Get(layerKind, layerKey(d), &raw) {
		return nil, false
	}
	var r layerRecord
	if err := gob.NewDecoder(bytes.NewReader(raw)).Decode(&r); err != nil {
		return nil, false
	}
	return r.contents(d.Digest)
}

func (c *layerContents) record() layerRecord {
	r := layerRecord{
		Size: c.Size, Compression: string(c.Compression), DiffID: c.DiffID, Entries: map[string]entryRecord{},
		Plain: c.plain, Folding: c.foldedPlain, Gone: c.whiteouts, Opaque: c.opaque, Executables: len(c.programs),
	}
	number := map[*program]int{}
	for _, list := range [][]*program{c.programs, c.libraries} {
		for _, p := range list {
			one := programRecord{
				Path: p.path, Header: p.header, Interpreter: p.interpreter, Argument: p.argument,
				Built: p.settings != nil, Settings: p.settings, Cut: p.truncated, Unread: p.unreadable,
			}
			if l := p.links; l != nil {
				one.Dynamic, one.Needed, one.Soname, one.Rpath, one.Runpath = true, l.needed, l.soname, l.rpath, l.runpath
			}
			r.Programs = append(r.Programs, one)
			number[p] = len(r.Programs)
		}
	}
	for name, e := range c.entries {
		one := entryRecord{
			Kind: byte(e.kind), Executable: e.executable, Library: e.library, Implied: e.implied, Target: e.target,
			Program: number[e.program],
		}
		if e.text != nil {
			one.HasText, one.Text = true, *e.text
		}
		r.Entries[name] = one
	}
	return r
}

// contents decodes a record, and returns false if it is invalid.
func (r layerRecord) contents(digest v1.Hash) (*layerContents, bool) {
	c := &layerContents{
		entries: make(map[string]entry, len(r.Entries)), plain: r.Plain, foldedPlain: r.Folding, whiteouts: r.Gone,
		opaque: r.Opaque,
	}
	c.Digest, c.Size, c.Compression, c.DiffID = digest, r.Size, blob.Compression(r.Compression), r.DiffID
	if r.Executables > len(r.Programs) {
		return nil, false
	}
	all := make([]*program, len(r.Programs))
	for i, one := range r.Programs {
		p := &program{
			path: one.Path, header: one.Header, interpreter: one.Interpreter, argument: one.Argument, truncated: one.Cut,
			unreadable: one.Unread, settings: one.Settings,
		}
		if one.Built && p.settings == nil {
			p.settings = map[string]string{}
		}
		if one.Dynamic {
			p.links = &dynamic{needed: one.Needed, soname: one.Soname, rpath: one.Rpath, runpath: one.Runpath}
		}
		all[i] = p
	}
	c.programs, c.libraries = all[:r.Executables], all[r.Executables:]
	for name, one := range r.Entries {
		e := entry{
			kind: fileKind(one.Kind), executable: one.Executable, library: one.Library, implied: one.Implied, target: one.Target,
		}
		if one.Program < 0 || one.Program > len(all) {
			return nil, false
		}
		if one.Program > 0 {
			e.program = all[one.Program-1]
		}
		if one.HasText {
			e.text = &one.Text
		}
		c.entries[name] = e
	}
	return c, true
}
