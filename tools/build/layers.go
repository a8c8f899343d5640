package build

import (
	"context"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/base/static"
	"github.com/multiarch-build/multiarch/tools/build/cache"
	"github.com/multiarch-build/multiarch/tools/build/gobuild"
	"github.com/multiarch-build/multiarch/tools/internal/memo"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
	"github.com/multiarch-build/multiarch/tools/oci/rootfs"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// layers builds layers, each once, by the key of its content.
type layers struct {
	// readContext is used for reading layers after the calls that built them have returned.
	readContext context.Context
	store       *cache.Store
	slots       chan struct{}                      // limits concurrent reads and writes of layers
	descriptors memo.Map[string, layer.Descriptor] // by key
	collected   memo.Map[string, []layer.Entry]
	entries     memo.Value[[]layer.Entry] // of the static base
	trees       memo.Map[string, *rootfs.Tree]
	observe     func() LayerObserver // examines layers while they are written
	start       starter
}

func newLayers(readContext context.Context, o Options, jobs int, start starter) *layers {
	return &layers{readContext: readContext, store: o.Store, slots: make(chan struct{}, jobs), observe: o.Observe,
		start: start}
}

const recordKind = "layer"

func optionsOf(c plan.Child) layer.Options {
	return layer.Options{OS: c.Platform.OS, Zstd: c.Compression == config.Zstd, Epoch: c.Epoch}
}

func (l *layers) static(ctx context.Context, c plan.Child) (*image.Layer, error) {
	entries, err := l.entries.Get(static.Entries)
	if err != nil {
		return nil, err
	}
	return l.make(ctx, Step{Compress, c.Platform, []string{c.Base.Name}}, image.CreatedByBase+c.Base.Builtin,
		entries, optionsOf(c))
}

// HiddenError is returned for a file at the path of the program, which would be replaced by the
// program.
type HiddenError struct{ Path, From string }

func (e *HiddenError) Error() string {
	return fmt.Sprintf("%s is copied to %s, the path of the program", e.From, e.Path)
}

// Hint returns how to resolve the conflict.
func (e *HiddenError) Hint() string {
	return "change the path of the file (to:), or exclude it (glob:)"
}

// recompile compiles a program again and calls use with it, for a layer that has to be rewritten.
type recompile func(ctx context.Context, use func(gobuild.Binary) error) error

// binary builds the layer of a compiled program on top of the image's file system.
func (l *layers) binary(
	ctx context.Context, name string, c plan.Child, under foundation, b gobuild.Binary, again recompile,
) (*image.Layer, error) {
	o := optionsOf(c)
	entries, err := under.program(c, b)
	if err != nil {
		return nil, err
	}
	key := layer.Key(entries, o)
	step := Step{Compress, c.Platform, []string{name}}
	write := func() (layer.Descriptor, error) { return l.write(ctx, step, key, entries, o) }
	rewrite := func() (d layer.Descriptor, err error) {
		err = again(l.readContext, func(b gobuild.Binary) error {
			entries, err := under.program(c, b)
			if err != nil {
				return err
			}
			d, err = l.write(l.readContext, step, layer.Key(entries, o), entries, o)
			return err
		})
		return d, err
	}
	return l.cached(key, image.CreatedByProgram, write, rewrite)
}

// make returns the layer of entries whose contents can be read at any time.
func (l *layers) make(
	ctx context.Context, step Step, createdBy string, entries []layer.Entry, o layer.Options,
) (*image.Layer, error) {
	key := layer.Key(entries, o)
	return l.cached(key, createdBy,
		func() (layer.Descriptor, error) { return l.write(ctx, step, key, entries, o) },
		func() (layer.Descriptor, error) { return l.write(l.readContext, step, key, entries, o) })
}

// cached returns the layer with a key from the store. If the store does not have it, write writes
// it. The blob is verified whenever it is opened; if it is damaged or missing, rewrite writes it
// again.
func (l *layers) cached(
	key, createdBy string, write, rewrite func() (layer.Descriptor, error),
) (*image.Layer, error) {
	d, err := l.descriptors.Get(key, func() (d layer.Descriptor, err error) {
		if l.store.Get(recordKind, key, &d) && l.store.Has(d.Digest, d.Size) {
			return d, nil
		}
		return write()
	})
	if err != nil {
		return nil, err
	}
	return &image.Layer{Descriptor: d, CreatedBy: createdBy, Blob: func() (io.ReadCloser, error) {
		for range attempts {
			if blob, ok := l.store.OpenChecked(d.Digest); ok {
				return blob, nil
			}
			again, err := rewrite()
			if err == nil && again != d {
				err = fmt.Errorf("layer %s became %s when it was rebuilt", d.Digest, again.Digest)
			}
			if err != nil {
				return nil, err
			}
		}
		return nil, &unstableError{what: "layer " + d.Digest.String(), dir: l.store.Dir()}
	}}, nil
}

func (l *layers) write(
	ctx context.Context, step Step, key string, entries []layer.Entry, o layer.Options,
) (d layer.Descriptor, err error) {
	l.slots <- struct{}{}
	defer func() { <-l.slots }()
	running := l.start(step)
	defer running.Done()
	var observer LayerObserver
	_, err = l.store.Write(func(w io.Writer) (_ v1.Hash, err error) {
		if l.observe != nil {
			observer = l.observe() // the store may call this function again
			defer observer.Close()
			o.Observe = observer.Visit
		}
		d, err = layer.Write(ctx, w, entries, o)
		return d.Digest, err
	})
	if err != nil {
		return d, err
	}
	if observer != nil {
		observer.Keep(v1.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}, d.DiffID)
	}
	return d, l.store.Put(recordKind, key, d)
}
