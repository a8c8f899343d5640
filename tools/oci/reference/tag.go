package reference

import (
	"fmt"
	"regexp"
	"sync"
)

// tagPattern is the grammar of tags in the OCI distribution specification ("Pulling manifests").
var tagPattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
})

// CheckTag returns a *TagError for an invalid tag.
func CheckTag(tag string) error {
	if !tagPattern().MatchString(tag) {
		return &TagError{tag}
	}
	return nil
}

// TagError reports an invalid tag.
type TagError struct{ Tag string }

func (e *TagError) Error() string { return fmt.Sprintf("invalid tag %q", e.Tag) }

// Hint describes valid tags.
func (e *TagError) Hint() string {
	return "use up to 128 letters, digits and . _ -, and do not start with . or -"
}
