package diff

import (
	"context"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// compareLayers aligns the layers of both sides by their content.
func (c *comparison) compareLayers(ctx context.Context, d *Child, a, b *imageSide) error {
	var gapA, gapB []LayerInfo
	var found []Layer
	flush := func() {
		for i := range max(len(gapA), len(gapB)) {
			l := Layer{Kind: Changed}
			if i < len(gapA) {
				l.A = &gapA[i]
			} else {
				l.Kind = Added
			}
			if i < len(gapB) {
				l.B = &gapB[i]
			} else {
				l.Kind = Removed
			}
			found = append(found, l)
		}
		gapA, gapB = nil, nil
	}
	moved := movedLayers(a.layers, b.layers)
	for _, step := range align(a.layers, b.layers) {
		x, y := step[0], step[1]
		switch {
		case x != nil && y != nil:
			flush()
			if x.Digest != y.Digest {
				found = append(found, Layer{Kind: Recompressed, A: x, B: y})
			}
			more, err := compareDescriptors(a.Parsed.Layers[x.Layer-1], b.Parsed.Layers[y.Layer-1])
			if err != nil {
				return err
			}
			for _, m := range more {
				m.Field = fmt.Sprintf("layers[%d].%s", x.Layer-1, m.Field)
				d.Manifest = append(d.Manifest, m)
			}
		case x != nil:
			if to := moved[x.Layer]; to != nil {
				found = append(found, Layer{Kind: Moved, A: x, B: to})
			} else {
				gapA = append(gapA, *x)
			}
		case !slices.ContainsFunc(a.layers, func(l LayerInfo) bool {
			return moved[l.Layer] != nil && moved[l.Layer].Layer == y.Layer
		}):
			gapB = append(gapB, *y)
		}
	}
	flush()
	for i, l := range found {
		if l.Kind != Changed {
			continue
		}
		files, err := c.compareFiles(ctx, a, b, *l.A, *l.B)
		if err != nil {
			return fmt.Errorf("comparing layer %d with layer %d: %w", l.A.Layer, l.B.Layer, err)
		}
		found[i].Files, found[i].Note = files.list, files.note
	}
	d.Layers = found
	return nil
}

// content returns the diffID of a layer or, if the config has none, its digest.
func (l LayerInfo) content() v1.Hash {
	if l.DiffID != (v1.Hash{}) {
		return l.DiffID
	}
	return l.Digest
}

// align returns the layers of both sides in order. Layers of the longest common subsequence are paired.
func align(a, b []LayerInfo) [][2]*LayerInfo {
	// longest[i][j] is the length of the longest common subsequence of a[i:] and b[j:].
	longest := make([][]int, len(a)+1)
	for i := range longest {
		longest[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i].content() == b[j].content() {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	var steps [][2]*LayerInfo
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i].content() == b[j].content():
			steps = append(steps, [2]*LayerInfo{&a[i], &b[j]})
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && longest[i+1][j] >= longest[i][j+1]:
			steps = append(steps, [2]*LayerInfo{&a[i], nil})
			i++
		default:
			steps = append(steps, [2]*LayerInfo{nil, &b[j]})
			j++
		}
	}
	return steps
}

// movedLayers returns the layers that both sides have in a different order: for their number in a, the layer of b.
func movedLayers(a, b []LayerInfo) map[int]*LayerInfo {
	left, right := map[v1.Hash][]*LayerInfo{}, map[v1.Hash][]*LayerInfo{}
	for _, step := range align(a, b) {
		switch x, y := step[0], step[1]; {
		case y == nil:
			left[x.content()] = append(left[x.content()], x)
		case x == nil:
			right[y.content()] = append(right[y.content()], y)
		}
	}
	moved := map[int]*LayerInfo{}
	for h, from := range left {
		for i := range min(len(from), len(right[h])) {
			moved[from[i].Layer] = right[h][i]
		}
	}
	return moved
}

// compareFiles compares the files of two layers, once for all children that share them.
func (c *comparison) compareFiles(ctx context.Context, a, b *imageSide, x, y LayerInfo) (fileDifferences, error) {
	key := [2]v1.Hash{x.Digest, y.Digest}
	return c.layers.Get(key, func() (fileDifferences, error) {
		left, err := listFiles(ctx, a.Image, x.Digest)
		if err != nil {
			return fileDifferences{}, fmt.Errorf("%s: layer %d (%s): %w", c.a.Name, x.Layer, x.Digest, err)
		}
		right, err := listFiles(ctx, b.Image, y.Digest)
		if err != nil {
			return fileDifferences{}, fmt.Errorf("%s: layer %d (%s): %w", c.b.Name, y.Layer, y.Digest, err)
		}
		return left.compare(right), nil
	})
}
