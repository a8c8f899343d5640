package build

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/build/gobuild"
	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// unit is the work of one go command: programs for one platform with the same tags and environment.
type unit struct {
	request gobuild.Request
	members []member // one per target of the request
}

// member identifies the child that a target belongs to.
type member struct{ image, child int }

// units groups the programs of a plan, in table order of platforms.
func units(p *plan.Plan) []unit {
	var list []unit
	index := map[string]int{}
	for i, img := range p.Images {
		for j, c := range img.Children {
			if c.Go == nil {
				continue
			}
			key := fmt.Sprintf("%02d %q %q %t", arch.Order(c.Platform), c.Go.Tags, c.Go.Env, c.Go.Cgo)
			n, ok := index[key]
			if !ok {
				row, _ := arch.Find(c.Platform) // plans only contain platforms of the table
				n, index[key] = len(list), len(list)
				request := gobuild.Request{Row: row, Tags: c.Go.Tags, Env: c.Go.Env, Cgo: c.Go.Cgo}
				list = append(list, unit{request: request})
			}
			target := gobuild.Target{Name: img.Name, Package: c.Go.Package, Ldflags: c.Go.Ldflags}
			list[n].request.Targets = append(list[n].request.Targets, target)
			list[n].members = append(list[n].members, member{i, j})
		}
	}
	slices.SortStableFunc(list, func(a, b unit) int {
		return arch.Order(a.request.Row.Platform) - arch.Order(b.request.Row.Platform)
	})
	return list
}

// compileUnit compiles a unit and builds the layers of its programs.
func (e *engine) compileUnit(ctx context.Context, p *plan.Plan, u unit, children [][]childLayers) error {
	builder, err := e.compiler(ctx)
	if err != nil {
		return err
	}
	request := u.request
	request.Report = e.compileProgress(u.request.Row.Platform)
	return e.retryDamaged(func() error {
		return builder.Build(ctx, request, func(binaries []gobuild.Binary) error {
			group, ctx := errgroup.WithContext(ctx)
			for t, binary := range binaries {
				group.Go(func() error {
					m := u.members[t]
					img := p.Images[m.image]
					under, err := e.foundation(ctx, p, m)
					if err != nil {
						return err
					}
					l, err := e.layers.binary(ctx, img.Name, img.Children[m.child], under, binary,
						e.recompile(builder, u.request, t))
					if err != nil {
						err = damageCause(builder, u.request, t, binary, err)
						return fmt.Errorf("image %s, %s: %w", img.Name, u.request.Row, err)
					}
					children[m.image][m.child].binary = l
					return nil
				})
			}
			return group.Wait()
		})
	})
}

// compileProgress returns a function that reports the progress of the go command as one step.
func (e *engine) compileProgress(platform arch.Platform) func(gobuild.Status) {
	var running Running
	return func(s gobuild.Status) {
		switch {
		case running == nil:
			running = e.start(Step{Compile, platform, s.Targets})
		case s.Done:
			running.Done()
			running = nil
		case s.Packages == 0:
			running.Detail(s.Newest)
		default:
			running.Detail(fmt.Sprintf("%d packages: %s", s.Packages, s.Newest))
		}
	}
}

// recompile compiles a single target of a request.
func (e *engine) recompile(builder *gobuild.Builder, r gobuild.Request, t int) recompile {
	r.Targets = r.Targets[t : t+1]
	return func(ctx context.Context, use func(gobuild.Binary) error) error {
		return e.retryDamaged(func() error {
			return builder.Build(ctx, r, func(binaries []gobuild.Binary) error {
				if err := use(binaries[0]); err != nil {
					return damageCause(builder, r, 0, binaries[0], err)
				}
				return nil
			})
		})
	}
}

// CompileError holds compiler output. Platforms with the same output share one error.
type CompileError struct {
	Images    []string
	Platforms []arch.Platform
	Output    string
}

func (e *CompileError) Error() string {
	var platforms []string
	for _, p := range e.Platforms {
		platforms = append(platforms, p.String())
	}
	return fmt.Sprintf("compiling %s for %s:\n%s", strings.Join(e.Images, ", "), strings.Join(platforms, ", "),
		strings.TrimRight(e.Output, "\n"))
}

// Class classifies the error for the exit code.
func (e *CompileError) Class() fault.Class { return fault.Compile }

// compileErrors collects compiler errors, so that those of one platform do not hide those of
// another.
type compileErrors struct {
	mu  sync.Mutex
	all []*CompileError
}

// keep removes compiler errors from err and returns the rest.
func (c *compileErrors) keep(err error) error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		var rest error
		for _, one := range joined.Unwrap() {
			rest = errors.Join(rest, c.keep(one))
		}
		return rest
	}
	var failed *gobuild.CompileError
	if !errors.As(err, &failed) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, known := range c.all {
		if known.Output == failed.Output && slices.Equal(known.Images, failed.Targets) {
			known.Platforms = append(known.Platforms, failed.Platform)
			slices.SortFunc(known.Platforms, func(a, b arch.Platform) int { return arch.Order(a) - arch.Order(b) })
			return nil
		}
	}
	c.all = append(c.all, &CompileError{failed.Targets, []arch.Platform{failed.Platform}, failed.Output})
	return nil
}

func (c *compileErrors) joined() error {
	slices.SortFunc(c.all, func(a, b *CompileError) int { return strings.Compare(a.Error(), b.Error()) })
	var all []error
	for _, e := range c.all {
		all = append(all, e)
	}
	return errors.Join(all...)
}
