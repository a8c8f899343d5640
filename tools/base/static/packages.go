package static

import (
	"slices"

	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// PackagesEnv returns the default environment of images on Debian packages. It is the environment of the static base,
// without SSL_CERT_FILE if ca-certificates is not among the packages.
func PackagesEnv(packages []lock.Package) []string {
	env := Env()
	if !slices.ContainsFunc(packages, func(p lock.Package) bool { return p.Name == "ca-certificates" }) {
		env = env[:1] // PATH
	}
	return env
}
