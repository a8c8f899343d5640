//go:build !linux

package main

import (
	"os/exec"
	"time"
)

const memorySource = "available only on Linux"

// bind, soften, settle, watch and familyTime are implemented only on Linux: see process_linux.go.
func bind(*exec.Cmd) {}

func soften(*exec.Cmd) {}

func settle() {}

func watch(int) func() int64 { return func() int64 { return 0 } }

func familyTime(int) time.Duration { return 0 }
