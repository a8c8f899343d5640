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
	// Of are the names of the images, or of the base image. One go command compiles several images.
	Of []string
}

// Running is a step that has started.
type Running interface {
	// Detail describes the newest progress.
	Detail(text string)
	// Bytes reports the number of downloaded bytes. The total is 0 if it is unknown.
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

// progress counts finished platforms. A platform of an image has up to two parts: the compiled program and the other
// layers.
type progress struct {
	mu     sync.Mutex
	report func(Event)
	parts  map[member]int // number of unfinished parts
	done   map[int]int    // by image
}

func newProgress(p *plan.Plan, report func(Event)) *progress {
	g := &progress{report: report, parts: map[member]int{}, done: map[int]int{}}
	for i, img := range p.Images {
		for j, c := range img.Children {
			g.parts[member{i, j}] = 1
			if c.Go != nil {
				g.parts[member{i, j}] = 2
			}
		}
	}
	return g
}

// partDone reports that a part of a platform is finished.
func (g *progress) partDone(p *plan.Plan, m member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.parts[m]--; g.parts[m] > 0 {
		return
	}
	g.done[m.image]++
	if img := p.Images[m.image]; g.report != nil {
		g.report(Event{img.Name, img.Children[m.child].Platform, g.done[m.image], len(img.Children)})
	}
}
