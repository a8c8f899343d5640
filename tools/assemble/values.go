package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// varsOf returns the template variables. status is a workspace status file, or "".
func varsOf(image, tagPrefix, status string) (config.Vars, error) {
	known := map[string]string{}
	if status != "" {
		var err error
		if known, err = readStatus(status); err != nil {
			return config.Vars{}, err
		}
	}
	return config.Vars{Image: image, TagPrefix: tagPrefix, Checkout: workspaceStatus(known)}, nil
}

// expand expands templates in labels, annotations and environment variables.
func (f imageFlags) expand(p arch.Platform, of *settingsFile) error {
	vars, err := varsOf(f.image, f.tagPrefix, f.status)
	if err != nil {
		return err
	}
	row, _ := arch.Find(p) // parsed platforms are in the table
	vars.Platform = config.PlatformVarsOf(row)
	if err := expandAll("label", of.Settings.Labels, vars); err != nil {
		return err
	}
	if err := expandAll("annotation", of.Annotations, vars); err != nil {
		return err
	}
	for n, entry := range of.Settings.Env {
		name, template, _ := strings.Cut(entry, "=")
		value, err := expandValue(template, vars, config.ValueTemplate.ExpandEnv)
		if err != nil {
			return fmt.Errorf("env %s: %w", name, err)
		}
		of.Settings.Env[n] = name + "=" + value
	}
	return nil
}

func expandAll(what string, of map[string]string, vars config.Vars) error {
	for _, key := range slices.Sorted(maps.Keys(of)) {
		value, err := expandValue(of[key], vars, config.ValueTemplate.Expand)
		if err != nil {
			return fmt.Errorf("%s %s: %w", what, key, err)
		}
		of[key] = value
	}
	return nil
}

func expandValue(
	template string,
	vars config.Vars,
	expand func(config.ValueTemplate, config.Vars) (string, error),
) (string, error) {
	if !config.IsTemplate(template) {
		return template, nil
	}
	if err := vars.Checkout.(workspaceStatus).checkKeys(template, ".Repository"); err != nil {
		return "", fmt.Errorf("template %q: %w", template, err)
	}
	return expand(config.ValueTemplate(template), vars)
}
