package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

// The JSON that actions hand to each other.

// layerFile is what is known of a layer without its blob. An image is assembled from these.
type layerFile struct {
	layer.Descriptor
	CreatedBy string `json:"createdBy"`
	// Env is what programs on this layer, a base, find in their environment where the image does not say otherwise.
	Env []string `json:"env,omitempty"`
	// Files are the paths of the files in it, unless it is a base: what is above may replace what is in a base.
	Files []string `json:"files,omitempty"`
}

// baseFile is what is known of a base that is an image, without its layers.
type baseFile struct {
	Config *image.BaseConfig `json:"config"`
	Layers []layerFile       `json:"layers"`
}

// settingsFile is what a rule says about an image.
type settingsFile struct {
	Settings    image.Settings    `json:"settings"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Healthcheck *healthcheckFile  `json:"healthcheck,omitempty"`
}

// entryFlag is a file of a layer, as -entry gives it.
type entryFlag struct {
	Path string `json:"path"` // absolute, in the image
	From string `json:"from"` // the file
	// Mode is 0 for 0755 if the file is executable, and 0644 otherwise.
	Mode uint32 `json:"mode"`
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
	// Dir makes a directory that leads to files, which needs no From. Mode is that of the files.
	Dir bool `json:"dir"`
	// Capabilities of a file, in the form of setcap.
	Capabilities string `json:"capabilities"`
	// Binary marks the image's program, which has to be for the image's platform.
	Binary bool `json:"binary"`
}

// directoryFlag is a directory that was asked for, as -directory gives it.
type directoryFlag struct {
	Path  string `json:"path"`
	Mode  uint32 `json:"mode"` // 0 for that of the base, or 0755
	Owner *struct {
		UID int `json:"uid"`
		GID int `json:"gid"`
	} `json:"owner"` // absent for that of the base, or root
}

// linkFlag is a symbolic link, as -link gives it.
type linkFlag struct {
	Path string `json:"path"`
	To   string `json:"to"`
}

func readJSON(file string, v any) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return unmarshal(file, content, v)
}

func unmarshal(what string, content []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return fmt.Errorf("reading %s: %w", what, err)
	}
	return nil
}

func writeJSON(file string, v any) error {
	content, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return writeBytes(file, content)
}

func writeBytes(file string, content []byte) error {
	return writeFile(file, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// writeFile gives a file its name when it is complete.
func writeFile(file string, fill func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".assemble-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	w := bufio.NewWriterSize(f, 64<<10)
	if err := fill(w); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(w.Flush(), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
