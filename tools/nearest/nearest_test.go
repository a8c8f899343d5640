package nearest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/multiarch-build/multiarch/tools/nearest"
)

func TestHint(t *testing.T) {
	known := []string{"base", "platforms", "linux/arm/v7"}
	for word, want := range map[string]string{
		"bsae":         `did you mean "base"? known: base, platforms, linux/arm/v7`,
		"Platform":     `did you mean "platforms"? known: base, platforms, linux/arm/v7`,
		"linux/armv7":  `did you mean "linux/arm/v7"? known: base, platforms, linux/arm/v7`,
		"v7":           `did you mean "linux/arm/v7"? known: base, platforms, linux/arm/v7`,
		"entirely off": `known: base, platforms, linux/arm/v7`,
	} {
		assert.Equal(t, want, nearest.Hint(word, known), word)
	}
	assert.Empty(t, nearest.Hint("anything", nil))
}
