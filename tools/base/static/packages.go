package static

import (
	"slices"

	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// PackagesEnv is the environment that programs on Debian packages start with, where the image does not say otherwise:
// that of the static base, as far as what it names is there.
func PackagesEnv(packages []lock.Package) []string {
	env := Env()
	if !slices.ContainsFunc(packages, func(p lock.Package) bool { return p.Name == "ca-certificates" }) {
		env = env[:1]
	}
	return env
}
