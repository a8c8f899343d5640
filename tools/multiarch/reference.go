package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/oci/source"
	"github.com/multiarch-build/multiarch/tools/publish/release"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// layoutDir is the OCI layout, at the top of the tree, that build writes unless it is told otherwise.
const layoutDir = "dist"

// maybeImage reports whether a reference can be the name of an image in multiarch.yaml: it is a single word.
func maybeImage(ref string) bool {
	return ref != "" && !strings.ContainsAny(ref, `:/\@`) && !source.IsArchive(ref)
}

// projectImage returns the configuration file and the top of the tree if ref is the name of an image there, else "".
// The name is also a valid reference to Docker Hub; the project comes first in every command.
func (a *app) projectImage(ref string) (file, top string, err error) {
	if !maybeImage(ref) {
		return "", "", nil
	}
	file, err = a.find()
	if errors.Is(err, errNoConfig) {
		return "", "", nil
	}
	if err != nil {
		return "", "", err
	}
	c, err := readConfig(file)
	if err != nil {
		return "", "", err
	}
	if _, ok := c.Images[ref]; !ok {
		return "", "", nil
	}
	return file, near(config.Top(file)), nil
}

// near is a path relative to the working directory, if there is one.
func near(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	relative, err := filepath.Rel(wd, path)
	if err != nil {
		return path
	}
	return relative
}

// fromProject returns what a reference means to commands that read built images: the name of an image in multiarch.yaml
// is the image in dist, and everything else is itself.
func (a *app) fromProject(ref string) (string, error) {
	file, top, err := a.projectImage(ref)
	if err != nil || file == "" {
		return ref, err
	}
	dir := filepath.Join(top, layoutDir)
	built := "oci:" + dir + ":" + ref
	if !source.InLayout(dir, ref) {
		return "", &release.SourceError{
			Err: fmt.Errorf("%s is an image of %s, and %s does not hold it", ref, file, dir),
			Advice: fmt.Sprintf("build it with: multiarch build %s; for the image in Docker Hub, write %s", ref,
				registry.HubName(ref)),
		}
	}
	a.terminal.note("multiarch: %s is the image of %s: %s (for the one in Docker Hub, write %s)", ref, file, built,
		registry.HubName(ref))
	return built, nil
}

// missingHint returns the hint for a reference that does not exist in its registry.
func (a *app) missingHint(ref string) string {
	const check = "check the name, the tag and the login"
	file, err := a.find()
	if !maybeImage(ref) || err != nil {
		return check
	}
	c, err := readConfig(file)
	if err != nil {
		return check
	}
	if near := suggest.Of(ref, slices.Sorted(maps.Keys(c.Images))); near != "" {
		return fmt.Sprintf("did you mean %s, an image of %s? else %s", near, file, check)
	}
	return check
}
