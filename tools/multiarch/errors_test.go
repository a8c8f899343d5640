package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/multiarch-build/multiarch/tools/base/pull"
	"github.com/multiarch-build/multiarch/tools/publish/push"
)

// TestExitCodeOfAPush checks that a failed push has exit code 7, even if its cause has another one.
func TestExitCodeOfAPush(t *testing.T) {
	gone := &pull.UnavailableError{Base: "debian", Err: context.DeadlineExceeded}
	assert.Equal(t, exitBase, exitCode(fmt.Errorf("building: %w", gone)))
	assert.Equal(t, exitPush, exitCode(&push.Error{Err: gone}))
	assert.Equal(t, exitInterrupted, exitCode(interrupted(&push.Error{Err: context.Canceled})))
}
