//go:build !linux

package run

import "context"

// Init does nothing here: running images needs Linux.
func Init() (exitCode int, ok bool) { return 0, false }

func isolations() []isolation { return nil }

func mapsAllIDs() bool { return false }

func launch(context.Context, spec, string, Options) (func() (int, error), error) {
	return nil, errDenied
}
