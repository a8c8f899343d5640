package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sync"

	"github.com/multiarch-build/multiarch/tools/base"
	"github.com/multiarch-build/multiarch/tools/cache"
	"github.com/multiarch-build/multiarch/tools/config"
	"github.com/multiarch-build/multiarch/tools/gobuild"
	"github.com/multiarch-build/multiarch/tools/image"
	"github.com/multiarch-build/multiarch/tools/layer"
	"github.com/multiarch-build/multiarch/tools/plan"
)

// layers makes layers, each once, and remembers them by what they are made of.
type layers struct {
	// life is the context of whoever reads the layers later, after the calls that made them have returned.
	life      context.Context
	store     *cache.Store
	slots     chan struct{} // as many as layers may be read or written at a time
	mu        sync.Mutex
	done      map[string]func() (layer.Descriptor, error)
	collected map[string]func() ([]layer.Entry, error)
	entries   func() ([]layer.Entry, error) // of the static base
}

func newLayers(life context.Context, store *cache.Store, jobs int) *layers {
	return &layers{
		life:      life,
		store:     store,
		slots:     make(chan struct{}, jobs),
		done:      map[string]func() (layer.Descriptor, error){},
		collected: map[string]func() ([]layer.Entry, error){},
		entries:   sync.OnceValues(base.Static),
	}
}

const recordKind = "layer"

func optionsOf(c plan.Child) layer.Options {
	return layer.Options{OS: c.Platform.OS, Zstd: c.Compression == config.Zstd, Epoch: c.Epoch}
}

func (l *layers) static(ctx context.Context, c plan.Child) (*image.Layer, error) {
	entries, err := l.entries()
	if err != nil {
		return nil, err
	}
	return l.make(ctx, image.CreatedByBase+c.Base.Builtin, entries, optionsOf(c), source{})
}

func (l *layers) files(ctx context.Context, tree *os.Root, c plan.Child) (*image.Layer, error) {
	var all []layer.Entry
	for _, f := range c.Files {
		key := fmt.Sprintf("%q", []any{f.From, f.To, f.Glob, f.Mode, f.UID, f.GID})
		// Platforms usually share their files: they are read once.
		entries, err := once(&l.mu, l.collected, key, func() ([]layer.Entry, error) {
			l.slots <- struct{}{}
			defer func() { <-l.slots }()
			return layer.Collect(tree, layer.Source{From: f.From, To: f.To, Glob: f.Glob, Mode: f.Mode, UID: f.UID, GID: f.GID})
		})
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
	}
	for _, e := range all {
		if c.Go != nil && e.Kind != layer.Dir && e.Path == path.Clean(c.Go.Path) {
			return nil, &HiddenError{e.Path, e.From}
		}
	}
	return l.make(ctx, image.CreatedByFiles, all, optionsOf(c), source{})
}

// HiddenError is returned for a file at the path of the program, whose layer would hide it.
type HiddenError struct{ Path, From string }

func (e *HiddenError) Error() string {
	return fmt.Sprintf("%s goes to %s, which is the program", e.From, e.Path)
}

// Hint says how the conflict can end.
func (e *HiddenError) Hint() string {
	return "give the file another path (to:), or leave it out (glob:)"
}

// binary makes the layer of a compiled program.
func (l *layers) binary(ctx context.Context, c plan.Child, b gobuild.Binary, src source) (*image.Layer, error) {
	entry := layer.Entry{
		Path: path.Clean(c.Go.Path), Kind: layer.File, Mode: 0o755, Size: b.Size, SHA256: b.SHA256,
		Contents: func() (io.ReadCloser, error) { return os.Open(b.Path) },
	}
	return l.make(ctx, image.CreatedByProgram, []layer.Entry{entry}, optionsOf(c), src)
}

// source makes sure that the contents of entries can be read: now, while a layer is made, and later, when it turns out
// to be damaged. Either may be nil.
type source struct {
	now   func() error
	later func(context.Context) error
}

// make returns the layer of some entries. Its blob is in the store when make returns, unless the store is damaged in a
// way that only reading shows: then it is made again when it is read.
func (l *layers) make(ctx context.Context, createdBy string, entries []layer.Entry, o layer.Options, src source) (*image.Layer, error) {
	key := layer.Key(entries, o)
	return l.kept(key, createdBy, func() (d layer.Descriptor, err error) {
		if src.now != nil {
			if err := src.now(); err != nil {
				return d, err
			}
		}
		return l.write(ctx, key, entries, o)
	}, func() (d layer.Descriptor, err error) {
		if src.later != nil {
			if err := src.later(l.life); err != nil {
				return d, err
			}
		}
		return l.write(l.life, key, entries, o)
	})
}

// kept returns the layer that is known by a key: the one in the store, else what now writes there. later writes it once
// more where, when it is read, it turns out to be damaged.
func (l *layers) kept(key, createdBy string, now, later func() (layer.Descriptor, error)) (*image.Layer, error) {
	d, err := once(&l.mu, l.done, key, func() (d layer.Descriptor, err error) {
		if l.store.Get(recordKind, key, &d) && l.store.Has(d.Digest, d.Size) {
			return d, nil
		}
		return now()
	})
	if err != nil {
		return nil, err
	}
	intact := sync.OnceValue(func() error {
		if l.store.Check(d.Digest) {
			return nil
		}
		again, err := later()
		if err == nil && again != d {
			err = fmt.Errorf("layer %s came out as %s when it was made again", d.Digest, again.Digest)
		}
		return err
	})
	return &image.Layer{Descriptor: d, CreatedBy: createdBy, Blob: func() (io.ReadCloser, error) {
		if err := intact(); err != nil {
			return nil, err
		}
		return l.store.Blob(d.Digest)
	}}, nil
}

func (l *layers) write(ctx context.Context, key string, entries []layer.Entry, o layer.Options) (d layer.Descriptor, err error) {
	l.slots <- struct{}{}
	defer func() { <-l.slots }()
	h, err := l.store.Write(func(w io.Writer) (err error) {
		d, err = layer.Write(ctx, w, entries, o)
		return err
	})
	if err == nil && h != d.Digest {
		err = errors.New("the cache did not store what was written")
	}
	if err != nil {
		return d, err
	}
	return d, l.store.Put(recordKind, key, d)
}

// once calls make at the first use of a key, and returns the same to all others, who wait for it.
func once[T any](mu *sync.Mutex, done map[string]func() (T, error), key string, make func() (T, error)) (T, error) {
	mu.Lock()
	f, ok := done[key]
	if !ok {
		f = sync.OnceValues(make)
		done[key] = f
	}
	mu.Unlock()
	return f()
}
