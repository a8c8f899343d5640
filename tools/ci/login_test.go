package ci_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/ci"
)

// TestLogins checks that every registry has its own variables.
func TestLogins(t *testing.T) {
	write := func(hosts ...string) (string, error) {
		o := options(t)
		o.System, o.Engine, o.Registries = ci.GitHub, ci.Embedded, hosts
		text, err := ci.Write(o)
		return string(text), err
	}
	for name, hosts := range map[string][]string{
		"a dash and a dot": {"a-b.com", "a.b.com"},
		"a number":         {"1.com", "registry.1.com"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := write(hosts...)
			var alike *ci.LoginError
			require.ErrorAs(t, err, &alike)
			assert.Contains(t, err.Error(), hosts[0])
			assert.Contains(t, alike.Hint(), hosts[1]+":443")
			_, err = write(hosts[0], hosts[1]+":443")
			assert.NoError(t, err, "the hint must work")
		})
	}
	text, err := write("a-b.com", "a.b.com:443")
	require.NoError(t, err)
	assert.Contains(t, text, "A_B_COM_PASSWORD: ${{ secrets.A_B_COM_PASSWORD }}")
	assert.Contains(t, text, "A_B_COM_443_PASSWORD: ${{ secrets.A_B_COM_443_PASSWORD }}")
}
