//go:build !linux

package run

import (
	"context"
	"errors"
)

// Init does nothing here: running images needs Linux.
func Init() (exitCode int, ok bool) { return 0, false }

func isolations(bool) []isolation { return nil }

func mapsAllIDs() bool { return false }

func launch(context.Context, spec, string, Options) (func() (int, error), error) {
	return nil, errDenied
}

func lockedDirectory() (string, func(), error) { return "", nil, errors.ErrUnsupported }

func removeLeftovers() {}
