package finding_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/spec/finding"
)

func TestUnmarshalTextAcceptsEveryKind(t *testing.T) {
	for _, want := range finding.Kinds() {
		var got finding.Kind
		require.NoError(t, got.UnmarshalText([]byte(want)))
		assert.Equal(t, want, got)
	}
}

func TestUnmarshalTextRejectsUnknownKinds(t *testing.T) {
	for word, hint := range map[string]string{
		"missing-interpretr": `did you mean "missing-interpreter"?`,
		"missing-libary":     `did you mean "missing-library"?`,
		"everything":         "known: missing-entrypoint, ",
		"":                   "known: missing-entrypoint, ",
	} {
		var got finding.Kind
		err := got.UnmarshalText([]byte(word))
		var unknown *finding.UnknownKindError
		require.ErrorAs(t, err, &unknown, word)
		assert.Contains(t, unknown.Hint(), hint, word)
		assert.Empty(t, got)
	}
}
