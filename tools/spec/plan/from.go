package plan

import "github.com/multiarch-build/multiarch/tools/spec/config"

// from plans an image that joins existing ones.
func (b *builder) from(i Image, src config.FromChoice, registry string) Image {
	i.Children = []Child{}
	for _, ref := range src.List {
		i.From = append(i.From, From{Reference: b.c.Reference(string(ref), registry)})
	}
	if src.List != nil && len(b.c.PlatformsOf(i.Name)) == 0 {
		i.Platforms = b.opts.Platforms // verified when the images are read
		return i
	}
	platforms := b.platforms(i.Name)
	for _, p := range platforms {
		if ref, ok := src.ByPlatform[p]; ok {
			i.From = append(i.From, From{b.c.Reference(string(ref), registry), p})
		}
	}
	if src.List != nil {
		i.Platforms = platforms
	}
	return i
}
