package main

import (
	"errors"
	"fmt"
	goversion "go/version"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/mod/modfile"

	"github.com/multiarch-build/multiarch/tools/ci"
	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
	"github.com/multiarch-build/multiarch/tools/oci/reference"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// plainPath matches paths that a shell reads without quotes.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9._/-]+$`)

// pipeline collects the options of the pipeline from the project and the flags.
func (p *project) pipeline(a *app, f ciFlags, system ci.System, root string) (ci.Options, error) {
	o := ci.Options{
		Engine: ci.Engine(f.engine), Split: f.split, Runners: f.runners, Bazelisk: f.bazelisk,
		Lock: len(lock.Requirements(p.config, nil)) > 0,
	}
	near, err := a.nearRoot(root)
	if err != nil {
		return o, err
	}
	o.Package = packageOf(near)
	o.Multiarch, o.GoVersion = f.multiarch, ownGo
	content, err := inputfile.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return o, fmt.Errorf("reading go.mod: %w", err)
	}
	mod, err := modfile.Parse("go.mod", content, nil)
	if err != nil {
		return o, fmt.Errorf("reading go.mod: %w", err)
	}
	if mod.Go != nil && (goversion.Compare("go"+mod.Go.Version, "go"+ownGo) >= 0 || f.multiarch != "") {
		if o.GoVersion = shortVersion(mod.Go.Version); system == ci.GitHub {
			o.GoVersion = "" // the action reads it from go.mod
		}
	}
	if o.Multiarch == "" {
		if o.Multiarch, err = ourselves(mod); err != nil {
			return o, err
		}
	}
	if near != "multiarch.yaml" && (near != "images/multiarch.yaml" || exists(filepath.Join(root, "multiarch.yaml"))) {
		o.Command = " -f " + near
		o.Multiarch += o.Command
	}
	for _, i := range p.plan.Images {
		image := ci.Image{Name: i.Name, Smoke: i.Smoke != nil}
		for _, c := range i.Children {
			image.Platforms = append(image.Platforms, c.Platform)
		}
		o.Images = append(o.Images, image)
		for _, repository := range append([]string{i.Push.Repository}, i.Push.Further...) {
			r, err := name.NewRepository(repository)
			if err == nil {
				err = reference.Check(r)
			}
			if err != nil {
				return o, usagef("see: multiarch plan", "image %s: repository %q: %w", i.Name, repository, err)
			}
			if host := loginHost(r); host != "" && !slices.Contains(o.Registries, host) {
				o.Registries = append(o.Registries, host)
			}
		}
	}
	o.Registries, err = f.registries(o.Registries)
	return o, err
}

// nearRoot returns the path of the configuration relative to the root of the repository.
func (a *app) nearRoot(root string) (string, error) {
	file, err := a.find()
	if err != nil {
		return "", err
	}
	if file, err = filepath.Abs(file); err != nil {
		return "", err
	}
	if root, err = filepath.Abs(root); err != nil {
		return "", err
	}
	near, err := filepath.Rel(root, file)
	if near = filepath.ToSlash(near); err != nil || !plainPath.MatchString(near) || near[0] == '-' {
		return "", usagef("use only letters, digits and ._/- in its path", "a pipeline cannot refer to %q without quoting it",
			file)
	}
	return near, nil
}

// packageOf returns the Bazel package of a configuration.
func packageOf(near string) string {
	if dir := path.Dir(near); dir != "." {
		return dir
	}
	return ""
}

// registries returns where to log in: the registries of images and --login, except those of --no-login.
func (f ciFlags) registries(images []string) ([]string, error) {
	more, err := hostsGiven("--login", f.logins)
	if err != nil {
		return nil, err
	}
	open, err := hostsGiven("--no-login", f.noLogins)
	if err != nil {
		return nil, err
	}
	for _, host := range open {
		switch {
		case slices.Contains(more, host):
			return nil, usagef("remove it from one of them", "--login and --no-login both name %s", host)
		case !slices.Contains(images, host):
			return nil, usagef(hintOf(host, images), "--no-login: no image is pushed to %s", host)
		}
	}
	all := slices.DeleteFunc(slices.Concat(images, more), func(host string) bool { return slices.Contains(open, host) })
	slices.Sort(all)
	return slices.Compact(all), nil
}

// hostsGiven parses the registries of a flag.
func hostsGiven(flag string, given []string) (hosts []string, err error) {
	for _, g := range given {
		r, err := parseHost(g)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		hosts = append(hosts, hostOf(r))
	}
	return hosts, nil
}

// loginHost returns where to log in for a repository, or "" for a registry on this machine, which needs no login.
func loginHost(r name.Repository) string {
	if host := r.RegistryStr(); strings.HasPrefix(host, "localhost") || strings.HasPrefix(host, "127.") {
		return ""
	}
	return hostOf(r.Registry)
}

// hostOf returns the usual name of a registry.
func hostOf(r name.Registry) string {
	if r.RegistryStr() == name.DefaultRegistry {
		return "docker.io"
	}
	return r.RegistryStr()
}

// ownGo is the version of Go that compiles multiarch itself. Neither GitHub's action nor the golang image downloads a
// newer one (GOTOOLCHAIN=local).
const ownGo = "1.26"

// ourselves returns the command that runs multiarch in a module. It pins a version, so that releases do not change
// between two runs.
func ourselves(mod *modfile.File) (string, error) {
	const top, command = "github.com/multiarch-build/multiarch", "github.com/multiarch-build/multiarch/tools/multiarch"
	if mod.Module != nil && mod.Module.Mod.Path == top {
		return "go run ./tools/multiarch", nil
	}
	if slices.ContainsFunc(mod.Tool, func(t *modfile.Tool) bool { return t.Path == command }) {
		return "go tool multiarch", nil
	}
	if v, ok := fetchable(); ok {
		return "go run " + command + "@" + v, nil
	}
	return "", usagef("pin one with: go get -tool "+command+", or set the command that runs multiarch with --multiarch",
		"this build of multiarch has no version that a pipeline could download")
}

// shortVersion returns a version of Go without its patch release.
func shortVersion(v string) string {
	parts := strings.SplitN(v, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// repository returns the root of the git checkout that contains dir, or dir itself.
func repository(dir string) string {
	if top, ok := above(dir, ".git"); ok {
		return top
	}
	return dir
}

// above returns the nearest directory, dir or one of its parents, that contains name.
func above(dir, name string) (string, bool) {
	for at := dir; ; at = filepath.Dir(at) {
		if exists(filepath.Join(at, name)) {
			return at, true
		}
		if at == filepath.Dir(at) {
			return "", false
		}
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
