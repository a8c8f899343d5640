// Package build is the embedded engine. Run executes a plan in this process, with the go command as
// the only external program, and returns one image index per image. Programs, layers and file lists
// come from the cache if their inputs have not changed. Package gobuild compiles and package cache
// stores.
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

// Options configure Run.
type Options struct {
	// Dir is the source tree that packages and files are relative to.
	Dir   string
	Store *cache.Store
	// Jobs is the number of layers written, and roughly of compilers run, in parallel; 0 means the
	// number of CPUs.
	Jobs int
	// Pull opens a base image in a registry.
	Pull func(ctx context.Context, b plan.Base) (Base, error)
	// Debian fetches the packages of bases.
	Debian debian.Fetcher
	// Observe, if not nil, is called for every layer that is written, so that verifying the results
	// does not read it again.
	Observe func() LayerObserver
	// Progress, if not nil, is called for every finished platform of an image. Calls do not overlap.
	Progress func(Event)
	// Started, if not nil, is called for every step that starts. Cached results have no steps. Calls
	// may overlap.
	Started func(Step) Running
}

// Base is a base image: its config, and its layers, which are only read on demand.
type Base struct {
	Config *image.BaseConfig // nil if the base is not an image
	Env    []string          // default environment of programs
	Layers []image.Layer
}

// Result is a finished image index.
type Result struct {
	Name  string
	Index v1.ImageIndex
}

// LayerObserver examines a layer while it is written.
type LayerObserver interface {
	// Visit is called for every entry of the tar.
	Visit(h *tar.Header, content io.Reader)
	// Keep is called after the layer has been written, with the digests of the bytes passed to
	// Visit.
	Keep(d v1.Descriptor, diffID v1.Hash)
	// Close is always called.
	Close()
}

// Run executes a plan and returns the results in the order of the plan. It only writes to the
// cache. Layers are read when the returned indexes are read, and are built again if the cache turns
// out to be damaged. After every platform has been tried, compiler errors are returned together as
// *CompileError.
func Run(ctx context.Context, p *plan.Plan, o Options) ([]Result, error) {
	for _, i := range p.Images {
		if len(i.From) > 0 {
			return nil, fmt.Errorf("image %s: the engine cannot join existing images", i.Name)
		}
	}
	tree, err := inputfile.OpenRoot(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("opening the tree: %w", err)
	}
	// The tree stays open while layers may be read. The runtime closes it with the last reference.
	jobs := cmp.Or(o.Jobs, runtime.NumCPU())
	start := newStarter(o.Started)
	e := &engine{
		tree: tree, pull: o.Pull, debian: o.Debian, start: start, layers: newLayers(ctx, o, jobs, start),
	}
	e.newCompiler = func(ctx context.Context) (*gobuild.Builder, error) {
		return gobuild.New(ctx, o.Dir, o.Store, jobs)
	}
	return e.run(ctx, p, o.Progress)
}

type engine struct {
	tree   *os.Root
	pull   func(context.Context, plan.Base) (Base, error)
	debian debian.Fetcher
	layers *layers
	start  starter

	newCompiler func(context.Context) (*gobuild.Builder, error)
	builder     memo.Value[*gobuild.Builder]
	foundations memo.Map[member, foundation]
}

// compiler returns the compiler. The go command is only required if something is compiled.
func (e *engine) compiler(ctx context.Context) (*gobuild.Builder, error) {
	return e.builder.Get(func() (*gobuild.Builder, error) { return e.newCompiler(ctx) })
}

// childLayers are the layers of a child that have been built.
type childLayers struct {
	base          Base
	files, binary *image.Layer
}

func (e *engine) run(ctx context.Context, p *plan.Plan, report func(Event)) ([]Result, error) {
	children := make([][]childLayers, len(p.Images))
	for i := range p.Images {
		children[i] = make([]childLayers, len(p.Images[i].Children))
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
				done.partDone(p, m)
			}
			return nil
		})
	}
	for i := range p.Images {
		for j := range p.Images[i].Children {
			group.Go(func() error {
				if err := e.layersOf(ctx, p, member{i, j}, &children[i][j]); err != nil {
					return err
				}
				done.partDone(p, member{i, j})
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
	return assemble(p, children)
}

// layersOf builds the layers of a child that need no compiler.
func (e *engine) layersOf(ctx context.Context, p *plan.Plan, m member, of *childLayers) error {
	g, err := e.foundation(ctx, p, m)
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

// base builds or opens the base of a child.
func (e *engine) base(ctx context.Context, c plan.Child) (Base, error) {
	switch {
	case c.Base.Image != nil && e.pull == nil:
		return Base{}, fmt.Errorf("base %s is in a registry, but Options.Pull is not set", c.Base.Name)
	case c.Base.Image != nil:
		running := e.start(Step{Download, c.Platform, []string{c.Base.Name}})
		defer running.Done()
		return e.pull(ctx, c.Base) // errors of Pull name the base
	case c.Base.Builtin == plan.Static:
		l, err := e.layers.static(ctx, c)
		if err != nil {
			return Base{}, fmt.Errorf("building base %s: %w", c.Base.Name, err)
		}
		return Base{Env: static.Env(), Layers: []image.Layer{*l}}, nil
	case c.Base.Debian != nil:
		b, err := e.layers.packages(ctx, c, e.debian)
		if err != nil {
			return Base{}, fmt.Errorf("building base %s for %s: %w", c.Base.Name, c.Platform, err)
		}
		return b, nil
	}
	return Base{}, nil
}

// SettingsError is returned for settings that conflict with the base of an image.
type SettingsError struct {
	Image    string
	Platform arch.Platform
	Err      error
}

func (e *SettingsError) Error() string {
	return fmt.Sprintf("image %s, %s: %v", e.Image, e.Platform, e.Err)
}

// Unwrap returns the cause.
func (e *SettingsError) Unwrap() error { return e.Err }

// assemble builds the indexes from the layers.
func assemble(p *plan.Plan, children [][]childLayers) ([]Result, error) {
	var results []Result
	for i, img := range p.Images {
		var members []image.Child
		for j, c := range img.Children {
			settings := c.Config
			base := children[i][j].base
			layers := slices.Clone(base.Layers)
			if len(layers) > 0 {
				layers[0].Env = base.Env
			}
			for _, l := range []*image.Layer{children[i][j].files, children[i][j].binary} {
				if l != nil {
					layers = append(layers, *l)
				}
			}
			one, err := image.New(c.Platform, settings, base.Config, layers, c.Annotations)
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
