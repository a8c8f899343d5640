package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/multiarch-build/multiarch/tools/internal/atomicfile"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

// JSON files and flags that actions exchange.

// layerFile describes a layer. Images are assembled from these files without reading blobs.
type layerFile struct {
	layer.Descriptor
	CreatedBy string `json:"createdBy"`
	// Env are the default environment variables of a base layer.
	Env []string `json:"env,omitempty"`
	// Files are the paths of the files in the layer. It is empty for base layers, whose files may be replaced.
	Files []string `json:"files,omitempty"`
	// Programs are the programs in the layer that were built for a platform, one per executable header.
	Programs []program `json:"programs,omitempty"`
}

// baseFile describes a base image.
type baseFile struct {
	Config *image.BaseConfig `json:"config"`
	Layers []layerFile       `json:"layers"`
}

// settingsFile has the settings of an image in a rule.
type settingsFile struct {
	Settings    image.Settings    `json:"settings"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Healthcheck *healthcheckFile  `json:"healthcheck,omitempty"`
}

// entryFlag is the value of -entry, a file in a layer.
type entryFlag struct {
	Path string `json:"path"` // absolute path in the image
	From string `json:"from"` // source file; empty for an empty file
	Mode uint32 `json:"mode"` // 0 for 0644
	// DetectMode changes the default mode to 0755 for programs and scripts, recognized by their first bytes.
	DetectMode bool `json:"detectMode"`
	UID        int  `json:"uid"`
	GID        int  `json:"gid"`
	// Dir makes the entry a parent directory of files, without From. Mode is the mode of the files.
	Dir bool `json:"dir"`
	// Capabilities are file capabilities in the syntax of setcap.
	Capabilities string `json:"capabilities"`
	// Binary marks the image's program, which must match the image's platform.
	Binary bool `json:"binary"`
	// Built marks outputs of other rules. If they are programs, they must match the platform of every image with the
	// layer.
	Built bool `json:"built"`
}

// directoryFlag is the value of -directory.
type directoryFlag struct {
	Path  string `json:"path"`
	Mode  uint32 `json:"mode"` // 0 for the mode in the base, or 0755
	Owner *struct {
		UID int `json:"uid"`
		GID int `json:"gid"`
	} `json:"owner"` // nil for the owner in the base, or root
}

// linkFlag is the value of -link, a symbolic link.
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

// writeFile writes an output of an action, which no other process writes. It does not wait for the disk: Bazel runs the
// action again if the output is lost.
func writeFile(file string, write func(io.Writer) error) error {
	temp := filepath.Join(filepath.Dir(file), ".assemble-"+filepath.Base(file))
	return atomicfile.WriteVia(temp, file, 0o644, write)
}
