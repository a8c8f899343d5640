package suggest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

func TestPlatformHints(t *testing.T) {
	for in, want := range map[string]string{
		"linux/armv7":    "linux/arm/v7",
		"linux/armv6l":   "linux/arm/v6",
		"linux/arm64v8":  "linux/arm64",
		"linux/arm32v7":  "linux/arm/v7",
		"linux/aarch64":  "linux/arm64",
		"linux/x86_64":   "linux/amd64",
		"linux/armhf":    "linux/arm/v7",
		"linux/ppc64el":  "linux/ppc64le",
		"linux/i386":     "linux/386",
		"linux-arm64":    "linux/arm64",
		"linux_arm_v6":   "linux/arm/v6",
		"Linux/AMD64":    "linux/amd64",
		"amd64":          "linux/amd64",
		"arm":            "linux/arm/v7",
		"arm/v6":         "linux/arm/v6",
		"aarch64":        "linux/arm64",
		"windows/x86_64": "windows/amd64",
		"linux/amd46":    "linux/amd64",
		"linux/x":        "",
		"darwin/arm64":   "",
		"freebsd/amd64":  "",
	} {
		_, err := suggest.ParsePlatform(in)
		var unknown *arch.UnknownError
		require.ErrorAs(t, err, &unknown, in)
		var hinting interface{ Hint() string }
		require.ErrorAs(t, err, &hinting, in)
		assert.Contains(t, hinting.Hint(), "linux/riscv64")
		if want == "" {
			assert.NotContains(t, hinting.Hint(), "did you mean", in)
			continue
		}
		assert.Contains(t, hinting.Hint(), `did you mean "`+want+`"?`, in)
	}
	p, err := suggest.ParsePlatform("linux/arm")
	require.NoError(t, err)
	assert.Equal(t, "linux/arm/v7", p.String())
}
