package config

import (
	"encoding"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// defaultBase is the key of the base for platforms that have no entry of their own.
const defaultBase = "default"

// BaseChoice names the base of an image: one for all platforms, or one per platform.
type BaseChoice struct {
	Name       string // "" if not set
	ByPlatform map[arch.Platform]string
}

// On returns the name of the base for a platform, or "" if none is set.
func (b BaseChoice) On(p arch.Platform) string {
	if name, ok := b.ByPlatform[p]; ok {
		return name
	}
	return b.Name
}

// IsZero reports whether no base is set.
func (b BaseChoice) IsZero() bool { return b.Name == "" && b.ByPlatform == nil }

// decodeBaseChoice reads a name, or a mapping of names.
func (r *reader) decodeBaseChoice(n *yaml.Node, path Path, v reflect.Value) {
	choice := v.Addr().Interface().(*BaseChoice)
	if n.Kind != yaml.MappingNode {
		r.decode(n, path, v.FieldByName("Name"))
		return
	}
	choice.ByPlatform = map[arch.Platform]string{}
	r.pairs(n, path, func(key, value *yaml.Node) {
		at := path.to(key.Value)
		name := reflect.New(reflect.TypeFor[string]()).Elem()
		r.decode(value, at, name)
		if key.Value == defaultBase {
			choice.Name = name.String()
			return
		}
		var p arch.Platform
		if err := encoding.TextUnmarshaler(&p).UnmarshalText([]byte(key.Value)); err != nil {
			r.failAt(key, at, err)
			return
		}
		if _, twice := choice.ByPlatform[p]; twice {
			r.failAt(key, at, fmt.Errorf("duplicate key: same platform as an earlier key, %v", p))
		}
		choice.ByPlatform[p] = name.String()
	})
	if len(n.Content) == 0 {
		r.failAt(n, path, hinted(errors.New("no base given"), "write a name, or {default: NAME, PLATFORM: NAME}"))
	}
}

// checkBaseChoice reports undefined bases and platforms that the image does not have.
func (r *reader) checkBaseChoice(c *Config, at Path, b BaseChoice, platforms []arch.Platform) {
	known := append(slices.Sorted(maps.Keys(c.Bases)), Scratch, Static)
	slices.Sort(known)
	known = slices.Compact(known)
	check := func(at Path, name string) {
		if _, ok := c.BaseOf(name); name != "" && !ok {
			r.fail(at, suggest.Hint(name, known), "undefined base %q", name)
		}
	}
	if b.ByPlatform == nil {
		check(at, b.Name)
		return
	}
	check(at.to(defaultBase), b.Name)
	for _, p := range slices.SortedFunc(maps.Keys(b.ByPlatform), byTable) {
		check(at.to(p.String()), b.ByPlatform[p])
		if !slices.Contains(platforms, p) {
			r.fail(at.to(p.String()), suggest.Hint(p.String(), namesOf(platforms)),
				"image is not built for this platform")
		}
	}
}

// namesOf returns the names of platforms, without those that could not be parsed.
func namesOf(platforms []arch.Platform) []string {
	var names []string
	for _, p := range platforms {
		if p != (arch.Platform{}) {
			names = append(names, p.String())
		}
	}
	return names
}
