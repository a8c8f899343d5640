package verify

import (
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// levels lists the values of the Go settings that select an instruction set, from the most compatible to the newest (go
// help environment).
var levels = map[string][]string{
	"GO386":   {"softfloat", "sse2"},
	"GOAMD64": {"v1", "v2", "v3", "v4"},
	"GOARM":   {"5", "6", "7"},
	"GOARM64": {
		"v8.0", "v8.1", "v8.2", "v8.3", "v8.4", "v8.5", "v8.6", "v8.7", "v8.8", "v8.9", "v9.0", "v9.1", "v9.2", "v9.3",
		"v9.4", "v9.5",
	},
	"GOMIPS":    {"softfloat", "hardfloat"},
	"GOMIPS64":  {"softfloat", "hardfloat"},
	"GOPPC64":   {"power8", "power9", "power10"},
	"GORISCV64": {"rva20u64", "rva22u64", "rva23u64"},
}

// levelFit is how the level of a binary compares with that of a platform.
type levelFit int

const (
	levelSupported levelFit = iota // the platform's level or a lower one
	levelTooHigh                   // some machines of the platform cannot run it
	levelUnknown                   // an unknown value
)

// compareLevel compares the level of a binary with that of a platform.
func compareLevel(level arch.EnvVar, built string) levelFit {
	value, options, _ := strings.Cut(built, ",")
	// GOARM=7,softfloat needs less than GOARM=7; GOARM64=v8.0,lse needs more than v8.0, and all of v8.1 has it.
	has, needs := slices.Index(levels[level.Name], level.Value), slices.Index(levels[level.Name], value)
	switch {
	case has < 0 || needs < 0:
		return levelUnknown
	case needs > has:
		return levelTooHigh
	case level.Name != "GOARM64" || options == "":
		return levelSupported
	}
	for option := range strings.SplitSeq(options, ",") {
		if option != "lse" || has == 0 {
			return levelTooHigh
		}
	}
	return levelSupported
}
