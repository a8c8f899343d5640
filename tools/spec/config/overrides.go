package config

import (
	"maps"
	"slices"
)

// with returns s with over applied: files, directories and links are appended, maps are merged by
// key, go and healthcheck by field; anything else is replaced.
func (s Settings) with(over Settings) Settings {
	if over.Go != nil {
		s.Go = s.Go.with(*over.Go)
	}
	s.Files = append(slices.Clip(s.Files), over.Files...)
	s.Directories = slices.Concat(s.Directories, over.Directories)
	s.Links = slices.Concat(s.Links, over.Links)
	if !over.Base.IsZero() {
		s.Base = over.Base
	}
	replaceList(&s.Entrypoint, over.Entrypoint)
	replaceList(&s.Cmd, over.Cmd)
	merge(&s.Env, over.Env)
	replace(&s.User, over.User)
	replace(&s.Workdir, over.Workdir)
	replaceList(&s.Ports, over.Ports)
	replaceList(&s.Volumes, over.Volumes)
	merge(&s.Labels, over.Labels)
	merge(&s.Annotations, over.Annotations)
	replace(&s.StopSignal, over.StopSignal)
	if over.Healthcheck != nil {
		s.Healthcheck = s.Healthcheck.with(*over.Healthcheck)
	}
	replace(&s.Created, over.Created)
	replace(&s.Compression, over.Compression)
	replaceList(&s.Allow, over.Allow)
	return s
}

func (g *Go) with(over Go) *Go {
	var merged Go
	if g != nil {
		merged = *g
	}
	replace(&merged.Package, over.Package)
	replaceList(&merged.Ldflags, over.Ldflags)
	replaceList(&merged.Tags, over.Tags)
	merge(&merged.Env, over.Env)
	replace(&merged.Capabilities, over.Capabilities)
	if over.Cgo != nil {
		merged.Cgo = over.Cgo
	}
	return &merged
}

func replace[T comparable](field *T, over T) {
	var none T
	if over != none {
		*field = over
	}
}

func replaceList[T any](field *[]T, over []T) {
	if over != nil {
		*field = over
	}
}

func merge[K comparable, V any](field *map[K]V, over map[K]V) {
	if over == nil {
		return
	}
	merged := maps.Clone(*field)
	if merged == nil {
		merged = map[K]V{}
	}
	maps.Copy(merged, over)
	*field = merged
}
