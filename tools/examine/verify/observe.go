package verify

import (
	"archive/tar"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/oci/blob"
)

// Observer examines a layer while it is written. Checks with the same Memory then need not read the layer again.
type Observer struct {
	memory   Memory
	contents *layerContents
	examiner examiner
	// err is why the layer was not examined completely. Checks then read the layer and report the problem.
	err error
}

// NewObserver returns an Observer of one layer that stores its results in memory. The caller closes it.
func NewObserver(memory Memory) *Observer {
	return &Observer{memory: memory, contents: newLayerContents()}
}

// Close removes temporary files.
func (o *Observer) Close() { o.examiner.close() }

// Visit examines an entry of the tar archive.
func (o *Observer) Visit(h *tar.Header, content io.Reader) {
	if o.err != nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			o.err = fmt.Errorf("examining the content failed: %v", p)
		}
	}()
	o.err = o.contents.visit(h, content, &o.examiner)
}

// Keep stores the contents of the layer. d and diffID must be those of the bytes that Visit saw: call it only after the
// layer was written successfully.
func (o *Observer) Keep(d v1.Descriptor, diffID v1.Hash) {
	compression, known := blob.CompressionOf(d.MediaType)
	if o.err != nil || !known {
		return
	}
	o.contents.Measurement = blob.Measurement{Digest: d.Digest, Size: d.Size, DiffID: diffID, Compression: compression}
	storeLayer(o.memory, d, o.contents)
}
