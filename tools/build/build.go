// Package build is the embedded engine: it carries out a plan in this process, with the go command as its only helper,
// and returns one image index an image. Whatever was made before, from the same inputs, comes from the cache.
package build

import (
	"archive/tar"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/base/debian"
	"github.com/multiarch-build/multiarch/tools/base/static"
	"github.com/multiarch-build/multiarch/tools/build/cache"
	"github.com/multiarch-build/multiarch/tools/build/gobuild"
	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
	"github.com/multiarch-build/multiarch/tools/internal/memo"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// Options say where and how a plan is carried out.
type Options struct {
	// Dir is the top of the tree: what packages and files are relative to.
	Dir   string
	Store *cache.Store
	// Jobs is how many layers are written, and about how many compilers run, at a time; 0 means one a processor.
	Jobs int
	// Pull opens a base from a registry, on behalf of what is built.
	Pull func(ctx context.Context, b plan.Base) (Base, error)
	// Join opens the existing images of i.From and joins them to an index, on behalf of what is built.
	Join func(ctx context.Context, i plan.Image) (v1.ImageIndex, error)
	// Debian fetches the packages of bases.
	Debian debian.Fetcher
	// Observe, if it is set, is called for every layer that is written, so that verifying the results need not
	// read it again.
	Observe func() LayerObserver
	// Progress, if it is set, is called for every platform of an image that is finished. Calls do not overlap.
	Progress func(Event)
	// Started, if it is set, is called for every step that starts. What comes from the cache has no steps. Calls may
	// overlap.
	Started func(Step) Running
}

// Base is an image that others continue: its config, and its layers, whose bytes nobody reads unless somebody asks.
type Base struct {
	Config *image.BaseConfig // nil where it is no image
	Env    []string          // that programs find where their image does not say otherwise
	Layers []image.Layer
}

// Result is a finished image index.
type Result struct {
	Name  string
	Index v1.ImageIndex
}

// LayerObserver examines one layer while it is written.
type LayerObserver interface {
	// Visit is called for every entry of the tar.
	Visit(h *tar.Header, content io.Reader)
	// Keep is called once the layer is written, with the digests of the bytes that Visit was called for.
	Keep(d v1.Descriptor, diffID v1.Hash)
	// Close is called in any case.
	Close()
}

// Run carries out a plan. The results are in the plan's order. Nothing is written but the cache; layers are read, and
// made again where the cache turns out to be damaged, when somebody reads the index. What the compiler refuses is
// returned as *CompileError, joined, after every platform has been tried.
func Run(ctx context.Context, p *plan.Plan, o Options) ([]Result, error) {
	tree, err := inputfile.OpenRoot(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("opening the tree: %w", err)
	}
	// It stays open for as long as somebody may read the layers; the runtime closes it with the last reference.
	jobs := cmp.Or(o.Jobs, runtime.NumCPU())
	start := newStarter(o.Started)
	e := &engine{
		tree: tree, pull: o.Pull, join: o.Join, debian: o.Debian, start: start, layers: newLayers(ctx, o, jobs, start),
	}
	e.newCompiler = func(ctx context.Context) (*gobuild.Builder, error) { return gobuild.New(ctx, o.Dir, o.Store, jobs) }
	return e.run(ctx, p, o.Progress)
}

type engine struct {
	tree   *os.Root
	pull   func(context.Context, plan.Base) (Base, error)
	join   func(context.Context, plan.Image) (v1.ImageIndex, error)
	debian debian.Fetcher
	layers *layers
	start  starter

	newCompiler func(context.Context) (*gobuild.Builder, error)
	builder     memo.Value[*gobuild.Builder]
	grounds     memo.Map[member, ground]
}

// compiler returns the compiler. The go command is only needed if something is compiled.
func (e *engine) compiler(ctx context.Context) (*gobuild.Builder, error) {
	return e.builder.Get(func() (*gobuild.Builder, error) { return e.newCompiler(ctx) })
}

// made is what has become of a child so far: its layers, by where they come in the image.
type made struct {
	base          Base
	files, binary *image.Layer
}

func (e *engine) run(ctx context.Context, p *plan.Plan, report func(Event)) ([]Result, error) {
	children := make([][]made, len(p.Images))
	for i := range p.Images {
		children[i] = make([]made, len(p.Images[i].Children))
	}
	group, ctx := errgroup.WithContext(ctx)
	var failures compileErrors
	done := newProgress(p, report)
	for _, u := range units(p) {
		group.Go(func() error {
			if err := e.compileUnit(ctx, p, u, children); err != nil {
				return failures.keep(err)
			}
			for _, m := range u.members {
				done.half(p, m)
			}
			return nil
		})
	}
	joined := make([]v1.ImageIndex, len(p.Images))
	for i := range p.Images {
		if len(p.Images[i].From) > 0 {
			group.Go(func() (err error) {
				joined[i], err = e.joined(ctx, p.Images[i])
				return err
			})
		}
		for j := range p.Images[i].Children {
			group.Go(func() error {
				if err := e.layersOf(ctx, p, member{i, j}, &children[i][j]); err != nil {
					return err
				}
				done.half(p, member{i, j})
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := failures.joined(); err != nil {
		return nil, err
	}
	return assemble(p, children, joined)
}

// joined makes the index of an image that consists of existing ones.
func (e *engine) joined(ctx context.Context, i plan.Image) (v1.ImageIndex, error) {
	if e.join == nil {
		return nil, fmt.Errorf("image %s joins existing images, and there is nobody to read them", i.Name)
	}
	index, err := e.join(ctx, i)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", i.Name, err)
	}
	return index, nil
}

// layersOf makes the layers of a child that need no compiler.
func (e *engine) layersOf(ctx context.Context, p *plan.Plan, m member, of *made) error {
	g, err := e.ground(ctx, p, m)
	if err != nil {
		return err
	}
	of.base = g.base
	img := p.Images[m.image]
	c := img.Children[m.child]
	if err := c.Config.Check(c.Platform, g.base.Config, g.base.Env); err != nil {
		return &SettingsError{img.Name, c.Platform, err}
	}
	if of.files, err = e.layers.filesLayer(ctx, img.Name, c, g); err != nil {
		return fmt.Errorf("image %s, %s: %w", img.Name, c.Platform, err)
	}
	return nil
}

// base makes, or opens, what a child stands on.
func (e *engine) base(ctx context.Context, c plan.Child) (Base, error) {
	switch {
	case c.Base.Image != nil && e.pull == nil:
		return Base{}, fmt.Errorf("base %s is in a registry, and there is nobody to read it", c.Base.Name)
	case c.Base.Image != nil:
		running := e.start(Step{Download, c.Platform, []string{c.Base.Name}})
		defer running.Done()
		return e.pull(ctx, c.Base) // its errors name the base
	case c.Base.Builtin == plan.Static:
		l, err := e.layers.static(ctx, c)
		if err != nil {
			return Base{}, fmt.Errorf("making base %s: %w", c.Base.Name, err)
		}
		return Base{Env: static.Env(), Layers: []image.Layer{*l}}, nil
	case c.Base.Debian != nil:
		b, err := e.layers.packages(ctx, c, e.debian)
		if err != nil {
			return Base{}, fmt.Errorf("making base %s for %s: %w", c.Base.Name, c.Platform, err)
		}
		return b, nil
	}
	return Base{}, nil
}

// SettingsError is returned for settings that do not suit the base of an image.
type SettingsError struct {
	Image    string
	Platform arch.Platform
	Err      error
}

func (e *SettingsError) Error() string {
	return fmt.Sprintf("image %s, %s: %v", e.Image, e.Platform, e.Err)
}

// Unwrap returns what is wrong.
func (e *SettingsError) Unwrap() error { return e.Err }

// assemble joins what was made. What existed is joined already.
func assemble(p *plan.Plan, children [][]made, joined []v1.ImageIndex) ([]Result, error) {
	var results []Result
	for i, img := range p.Images {
		if joined[i] != nil {
			results = append(results, Result{img.Name, joined[i]})
			continue
		}
		var members []image.Child
		for j, c := range img.Children {
			settings := c.Config
			under := children[i][j].base
			layers := slices.Clone(under.Layers)
			if len(layers) > 0 {
				layers[0].Env = under.Env
			}
			for _, l := range []*image.Layer{children[i][j].files, children[i][j].binary} {
				if l != nil {
					layers = append(layers, *l)
				}
			}
			one, err := image.New(c.Platform, settings, under.Config, layers, c.Annotations)
			if err != nil {
				return nil, &SettingsError{img.Name, c.Platform, err}
			}
			members = append(members, image.Child{Platform: c.Platform, Image: one})
		}
		index, err := image.Index(members, img.Annotations)
		if err != nil {
			return nil, fmt.Errorf("assembling %s: %w", img.Name, err)
		}
		results = append(results, Result{img.Name, index})
	}
	return results, nil
}
