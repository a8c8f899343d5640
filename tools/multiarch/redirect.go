package main

import (
	"strings"

	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// noteRedirected names the repositories in full that are not written, and what takes their place.
func (a *app) noteRedirected(all []config.Redirection) {
	const few = 8
	n := 0
	for _, r := range all {
		if !strings.Contains(r.From, "/") {
			continue
		}
		if n++; n <= few {
			a.terminal.note("multiarch: nothing is written to %s; it is %s now", r.From, r.To)
		}
	}
	if n > few {
		a.terminal.note("multiarch: nothing is written to %d other repositories; plan lists them", n-few)
	}
}
