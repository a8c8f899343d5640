package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/examine/internal/display"
	"github.com/multiarch-build/multiarch/tools/spec/finding"
)

// Verdict is the result of a verification.
type Verdict struct {
	// Children is the number of images and attestations that were verified.
	Children int `json:"children"`
	// SkippedLayers counts the layers that were not read because no check depended on them.
	SkippedLayers int `json:"away,omitempty"`
	// Problems are the defects of the image, in the order of the index. An image without problems is what it claims to be.
	Problems []Problem `json:"problems"`
	// Notes are properties that could not be proved, and are not known to be wrong.
	Notes []Problem `json:"notes"`
}

// Allow turns problems of the given kinds into notes.
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

// Problem is a defect, or a note, and its location.
type Problem struct {
	// Child is the platform of the child, or its digest if it has none; "" for the index.
	Child string `json:"child,omitempty"`
	// Layer is the number of the layer, from one for the lowest, or zero if the problem is not in a layer. Digest is that
	// of the layer.
	Layer  int    `json:"layer,omitempty"`
	Digest string `json:"digest,omitempty"`
	// File is a path in the image.
	File string `json:"file,omitempty"`
	// Kind is the name by which multiarch.yaml allows the problem. It is "" for damage, and for notes other than allowed
	// problems.
	Kind finding.Kind `json:"kind,omitempty"`
	Text string       `json:"problem"`
	// Note groups the notes of a verdict. It is "" for problems.
	Note NoteKind `json:"note,omitempty"`
}

// String formats p on one line, such as "linux/arm/v6: layer 2 (sha256:...): /app/hello: built for GOARM=7, which
// linux/arm/v6 cannot run".
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

// problemLimit bounds the problems of each kind, and the notes, that are kept per child: a defect often repeats in
// every file of an image.
const problemLimit = 200

// findings collects the problems of a child or of the index.
type findings struct {
	child           string
	problems, notes []Problem
	// problemCounts and noteCount include what exceeds problemLimit.
	problemCounts map[finding.Kind]int
	noteCount     int
}

// location is the part of a child that a problem is about. The zero location is the child itself.
type location struct {
	layer  int
	digest string
	file   string
}

// damage records a problem that cannot be allowed.
func (f *findings) damage(at location, format string, args ...any) {
	f.problem("", at, format, args...)
}

func (f *findings) problem(kind finding.Kind, at location, format string, args ...any) {
	if f.problemCounts == nil {
		f.problemCounts = map[finding.Kind]int{}
	}
	if f.problemCounts[kind]++; f.problemCounts[kind] <= problemLimit {
		f.problems = append(f.problems, f.describe(at, Problem{Kind: kind, Text: fmt.Sprintf(format, args...)}))
	}
}

func (f *findings) note(kind NoteKind, at location, format string, args ...any) {
	if f.noteCount++; f.noteCount <= problemLimit {
		f.notes = append(f.notes, f.describe(at, Problem{Note: kind, Text: fmt.Sprintf(format, args...)}))
	}
}

func (f *findings) describe(at location, p Problem) Problem {
	p.Child, p.Layer, p.Digest, p.File = f.child, at.layer, at.digest, at.file
	return p
}

// addTo adds f to v.
func (f *findings) addTo(v *Verdict) {
	v.Problems = append(v.Problems, f.problems...)
	v.Notes = append(v.Notes, f.notes...)
	for _, kind := range slices.Sorted(maps.Keys(f.problemCounts)) {
		if more := f.problemCounts[kind] - problemLimit; more > 0 {
			v.Problems = append(v.Problems, Problem{
				Child: f.child,
				Kind:  kind,
				Text:  fmt.Sprintf("and %d more of this kind", more),
			})
		}
	}
	if more := f.noteCount - problemLimit; more > 0 {
		v.Notes = append(v.Notes, Problem{Child: f.child, Note: NoteOmitted, Text: fmt.Sprintf("and %d more notes", more)})
	}
}
