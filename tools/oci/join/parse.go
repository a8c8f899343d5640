package join

import (
	"regexp"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// The operating systems and architectures that Go knows (internal/syslist), and therefore also
// containerd and Docker. There are more of them than rows in the architecture table.
var (
	knownSystems = strings.Fields(`aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd
		openbsd plan9 solaris wasip1 wasi windows zos`)
	knownArchitectures = strings.Fields(`386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mipsle mips64
		mips64le mips64p32 mips64p32le ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm`)
	wordPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)
	// variantPattern matches variants such as v8, v8.2, power9 and rva22u64.
	variantPattern = regexp.MustCompile(`^(v[0-9]+(\.[0-9]+)?|power[0-9]+|rva[0-9]+u64|softfloat|hardfloat)?$`)
)

// ParsePlatform parses the platform of an existing image, os/architecture[/variant]. Unlike
// arch.Parse it accepts platforms that are not in the architecture table, unless they look like a
// misspelling of one.
func ParsePlatform(s string) (arch.Platform, error) {
	p, err := suggest.ParsePlatform(s)
	if err == nil {
		return p, nil
	}
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 ||
		slices.ContainsFunc(parts, func(part string) bool { return !wordPattern.MatchString(part) }) {
		return arch.Platform{}, err
	}
	p = arch.Canonical(parts[0], parts[1], strings.Join(parts[2:], ""))
	if plausible(p) {
		return p, nil
	}
	known := func(name string, all []string) bool {
		return slices.Contains(all, name) || suggest.Of(name, all) == "" && !isAlias(name)
	}
	if !known(p.OS, knownSystems) || !known(p.Architecture, knownArchitectures) ||
		!variantPattern.MatchString(p.Variant) || p.Architecture == "arm" {
		return arch.Platform{}, err
	}
	return p, nil
}

// plausible reports whether p is a platform that images exist for, even if multiarch cannot build
// for it. linux/arm is ambiguous and therefore not plausible.
func plausible(p arch.Platform) bool {
	if _, ok := arch.Find(p); ok {
		return true
	}
	ambiguous := p.OS == "linux" && p.Architecture == "arm" && p.Variant == ""
	return slices.Contains(knownSystems, p.OS) && slices.Contains(knownArchitectures, p.Architecture) &&
		variantPattern.MatchString(p.Variant) && !ambiguous
}

// isAlias reports whether other tools use the name for an architecture of the table.
func isAlias(name string) bool {
	if slices.Contains([]string{
		"aarch64", "x86_64", "x86-64", "x64", "x86", "i386", "i486", "i586", "i686", "armhf", "armel", "arm32",
		"powerpc64le",
	}, name) {
		return true
	}
	return slices.ContainsFunc(knownArchitectures, func(a string) bool { return strings.HasPrefix(name, a) }) ||
		// armv7
		slices.ContainsFunc(arch.Table(), func(r arch.Row) bool { return r.Official == name || r.Debian == name })
}
