package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEmptyTagsAreLeftOut covers commits without a git tag, for which {{.Git.Tag}} is empty.
func TestEmptyTagsAreLeftOut(t *testing.T) {
	const commit = "STABLE_GIT_COMMIT 0123456789abcdef0123456789abcdef01234567\n"
	for name, c := range map[string]struct {
		status           string
		templates        []string
		tags, references string
	}{
		"tagged": {
			commit + "STABLE_GIT_TAG v1.0.0\nSTABLE_GIT_DESCRIBE v1.0.0\n", []string{
				"latest", "{{.Git.Tag}}", "{{.Git.Describe}}-x",
			},
			"latest\nv1.0.0\nv1.0.0-x\n", "host/hello:latest\nhost/hello:v1.0.0\nhost/hello:v1.0.0-x\n",
		},
		"not tagged": {
			commit + "STABLE_GIT_TAG \nSTABLE_GIT_DESCRIBE v1.0.0-3-g0123456\n", []string{
				"latest", "{{.Git.Tag}}", "{{with .Git.Tag}}{{.}}-alpine{{end}}", "{{.Git.Describe}}",
			},
			"latest\nv1.0.0-3-g0123456\n", "host/hello:latest\nhost/hello:v1.0.0-3-g0123456\n",
		},
		"nothing left": {commit + "STABLE_GIT_TAG \n", []string{"{{.Git.Tag}}"}, "", "hello:latest\n"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newActionDir(t)
			w.write("status", c.status)
			args := []string{
				"tags", "-image", "hello", "-repository", "host/hello", "-status", "status", "-out-tags", "tags",
				"-out-references", "references",
			}
			for _, template := range c.templates {
				args = append(args, "-template", template)
			}
			w.must(args...)
			for file, want := range map[string]string{"tags": c.tags, "references": c.references} {
				got, err := os.ReadFile(file)
				require.NoError(t, err)
				assert.Equal(t, want, string(got), file)
			}
		})
	}
	w := newActionDir(t)
	w.write("status", commit+"STABLE_GIT_TAG \n")
	code, stderr := w.run("tags", "-image", "hello", "-status", "status", "-out-tags", "tags",
		"-out-references", "references", "-template", "{{.Git.Tag}}-alpine")
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, `image hello: template "{{.Git.Tag}}-alpine": invalid tag "-alpine"`)
	assert.Contains(t, stderr, "{{with .Git.Tag}}")
}
