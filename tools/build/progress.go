package build

import (
	"sync"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// Event says that the layers of one more image of an index are there.
type Event struct {
	Image       string
	Platform    arch.Platform
	Done, Total int // images of this index
}

// progress counts. An image is finished when both its halves are: what was compiled, and everything else.
type progress struct {
	mu     sync.Mutex
	report func(Event)
	halves map[member]int // still to come
	done   map[int]int    // by image
}

func newProgress(p *plan.Plan, report func(Event)) *progress {
	g := &progress{report: report, halves: map[member]int{}, done: map[int]int{}}
	for i, img := range p.Images {
		for j, c := range img.Children {
			g.halves[member{i, j}] = 1
			if c.Go != nil {
				g.halves[member{i, j}] = 2
			}
		}
	}
	return g
}

func (g *progress) half(p *plan.Plan, m member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.halves[m]--; g.halves[m] > 0 {
		return
	}
	g.done[m.image]++
	if img := p.Images[m.image]; g.report != nil {
		g.report(Event{img.Name, img.Children[m.child].Platform, g.done[m.image], len(img.Children)})
	}
}
