package config

import (
	"cmp"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// At returns the position of the value at path, or of its closest ancestor in the file.
func (c *Config) At(path Path) Position {
	n := c.source.find(path)
	return Position{c.source.file, max(1, n.Line), max(1, n.Column)}
}

// FilePath returns the path of the n-th file of an image on a platform: its own files come first,
// then those of the overrides.
func (c *Config) FilePath(image string, p arch.Platform, n int) Path {
	if own := len(c.Images[image].Files); n >= own {
		return Path{"images", image, "overrides", p.String(), "files", n - own}
	}
	return Path{"images", image, "files", n}
}

// ValuePath returns the path of a value of env, labels or annotations on a platform: that of the
// overrides if they have the key. p is nil for the image itself.
func (c *Config) ValuePath(image string, p *arch.Platform, field, key string) Path {
	if p != nil {
		over, has := c.Images[image].Overrides[*p], false
		switch field {
		case "labels":
			_, has = over.Labels[Text(key)]
		case "annotations":
			_, has = over.Annotations[Text(key)]
		case "env":
			_, has = over.Env[Name(key)]
		}
		if has {
			return Path{"images", image, "overrides", p.String(), field, key}
		}
	}
	return Path{"images", image, field, key}
}

// Errorf returns an error about the value at path, for errors found after parsing, such as a base
// that cannot be fetched. If hint is "", the hint of an error wrapped with %w is used.
func (c *Config) Errorf(path Path, hint, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Position: c.At(path), Path: path.String(), Err: err, hint: cmp.Or(hint, hintOf(err))}
}

// find returns the node at path. A mapping or list in block style is located at its key, which is
// the line that readers look for.
func (s source) find(path Path) *yaml.Node {
	n, place := s.root, s.root
	if n == nil {
		return &yaml.Node{}
	}
	for _, step := range path {
		next, key := child(n, step)
		if next == nil {
			break
		}
		n, place = next, next
		if key != nil && next.Kind != yaml.ScalarNode && next.Style&yaml.FlowStyle == 0 {
			place = key
		}
	}
	return place
}

// child returns the value one step below n, and its key if n is a mapping.
func child(n *yaml.Node, step any) (value, key *yaml.Node) {
	switch step := step.(type) {
	case int:
		if n.Kind == yaml.SequenceNode && step < len(n.Content) {
			return n.Content[step], nil
		}
	case string:
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if key := n.Content[i].Value; key == step || samePlatform(key, step) {
				return n.Content[i+1], n.Content[i]
			}
		}
	}
	return nil, nil
}

// samePlatform reports whether key is another spelling of a platform: linux/arm for linux/arm/v7.
func samePlatform(key, canonical string) bool {
	if !strings.Contains(key, "/") || !strings.Contains(canonical, "/") {
		return false
	}
	p, err := arch.Parse(key)
	return err == nil && p.String() == canonical
}

// keyOf returns the node at which to report a key missing from mapping n, the value at path.
func (r *reader) keyOf(n *yaml.Node, path Path) *yaml.Node {
	if len(path) == 0 {
		return n
	}
	return r.find(path)
}

// fail records an error in the value at path.
func (r *reader) fail(path Path, hint, format string, args ...any) {
	err := fmt.Errorf(format, args...)
	if hint != "" {
		err = hinted(err, hint)
	}
	r.failAt(r.find(path), path, err)
}
