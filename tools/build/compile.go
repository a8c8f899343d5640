package build

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/gobuild"
	"github.com/multiarch-build/multiarch/tools/plan"
)

// unit is what one go command compiles: programs for one platform with the same tags and environment.
type unit struct {
	request gobuild.Request
	members []member // one a target of the request
}

// member says whose program a target is.
type member struct{ image, child int }

// units groups the programs of a plan, platforms in table order.
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
				row, _ := arch.Find(c.Platform) // plans hold platforms of the table
				n, index[key] = len(list), len(list)
				list = append(list, unit{request: gobuild.Request{Row: row, Tags: c.Go.Tags, Env: c.Go.Env, Cgo: c.Go.Cgo}})
			}
			list[n].request.Targets = append(list[n].request.Targets, gobuild.Target{Name: img.Name, Package: c.Go.Package, Ldflags: c.Go.Ldflags})
			list[n].members = append(list[n].members, member{i, j})
		}
	}
	slices.SortStableFunc(list, func(a, b unit) int { return arch.Order(a.request.Row.Platform) - arch.Order(b.request.Row.Platform) })
	return list
}

// errDamaged says that the file of a binary is not what its record promised. The record is gone by then.
var errDamaged = errors.New("a compiled program is damaged")

// compileUnit compiles a unit and makes the layers of its programs.
func (e *engine) compileUnit(ctx context.Context, p *plan.Plan, u unit, children [][]made) error {
	builder, err := e.compiler()
	if err != nil {
		return err
	}
	return undamaged(func() error {
		return builder.Build(ctx, u.request, func(binaries []gobuild.Binary) error {
			for t, binary := range binaries {
				m := u.members[t]
				img := p.Images[m.image]
				l, err := e.layers.binary(ctx, img.Children[m.child], binary, restore(builder, u.request, t, binary))
				if err != nil {
					return fmt.Errorf("image %s, %s: %w", img.Name, u.request.Row, err)
				}
				children[m.image][m.child].binary = l
			}
			return nil
		})
	})
}

// restore makes a binary readable: while its unit is being built, by asking for the build to be done again, and later
// by building it alone.
func restore(builder *gobuild.Builder, r gobuild.Request, t int, binary gobuild.Binary) source {
	now := func() error {
		if !builder.Check(r, r.Targets[t], binary) {
			return errDamaged
		}
		return nil
	}
	later := func(ctx context.Context) error {
		alone := r
		alone.Targets = r.Targets[t : t+1]
		return undamaged(func() error {
			return builder.Build(ctx, alone, func([]gobuild.Binary) error { return now() })
		})
	}
	return source{now, later}
}

// undamaged repeats a build that came upon a damaged binary: the first time removes it, the second makes it again.
func undamaged(build func() error) error {
	err := build()
	if errors.Is(err, errDamaged) {
		err = build()
	}
	return err
}

// CompileError is what the compiler refused, once for all the platforms on which it said the same.
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
	return fmt.Sprintf("compiling %s for %s:\n%s", strings.Join(e.Images, ", "), strings.Join(platforms, ", "), strings.TrimRight(e.Output, "\n"))
}

// compileErrors gathers what the compiler refuses, so that one platform's errors do not hide another's.
type compileErrors struct {
	mu  sync.Mutex
	all []*CompileError
}

// keep takes the compiler's errors out of err and returns what is left.
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
