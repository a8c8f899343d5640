package arch

import (
	"regexp"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// The operating systems and architectures that Go knows (internal/syslist), and so containerd and docker: more than there
// are rows in the table.
var (
	systems = strings.Fields(`aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris
		wasip1 wasi windows zos`)
	architectures = strings.Fields(`386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mipsle mips64 mips64le mips64p32
		mips64p32le ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm`)
	word = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)
	// level is what a variant looks like: v8, v8.2, power9, rva22u64.
	level = regexp.MustCompile(`^(v[0-9]+(\.[0-9]+)?|power[0-9]+|rva[0-9]+u64|softfloat|hardfloat)?$`)
)

// Plausible reports whether p can be meant, though it may be no row of the table: an image for it cannot be built, but
// joined. linux/arm is ambiguous, and not plausible for an image.
func Plausible(p Platform) bool {
	if _, ok := Find(p); ok {
		return true
	}
	ambiguous := p.OS == "linux" && p.Architecture == "arm" && p.Variant == ""
	return slices.Contains(systems, p.OS) && slices.Contains(architectures, p.Architecture) && level.MatchString(p.Variant) && !ambiguous
}

// ParseAny reads the platform of an image that exists, os/architecture[/variant]. Unlike Parse it takes what is no row of
// the table, unless it looks like a misspelling of one: that is an *UnknownError.
func ParseAny(s string) (Platform, error) {
	if p, err := Parse(s); err == nil {
		return p, nil
	}
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.ContainsFunc(parts, func(part string) bool { return !word.MatchString(part) }) {
		return Platform{}, &UnknownError{s}
	}
	p := Canonical(parts[0], parts[1], strings.Join(parts[2:], ""))
	if Plausible(p) {
		return p, nil
	}
	known := func(name string, all []string) bool {
		return slices.Contains(all, name) || suggest.Of(name, all) == "" && !alias(name)
	}
	if !known(p.OS, systems) || !known(p.Architecture, architectures) || !level.MatchString(p.Variant) || p.Architecture == "arm" {
		return Platform{}, &UnknownError{s}
	}
	return p, nil
}

// alias reports whether a word is what others call an architecture of the table.
func alias(name string) bool {
	if slices.Contains([]string{"aarch64", "x86_64", "x86-64", "x64", "x86", "i386", "i486", "i586", "i686", "armhf", "armel", "arm32", "powerpc64le"}, name) {
		return true
	}
	return slices.ContainsFunc(architectures, func(a string) bool { return strings.HasPrefix(name, a) }) || // armv7
		slices.ContainsFunc(table, func(r Row) bool { return r.Official == name || r.Debian == name })
}
