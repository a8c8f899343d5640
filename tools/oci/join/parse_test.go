package join

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
)

func TestParsePlatformAcceptsPlatformsOutsideTheTable(t *testing.T) {
	for _, s := range []string{
		"linux/amd64", "linux/arm/v7", "freebsd/amd64", "wasip1/wasm", "wasi/wasm", "js/wasm", "linux/arm64/v9",
		"linux/arm64/v8.2", "linux/amd64/v3", "linux/ppc64le/power9", "linux/riscv64/rva22u64", "linux/ppc64",
		"linux/mips64", "darwin/arm64", "plan9/386", "freebsd/arm/v7", "linux/sparc64", "linux/e2k",
	} {
		p, err := ParsePlatform(s)
		require.NoError(t, err, s)
		assert.Equal(t, s, p.String())
	}
	p, err := ParsePlatform("linux/arm64/v8")
	require.NoError(t, err)
	assert.Equal(t, "linux/arm64", p.String())
}

func TestParsePlatformRejectsMisspellings(t *testing.T) {
	for _, s := range []string{
		"", "linux", "linux/", "/amd64", "linux//v7", "linux/armv7", "linux/aarch64", "linux/x86_64", "linux/amd46",
		"linux/arm64v8", "linux/arm32v7", "linux/i386", "linux/armhf", "linus/amd64", "widnows/amd64", "linux/arm64/8",
		"linux/amd64/x3", "linux/amd64/v3/x", "linux/wasm32", "Linux/amd64", "linux/am d64", "linux/amd64/../x",
	} {
		_, err := ParsePlatform(s)
		var unknown *arch.UnknownError
		assert.ErrorAs(t, err, &unknown, s)
	}
}

func TestPlausible(t *testing.T) {
	assert.False(t, plausible(arch.Platform{OS: "linux", Architecture: "arm"}))
	assert.False(t, plausible(arch.Platform{OS: "linux", Architecture: "armv7"}))
	assert.True(t, plausible(arch.Platform{OS: "freebsd", Architecture: "amd64"}))
}
