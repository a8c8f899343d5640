package format_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/multiarch-build/multiarch/tools/internal/format"
)

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 999: "999B", 1000: "1kB", 1_374_999: "1.37MB", 3_000_000_000: "3GB"} {
		assert.Equal(t, want, format.Bytes(n))
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 blobs", 1: "1 blob", 2: "2 blobs"} {
		assert.Equal(t, want, format.Count(n, "blob"))
	}
}
