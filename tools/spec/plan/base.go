package plan

import (
	"cmp"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// base resolves the base of a child. Bases that must be locked are taken from the lock only.
func (b *builder) base(at config.Path, row arch.Row, name string) Base {
	name = cmp.Or(name, config.Static)
	src, _ := b.c.BaseOf(name)
	if src.Builtin != "" {
		if src.Builtin == config.Static && row.OS != "linux" {
			b.fail(append(at, "base"), "set base: scratch in overrides: of that platform",
				"base %s does not support %s", name, row)
		}
		if src.Builtin == config.Static && b.opts.Lock != nil && b.opts.Static != nil {
			want := lock.Requirement{Name: name, Base: src, Static: b.opts.Static}
			if err := b.opts.Lock.StaleBase(want); err != nil {
				b.fail(append(at, "base"), err.Hint(), "base %s: %s", name, err.What)
			}
		}
		return Base{Name: name, Builtin: src.Builtin}
	}
	if src.Debian != nil && row.Debian == "" {
		b.fail(append(at, "base"),
			"use another base for this platform: base: {default: "+name+", "+row.String()+": static}",
			"base %s does not support %s: Debian has no such architecture", name, row)
		return Base{Name: name}
	}
	want := lock.Requirement{Name: name, Base: src, Platforms: []arch.Platform{row.Platform}}
	if err := b.opts.Lock.Covers(want); err != nil {
		b.fail(config.Path{"bases", name}, err.Hint(), "%s", err.What)
		return Base{Name: name}
	}
	locked := b.opts.Lock.Bases[name]
	if src.Image != "" {
		return Base{Name: name, Image: &BaseImage{locked.Image.Reference, locked.Image.Platforms[row.String()]}}
	}
	return Base{Name: name, Debian: &BaseDebian{
		Suite: src.Debian.Suite, Mirror: src.Debian.Mirror, Slim: src.Debian.Slim,
		Architecture: row.Debian, Packages: locked.Debian.Architectures[row.Debian], Locked: locked.Debian,
	}}
}
