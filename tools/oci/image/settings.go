package image

import "time"

// Settings are what an image config says besides platform and layers. OCI image spec, "Image Configuration".
type Settings struct {
	Entrypoint []string `json:"entrypoint,omitempty"`
	Cmd        []string `json:"cmd,omitempty"`
	// Env is NAME=value. Values may refer to the base's environment: $NAME.
	Env        []string          `json:"env,omitempty"`
	User       string            `json:"user,omitempty"`
	Workdir    string            `json:"workdir,omitempty"`
	Ports      []string          `json:"ports,omitempty"` // number/protocol
	Volumes    []string          `json:"volumes,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	StopSignal string            `json:"stopSignal,omitempty"`
	// Healthcheck is nil if the base's stays.
	Healthcheck *Healthcheck `json:"healthcheck,omitempty"`
	Created     time.Time    `json:"created"`
}

// What the history of an image says about its layers. Both engines write the same, because it is part of the config
// and so of the digest.
const (
	CreatedByBase    = "multiarch: base " // and the base's name
	CreatedByFiles   = "multiarch: files"
	CreatedByProgram = "multiarch: program"
)
