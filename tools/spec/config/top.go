package config

import "path/filepath"

// Top returns the directory that paths in a configuration are relative to: the directory of the
// file, or its parent if the directory is named images.
func Top(file string) string {
	dir := filepath.Dir(file)
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	if filepath.Base(dir) == "images" {
		return filepath.Dir(dir)
	}
	return dir
}
