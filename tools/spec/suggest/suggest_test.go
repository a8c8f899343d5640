package suggest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/multiarch-build/multiarch/tools/spec/suggest"
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
		assert.Equal(t, want, suggest.Hint(word, known), word)
	}
	assert.Empty(t, suggest.Hint("anything", nil))
}

func TestOfSuggestsOnlyMisspellings(t *testing.T) {
	for _, c := range []struct{ word, known, want string }{
		{"jbo", "job", "job"},
		{"hlelo", "hello", "hello"},
		{"annotatoins", "annotations", "annotations"},
		{"entrypont", "entrypoint", "entrypoint"},
		{"stopsignal", "stop_signal", "stop_signal"},
		{"LABELS", "labels", "labels"},
		{"label", "labels", "labels"},
		{"python3-flaks", "python3-flask", "python3-flask"},
		{"libssl3", "libssl3t64", ""},
		{"python3-raven", "python3-ase", ""},
		{"python3-yaml", "python3-toml", ""},
		{"golang-1.21", "golang-1.24", "golang-1.24"},
		{"flags", "ldflags", ""},
		{"ko", "go", "go"},
		{"a", "b", ""},
		{"x", "go", ""},
		{"cmd", "env", ""},
		{"image", "images", "images"},
		{"tag", "tags", "tags"},
		{"services", "bases", ""},
		{"", "base", ""},
	} {
		assert.Equal(t, c.want, suggest.Of(c.word, []string{c.known}), "%q for %q", c.word, c.known)
	}
}
