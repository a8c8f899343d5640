package arch

import "strings"

// aliases maps names of architectures that are not in the table, such as those of uname -m and of
// other tools, to the architecture and variant.
var aliases = map[string]string{
	"x86_64": "amd64", "x64": "amd64", "x86-64": "amd64",
	"aarch64": "arm64", "aarch64_be": "", "arm64e": "arm64",
	"armv7": "arm/v7", "armv7l": "arm/v7", "armhf": "arm/v7",
	"armv6": "arm/v6", "armv6l": "arm/v6",
	"armv5": "arm/v5", "armv5l": "arm/v5", "armel": "arm/v5",
	"i386": "386", "i486": "386", "i586": "386", "i686": "386", "x86": "386",
	"ppc64el": "ppc64le", "powerpc64le": "ppc64le",
	"riscv": "riscv64", "mips64el": "mips64le", "loongarch64": "loong64", "loongarch": "loong64",
}

// Alias returns the platform that other tools call name, with or without an operating system:
// linux/aarch64, arm32v7, linux-armhf, x86_64.
func Alias(name string) (Platform, bool) {
	os, architecture := "linux", strings.ToLower(name)
	for _, system := range []string{"linux", "windows"} {
		for _, separator := range "/-_" {
			if rest, ok := strings.CutPrefix(architecture, system+string(separator)); ok {
				os, architecture = system, rest
			}
		}
	}
	if other := aliases[architecture]; other != "" {
		architecture = other
	}
	for _, r := range table {
		if r.OS == os && (r.Official == architecture || strings.TrimPrefix(r.String(), os+"/") == architecture) {
			return r.Platform, true
		}
	}
	if p, err := Parse(os + "/" + architecture); err == nil {
		return p, true
	}
	return Platform{}, false
}
