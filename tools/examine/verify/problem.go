package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/examine/internal/display"
	"github.com/multiarch-build/multiarch/tools/spec/finding"
)

// Verdict is what Verify found out.
type Verdict struct {
	// Children is how many images and attestations were looked at.
	Children int `json:"children"`
	// Away counts the layers that were not read because no check depended on them.
	SkippedLayers int `json:"away,omitempty"`
	// Problems are what is wrong, in index order; an image without any is what it says it is.
	Problems []Problem `json:"problems"`
	// Notes are what could not be proved, and is not known to be wrong either.
	Notes []Problem `json:"notes"`
}

// Allow turns problems of some kinds into notes.
func (v *Verdict) Allow(kinds ...finding.Kind) {
	kept := []Problem{}
	for _, p := range v.Problems {
		if p.Kind != "" && slices.Contains(kinds, p.Kind) {
			v.Notes = append(v.Notes, p)
		} else {
			kept = append(kept, p)
		}
	}
	v.Problems = kept
}

// Problem is one thing that is wrong, and where.
type Problem struct {
	// Child is the platform of the child, or its digest where it has none; "" where it is about the index.
	Child string `json:"child,omitempty"`
	// Layer counts from one, the lowest layer first, and is zero where the problem is not about a layer. Digest is the
	// layer's.
	Layer  int    `json:"layer,omitempty"`
	Digest string `json:"digest,omitempty"`
	// File is a path in the image.
	File string `json:"file,omitempty"`
	// Kind is what multiarch.yaml can allow; "" for damage, and for notes that are not allowed problems.
	Kind finding.Kind `json:"kind,omitempty"`
	Text string       `json:"problem"`
}

// String is p on one line: linux/arm/v6: layer 2 (sha256:...): /app/hello: built for GOARM=7, which linux/arm/v6
// cannot run.
func (p Problem) String() string {
	parts := make([]string, 0, 4)
	if p.Child != "" {
		parts = append(parts, p.Child)
	}
	if p.Layer != 0 {
		parts = append(parts, fmt.Sprintf("layer %d (%s)", p.Layer, p.Digest))
	}
	if p.File != "" {
		parts = append(parts, p.File)
	}
	return display.OneLine(strings.Join(append(parts, p.Text), ": "))
}

// problemLimit is how many problems of each kind, and how many notes, are kept per child: an image that is wrong is often
// wrong in every file.
const problemLimit = 200

// findings collects the problems of a child, or of the index.
type findings struct {
	child           string
	problems, notes []Problem
	// kinds counts the problems of each kind, with those that are not kept; noted counts the notes.
	problemCounts map[finding.Kind]int
	noteCount int
}

// place is where in a child something is wrong. The zero place is the child itself.
type location struct {
	layer  int
	digest string
	file   string
}

// damage records a problem that no configuration can allow.
func (f *findings) damage(at location, format string, args ...any) {
	f.problem("", at, format, args...)
}

func (f *findings) problem(kind finding.Kind, at location, format string, args ...any) {
	if f.problemCounts == nil {
		f.problemCounts = map[finding.Kind]int{}
	}
	if f.problemCounts[kind]++; f.problemCounts[kind] <= problemLimit {
		f.problems = append(f.problems, Problem{f.child, at.layer, at.digest, at.file, kind, fmt.Sprintf(format, args...)})
	}
}

func (f *findings) note(at location, format string, args ...any) {
	if f.noteCount++; f.noteCount <= problemLimit {
		f.notes = append(f.notes, Problem{f.child, at.layer, at.digest, at.file, "", fmt.Sprintf(format, args...)})
	}
}

// into adds f to v.
func (f *findings) addTo(v *Verdict) {
	v.Problems = append(v.Problems, f.problems...)
	v.Notes = append(v.Notes, f.notes...)
	for _, kind := range slices.Sorted(maps.Keys(f.problemCounts)) {
		if more := f.problemCounts[kind] - problemLimit; more > 0 {
			v.Problems = append(v.Problems, Problem{Child: f.child, Kind: kind, Text: fmt.Sprintf("and %d more of its kind", more)})
		}
	}
	if more := f.noteCount - problemLimit; more > 0 {
		v.Notes = append(v.Notes, Problem{Child: f.child, Text: fmt.Sprintf("and %d more notes", more)})
	}
}
