package memo_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/internal/memo"
)

func TestValuesAreComputedOncePerKey(t *testing.T) {
	var m memo.Map[string, int]
	var calls atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			got, err := m.Get("a", func() (int, error) { return int(calls.Add(1)), nil })
			assert.NoError(t, err)
			assert.Equal(t, 1, got)
		})
	}
	wg.Wait()
	other, err := m.Get("b", func() (int, error) { return 7, nil })
	require.NoError(t, err)
	assert.Equal(t, 7, other)
	m.Forget("b")
	other, err = m.Get("b", func() (int, error) { return 8, nil })
	require.NoError(t, err)
	assert.Equal(t, 8, other)
}

func TestErrorsAreNotKept(t *testing.T) {
	var v memo.Value[int]
	cause := errors.New("cause")
	_, err := v.Get(func() (int, error) { return 0, cause })
	require.ErrorIs(t, err, cause)
	got, err := v.Get(func() (int, error) { return 1, nil })
	require.NoError(t, err)
	assert.Equal(t, 1, got)
}

func TestPanicsAreNotKept(t *testing.T) {
	var v memo.Value[int]
	assert.Panics(t, func() { _, _ = v.Get(func() (int, error) { panic("cause") }) })
	got, err := v.Get(func() (int, error) { return 1, nil })
	require.NoError(t, err)
	assert.Equal(t, 1, got)
}
