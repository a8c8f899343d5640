package build

import (
	"errors"
	"fmt"

	"github.com/multiarch-build/multiarch/tools/build/gobuild"
)

// attempts is how often something is made whose files in the cache are damaged or removed while they are in use.
const attempts = 3

// errDamaged is a compiled program that is not what its record promised. The record has been removed.
var errDamaged = errors.New("a compiled program is damaged")

// blame returns errDamaged if err, a failure to read a program, comes from a damaged program. A sound program costs
// nothing: writing its layer checks it on the way.
func blame(builder *gobuild.Builder, r gobuild.Request, t int, binary gobuild.Binary, err error) error {
	if builder.Check(r, r.Targets[t], binary) {
		return err
	}
	return errDamaged
}

// undamaged repeats a build that met a damaged program: its record is gone, so the next attempt compiles it again.
func (e *engine) undamaged(build func() error) error {
	for range attempts {
		if err := build(); !errors.Is(err, errDamaged) {
			return err
		}
	}
	return &unstableError{what: "a compiled program", dir: e.layers.store.Dir()}
}

// unstableError is returned if the cache is damaged faster than it can be repaired.
type unstableError struct{ what, dir string }

func (e *unstableError) Error() string {
	return fmt.Sprintf("%s in the cache %s was damaged or removed %d times in a row", e.what, e.dir, attempts)
}

// Hint says how to avoid that.
func (e *unstableError) Hint() string {
	return "stop what else writes to this folder, or set MULTIARCH_CACHE to another one"
}
