package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// windowsOS is the operating system on which names of variables have no case, and paths have drives.
const windowsOS = "windows"

// onWindows returns settings for Windows: a variable of the overrides replaces one of the image whose name differs only
// in case, and paths are written without their drive, as they are for other systems.
func (s Settings) onWindows(own, over map[Name]ValueTemplate) Settings {
	if len(over) > 0 {
		s.Env = maps.Clone(own)
		for name, value := range over {
			maps.DeleteFunc(s.Env, func(n Name, _ ValueTemplate) bool { return strings.EqualFold(string(n), string(name)) })
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

// drivePath matches an absolute path on the drive that images have.
var drivePath = lazy(`^[Cc]:[\\/]`)

// withoutDrive writes C:\app as /app. Other paths stay as they are.
func withoutDrive(p string) string {
	if !drivePath().MatchString(p) {
		return p
	}
	return strings.ReplaceAll(p[len("C:"):], `\`, "/")
}

func allWindows(platforms []arch.Platform) bool {
	return len(platforms) > 0 && !slices.ContainsFunc(platforms, func(p arch.Platform) bool { return p.OS != windowsOS })
}

// checkNames records variables that are one and the same on Windows.
func (r *reader) checkNames(at Path, env map[Name]ValueTemplate, platforms []arch.Platform) {
	if !slices.ContainsFunc(platforms, func(p arch.Platform) bool { return p.OS == windowsOS }) {
		return
	}
	first := map[string]Name{}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		folded := strings.ToUpper(string(name))
		if other, ok := first[folded]; ok {
			r.fail(at.to(string(name)), "keep one of them, or give it in overrides: of the platforms that need it",
				"is the same variable as %s on Windows, where names have no case", other)
		}
		first[folded] = name
	}
}

// checkImagePath accepts an absolute path of the image, also as Windows writes it if all platforms are Windows.
func (r *reader) checkImagePath(at Path, p string, platforms []arch.Platform) {
	if allWindows(platforms) {
		p = withoutDrive(p)
	}
	r.checkInside(at, p)
}
