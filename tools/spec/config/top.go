package config

import "path/filepath"

// Top returns what the paths in a configuration are relative to: the directory of its file, or the one above where
// that is called images.
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
