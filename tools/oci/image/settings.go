package image

import "time"

// Settings are the fields of an image config besides platform and layers. See the OCI specification
// "Image Configuration".
type Settings struct {
	Entrypoint []string `json:"entrypoint,omitempty"`
	Cmd        []string `json:"cmd,omitempty"`
	// Env holds NAME=value entries. Values may refer to the base's environment: $NAME.
	Env        []string          `json:"env,omitempty"`
	User       string            `json:"user,omitempty"`
	Workdir    string            `json:"workdir,omitempty"`
	Ports      []string          `json:"ports,omitempty"` // number/protocol
	Volumes    []string          `json:"volumes,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	StopSignal string            `json:"stopSignal,omitempty"`
	// Healthcheck is nil to keep that of the base.
	Healthcheck *Healthcheck `json:"healthcheck,omitempty"`
	Created     time.Time    `json:"created"`
}

// Prefixes and values of CreatedBy. Both engines write the same, because the history is part of the
// config and therefore of the digest.
const (
	CreatedByBase    = "multiarch: base " // followed by the base's name
	CreatedByFiles   = "multiarch: files"
	CreatedByProgram = "multiarch: program"
)
