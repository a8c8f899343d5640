package verify

import (
	"fmt"
	"slices"
	"strings"
)

// NoteKind groups notes, so that a summary has one line per kind.
type NoteKind string

// The kinds of notes.
const (
	NoteVariant        NoteKind = "variant-not-proved"
	NoteLayer          NoteKind = "layer-not-examined"
	NoteProgram        NoteKind = "program-not-examined"
	NoteOtherPlatform  NoteKind = "program-for-another-platform"
	NoteInterpreter    NoteKind = "missing-interpreter"
	NoteLibrary        NoteKind = "missing-library"
	NoteNoEntrypoint   NoteKind = "no-entrypoint"
	NoteAllowedProblem NoteKind = "allowed-problem"
	NoteOmitted        NoteKind = "omitted"
)

// noteTexts describe the kinds of notes that can occur many times.
var noteTexts = map[NoteKind]string{
	NoteVariant:        "programs whose processor variant is not proved",
	NoteLayer:          "layers that are not examined",
	NoteProgram:        "programs that are not examined completely",
	NoteOtherPlatform:  "programs for another platform",
	NoteInterpreter:    "interpreters that are missing, of scripts that the image does not start",
	NoteLibrary:        "libraries that are missing, of programs that the image does not start",
	NoteNoEntrypoint:   "images with neither an entrypoint nor a command",
	NoteAllowedProblem: "problems that are allowed",
	NoteOmitted:        "lists of notes that are cut off",
}

// Summary returns one line per kind of note, with the number of notes and their platforms. A kind with a single note is
// that note.
func (v *Verdict) Summary() []string {
	var kinds []NoteKind
	byKind := map[NoteKind][]Problem{}
	for _, n := range v.Notes {
		kind := n.Note
		if n.Kind != "" {
			kind = NoteAllowedProblem
		}
		if _, known := byKind[kind]; !known {
			kinds = append(kinds, kind)
		}
		byKind[kind] = append(byKind[kind], n)
	}
	var lines []string
	for _, kind := range kinds {
		notes := byKind[kind]
		if len(notes) == 1 {
			lines = append(lines, notes[0].String())
			continue
		}
		var platforms []string
		for _, n := range notes {
			if n.Child != "" && !slices.Contains(platforms, n.Child) {
				platforms = append(platforms, n.Child)
			}
		}
		line := fmt.Sprintf("%d %s", len(notes), noteTexts[kind])
		if len(platforms) > 0 {
			line += " (" + strings.Join(platforms, ", ") + ")"
		}
		lines = append(lines, line)
	}
	return lines
}
