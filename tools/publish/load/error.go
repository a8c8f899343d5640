package load

import (
	"fmt"
	"os/exec"
	"strings"

	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// MissingEngineError is returned where none of the programs looked for can be run.
type MissingEngineError struct{ Programs []string }

func (e *MissingEngineError) Error() string {
	return "no container engine: looked for " + strings.Join(e.Programs, ", ") + " on PATH"
}

// Hint says what to do about it.
func (e *MissingEngineError) Hint() string {
	return "install one, or write a file for it with multiarch archive"
}

// UnknownEngineError is returned for a program that Load has no way of using.
type UnknownEngineError struct{ Program string }

func (e *UnknownEngineError) Error() string {
	return fmt.Sprintf("unknown container engine %q", e.Program)
}

// Hint names the programs that can be used.
func (e *UnknownEngineError) Hint() string { return suggest.Hint(e.Program, programs) }

// Error is returned where a program was run and failed.
type Error struct {
	// Program is its path, Message what it wrote to standard error, Err how it ended.
	Program, Message string
	Err              error
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s: %v", e.Program, e.Err)
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Hint names the other programs there are.
func (e *Error) Hint() string {
	var others []string
	for _, name := range programs {
		if path, err := exec.LookPath(name); err == nil && path != e.Program {
			others = append(others, name)
		}
	}
	if len(others) == 0 {
		return "write a file for it with multiarch archive"
	}
	return "start it, or take another one that is installed: --engine " + strings.Join(others, ", --engine ")
}
