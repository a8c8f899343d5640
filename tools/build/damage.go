package build

import (
	"errors"
	"fmt"

	"github.com/multiarch-build/multiarch/tools/build/gobuild"
)

// attempts is how often something is built if its files in the cache are damaged or removed while
// in use.
const attempts = 3

// errDamaged is returned for a compiled program that does not match its record. The record has been
// removed.
var errDamaged = errors.New("a compiled program is damaged")

// damageCause returns errDamaged if err, an error of reading a program, is caused by a damaged
// program, and err otherwise. Programs are only checked after an error, because writing a layer
// verifies them.
func damageCause(builder *gobuild.Builder, r gobuild.Request, t int, binary gobuild.Binary, err error) error {
	if builder.Check(r, r.Targets[t], binary) {
		return err
	}
	return errDamaged
}

// retryDamaged repeats a build that found a damaged program. Its record has been removed, so the
// next attempt compiles it again.
func (e *engine) retryDamaged(build func() error) error {
	for range attempts {
		if err := build(); !errors.Is(err, errDamaged) {
			return err
		}
	}
	return &unstableError{what: "a compiled program", dir: e.layers.store.Dir()}
}

// unstableError is returned if the cache is damaged repeatedly.
type unstableError struct{ what, dir string }

func (e *unstableError) Error() string {
	return fmt.Sprintf("%s in the cache %s was damaged or removed %d times in a row", e.what, e.dir, attempts)
}

// Hint returns how to avoid the error.
func (e *unstableError) Hint() string {
	return "stop other programs that write to this directory, or set MULTIARCH_CACHE to another one"
}
