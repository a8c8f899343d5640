package load

import (
	"fmt"
	"os/exec"
	"strings"

	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// MissingEngineError is returned if no container engine is installed.
type MissingEngineError struct{ Programs []string }

func (e *MissingEngineError) Error() string {
	return "no container engine found on PATH: tried " + strings.Join(e.Programs, ", ")
}

// Hint names the alternative.
func (e *MissingEngineError) Hint() string {
	return "install one, or write a file with multiarch archive"
}

// UnknownEngineError is returned for an unsupported container engine.
type UnknownEngineError struct{ Program string }

func (e *UnknownEngineError) Error() string {
	return fmt.Sprintf("unknown container engine %q", e.Program)
}

// Hint names the supported engines.
func (e *UnknownEngineError) Hint() string { return suggest.Hint(e.Program, programs) }

// Error is returned if an engine fails.
type Error struct {
	// Program is the path of the engine, Message its standard error, Err how it exited.
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

// Hint names the other installed engines.
func (e *Error) Hint() string {
	var others []string
	for _, name := range programs {
		if path, err := exec.LookPath(name); err == nil && path != e.Program {
			others = append(others, name)
		}
	}
	if len(others) == 0 {
		return "write a file with multiarch archive"
	}
	return "start the engine, or use another one: --engine " + strings.Join(others, ", --engine ")
}
