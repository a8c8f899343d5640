package build

import (
	"sync"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// Stage is a kind of work.
type Stage string

const (
	// Download reads a base image or packages from the network.
	Download Stage = "download"
	// Compile runs the go command.
	Compile Stage = "compile"
	// Package unpacks Debian packages, or collects files of the tree.
	Package Stage = "package"
	// Compress writes a layer.
	Compress Stage = "compress"
)

// Step is a stage of the work for one platform.
type Step struct {
	Stage    Stage
	Platform arch.Platform
	// Of are the names of the images, or of the base, that the work is for. One go command compiles several images.
	Of []string
}

// Running is a step that has started.
type Running interface {
	// Detail describes the newest progress.
	Detail(text string)
	// Bytes tells how much of a download is done. The total is 0 if it is unknown.
	Bytes(done, total int64)
	// Done ends the step.
	Done()
}

// Event reports that the layers of one more platform of an image are finished.
type Event struct {
	Image       string
	Platform    arch.Platform
	Done, Total int // platforms of this image
}

// starter starts steps. It is never nil.
type starter func(Step) Running

func newStarter(started func(Step) Running) starter {
	if started == nil {
		return func(Step) Running { return silent{} }
	}
	return started
}

// silent is a step without progress reports.
type silent struct{}

func (silent) Detail(string)      {}
func (silent) Bytes(int64, int64) {}
func (silent) Done()              {}

// progress counts. A platform of an image is finished when both its halves are: the compiled program, and everything else.
type progress struct {
	mu     sync.Mutex
	report func(Event)
	halves map[member]int // that are not finished
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
