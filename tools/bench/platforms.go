package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// platform is a platform in the output of multiarch platforms.
type platform struct {
	Name string   `json:"platform"`
	Go   []string `json:"go"` // environment of a go command that compiles for it
}

// known returns the Linux platforms that multiarch supports.
func (w *workDir) known(ctx context.Context, program string) ([]platform, error) {
	out, err := w.output(ctx, command{args: []string{program, "platforms", "--json"}})
	if err != nil {
		return nil, err
	}
	var all []platform
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		return nil, fmt.Errorf("parsing the output of multiarch platforms --json: %w", err)
	}
	return slices.DeleteFunc(all, func(p platform) bool { return !strings.HasPrefix(p.Name, "linux/") }), nil
}

// platforms returns the platforms with the given names.
func (w *workDir) platforms(ctx context.Context, program string, names []string) ([]platform, error) {
	all, err := w.known(ctx, program)
	if err != nil {
		return nil, err
	}
	var found []platform
	for _, name := range names {
		i := slices.IndexFunc(all, func(p platform) bool { return p.Name == name })
		if i < 0 {
			var exist []string
			for _, p := range all {
				exist = append(exist, p.Name)
			}
			return nil, usagef("-platforms: unknown platform %q; known: %s", name, strings.Join(exist, ", "))
		}
		found = append(found, all[i])
	}
	return found, nil
}
