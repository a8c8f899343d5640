package reference_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/multiarch-build/multiarch/tools/oci/reference"
)

func TestCheckTag(t *testing.T) {
	for _, tag := range []string{"latest", "v1.2.3", "_x", "A-b_c.d", strings.Repeat("x", 128)} {
		assert.NoError(t, reference.CheckTag(tag), tag)
	}
	for _, tag := range []string{"", ".x", "-x", "a b", "a/b", "a:b", "é", strings.Repeat("x", 129)} {
		var invalid *reference.TagError
		assert.ErrorAs(t, reference.CheckTag(tag), &invalid, tag)
	}
}
