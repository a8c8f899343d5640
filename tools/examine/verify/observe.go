package verify

import (
	"archive/tar"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/oci/blob"
)

// Observer examines a layer while it is written, from the bytes that go into its tar. Checks with the same memory then
// know what the layer holds and need not decompress it again.
type Observer struct {
	memory   Memory
	contents *layerContents
	examiner examiner
	// err is why the layer was not examined to its end. Verify reads such a layer and reports what is wrong with it.
	err error
}

// NewObserver returns an Observer of one layer, which keeps what it finds in memory. The caller closes it.
func NewObserver(memory Memory) *Observer {
	return &Observer{memory: memory, contents: newLayerContents()}
}

// Close removes what the Observer needed to examine the layer.
func (o *Observer) Close() { o.examiner.close() }

// Visit takes note of an entry of the tar.
func (o *Observer) Visit(h *tar.Header, content io.Reader) {
	if o.err != nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			o.err = fmt.Errorf("examining it failed: %v", p)
		}
	}()
	o.err = o.contents.visit(h, content, &o.examiner)
}

// Keep remembers what the layer holds. The writer computed d and diffID from the bytes that Visit was called for; if it
// failed, Keep must not be called.
func (o *Observer) Keep(d v1.Descriptor, diffID v1.Hash) {
	compression, known := blob.CompressionOf(d.MediaType)
	if o.err != nil || !known {
		return
	}
	o.contents.Measurement = blob.Measurement{Digest: d.Digest, Size: d.Size, DiffID: diffID, Compression: compression}
	storeLayer(o.memory, d, o.contents)
}
