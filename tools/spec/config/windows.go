package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// windowsOS is the operating system with case-insensitive variable names and drive letters.
const windowsOS = "windows"

// onWindows adapts settings to Windows: a variable of the overrides replaces one of the image that
// differs only in case, and drive letters are removed from paths.
func (s Settings) onWindows(own, over map[Name]ValueTemplate) Settings {
	if len(over) > 0 {
		s.Env = maps.Clone(own)
		for name, value := range over {
			maps.DeleteFunc(
				s.Env,
				func(n Name, _ ValueTemplate) bool { return strings.EqualFold(string(n), string(name)) },
			)
			if s.Env == nil {
				s.Env = map[Name]ValueTemplate{}
			}
			s.Env[name] = value
		}
	}
	s.Workdir = withoutDrive(s.Workdir)
	s.Volumes = slices.Clone(s.Volumes)
	for n, volume := range s.Volumes {
		s.Volumes[n] = withoutDrive(volume)
	}
	return s
}

// drivePath matches an absolute path on drive C, the only one in images.
var drivePath = lazy(`^[Cc]:[\\/]`)

// withoutDrive converts C:\app to /app and returns other paths unchanged.
func withoutDrive(p string) string {
	if !drivePath().MatchString(p) {
		return p
	}
	return strings.ReplaceAll(p[len("C:"):], `\`, "/")
}

func allWindows(platforms []arch.Platform) bool {
	return len(platforms) > 0 &&
		!slices.ContainsFunc(platforms, func(p arch.Platform) bool { return p.OS != windowsOS })
}

// checkNames reports variables whose names are equal on Windows.
func (r *reader) checkNames(at Path, env map[Name]ValueTemplate, platforms []arch.Platform) {
	if !slices.ContainsFunc(platforms, func(p arch.Platform) bool { return p.OS == windowsOS }) {
		return
	}
	first := map[string]Name{}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		folded := strings.ToUpper(string(name))
		if other, ok := first[folded]; ok {
			r.fail(at.to(string(name)), "keep one of them, or set it in overrides: of the platforms that need it",
				"duplicate of %s on Windows, where names are case-insensitive", other)
		}
		first[folded] = name
	}
}

// checkImagePath accepts absolute paths in the image. If all platforms are Windows, it also accepts
// Windows paths.
func (r *reader) checkImagePath(at Path, p string, platforms []arch.Platform) {
	if allWindows(platforms) {
		p = withoutDrive(p)
	}
	r.checkInside(at, p)
}
