package config_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/reference"
	"github.com/multiarch-build/multiarch/tools/oci/reference/referencetest"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// TestHostileHosts checks that no field for a registry or mirror accepts a host with a meaning to a
// shell, YAML, a pipeline or a terminal.
func TestHostileHosts(t *testing.T) {
	fields := map[string]string{
		"registry":              `registry: %s`,
		"registry with a path":  `registry: %s`,
		"mirrors":               `mirrors: [%s]`,
		"mirrors with a path":   `mirrors: [%s]`,
		"registries":            `registries: {%s: {jobs: 1}}`,
		"repository":            `images: {b: {base: scratch, files: [{from: x, to: /}], push: {repository: %s}}}`,
		"repositories":          `images: {b: {base: scratch, files: [{from: x, to: /}], push: {repository: [b, %s]}}}`,
		"from, a list":          `images: {b: {from: [%s]}}`,
		"from, a mapping":       `images: {b: {from: {linux/amd64: %s}}}`,
		"image of a base":       `bases: {b: {image: %s}}`,
		"debian mirror":         `bases: {b: {debian: {suite: trixie, packages: [base-files], mirror: %s}}}`,
		"debian mirror's path":  `bases: {b: {debian: {suite: trixie, packages: [base-files], mirror: %s}}}`,
		"debian security":       `bases: {b: {debian: {suite: trixie, packages: [base-files], security: %s}}}`,
		"image of a base, path": `bases: {b: {image: %s}}`,
	}
	cases := 0
	for field, text := range fields {
		for _, host := range append(referencetest.Hosts(), "[::1]:5000", "registry.example.com:5000", "10.0.0.1") {
			if field == "debian mirror's path" && strings.Contains(host, ":5000") ||
				field == "image of a base, path" && strings.Contains(host, ":") {
				continue
			}
			value := host
			switch field {
			case "registry with a path", "mirrors with a path":
				value += "/team"
			case "repository", "repositories", "from, a list", "from, a mapping", "image of a base":
				value += "/team/app"
			case "image of a base, path":
				value = "example.com/" + host + "/app"
			case "debian mirror", "debian security":
				value = "http://" + host + "/debian"
			case "debian mirror's path":
				value = "http://example.com/" + host
			}
			if harmless(field, host) {
				continue
			}
			cases++
			quoted, err := json.Marshal(value) // YAML accepts JSON strings
			require.NoError(t, err)
			yaml := "version: 1\nplatforms: [linux/amd64]\n" + fmt.Sprintf(text, quoted) + "\n"
			if field != "repository" && field != "repositories" && field != "from, a list" &&
				field != "from, a mapping" {
				yaml += "images: {a: {base: scratch, files: [{from: x, to: /}]}}\n"
			}
			_, err = config.Parse("multiarch.yaml", []byte(yaml))
			if sound := reference.CheckHost(host) == nil; sound {
				assert.NoError(t, err, "%s: %q", field, value)
			} else {
				assert.Error(t, err, "%s: %q", field, value)
			}
		}
	}
	t.Logf("%d cases", cases)
	require.Greater(t, cases, 63*len(fields))
}

// mirrorPath matches the path of a mirror.
var mirrorPath = regexp.MustCompile(`^[A-Za-z0-9._~+/-]*$`)

// harmless reports whether an invalid host is valid with another meaning in this field.
func harmless(field, host string) bool {
	switch field {
	case "registry", "mirrors":
		return host == "" || host == "a.com/x"
	case "repository",
		"repositories",
		"from, a list",
		"from, a mapping",
		"image of a base",
		"registry with a path",
		"mirrors with a path",
		"image of a base, path":
		return host == "a.com/x" || field == "image of a base, path" && host == "a_b.com"
	case "debian mirror", "debian security":
		// As in apt's sources, a user name and a password are allowed. The rest is a path.
		return host == "user:password@a.com" || host == "user@a.com" || host == "a.com/x" || host == "a.com:"
	case "debian mirror's path":
		return mirrorPath.MatchString(host)
	}
	return false
}

func TestPasswordsAreNotEchoed(t *testing.T) {
	const secret = "user:s3cr3t@registry.example.com"
	for _, text := range []string{
		`registry: %s/team`, `mirrors: [%s]`, `bases: {b: {image: %s/app}}`, `images: {b: {from: [%s/app]}}`,
		`images: {b: {base: scratch, files: [{from: x, to: /}], push: {repository: %s/app}}}`,
	} {
		_, err := config.Parse(
			"multiarch.yaml",
			[]byte("version: 1\nplatforms: [linux/amd64]\n"+fmt.Sprintf(text, secret)),
		)
		require.Error(t, err, text)
		assert.NotContains(t, err.Error(), "s3cr3t", text)
		assert.Contains(t, err.Error(), "multiarch login", text)
	}
}
