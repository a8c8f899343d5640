package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/multiarch-build/multiarch/tools/internal/fault"
)

type failure struct {
	class fault.Class
	hint  string
	err   error
}

func (e *failure) Error() string      { return "failed" }
func (e *failure) Unwrap() error      { return e.err }
func (e *failure) Class() fault.Class { return e.class }
func (e *failure) Hint() string       { return e.hint }

func TestClassOfWrappedAndJoinedErrors(t *testing.T) {
	base := &failure{class: fault.Base}
	for name, c := range map[string]struct {
		err  error
		want fault.Class
	}{
		"no error":                    {nil, fault.Unclassified},
		"no class":                    {errors.New("x"), fault.Unclassified},
		"direct":                      {base, fault.Base},
		"wrapped":                     {fmt.Errorf("building: %w", base), fault.Base},
		"the first class wins":        {errors.Join(base, &failure{class: fault.Usage}), fault.Usage},
		"push outranks its cause":     {&failure{class: fault.Push, err: base}, fault.Push},
		"unclassified does not count": {&failure{err: base}, fault.Base},
		"nor after another":           {errors.Join(base, &failure{}), fault.Base},
	} {
		assert.Equal(t, c.want, fault.ClassOf(c.err), name)
	}
}

func TestHintOfTheOutermostError(t *testing.T) {
	assert.Empty(t, fault.HintOf(nil))
	assert.Empty(t, fault.HintOf(errors.New("x")))
	inner := &failure{hint: "inner"}
	assert.Equal(t, "inner", fault.HintOf(fmt.Errorf("doing: %w", inner)))
	assert.Equal(t, "outer", fault.HintOf(&failure{hint: "outer", err: inner}))
}
