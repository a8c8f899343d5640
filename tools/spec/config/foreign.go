package config

import (
	"reflect"
	"strings"
	"sync"
)

// foreignKeys maps keys of ko, GoReleaser, Compose, bake and Dockerfiles to their equivalents in
// multiarch.yaml, by the type of the mapping. Keys are compared in lower case, without _ and -.
var foreignKeys = sync.OnceValue(func() map[reflect.Type]map[string]string {
	return map[reflect.Type]map[string]string{
		reflect.TypeFor[Config](): {
			"services":           "images:",
			"targets":            "images:",
			"target":             "images:",
			"group":              "images:, and name the images on the command line",
			"groups":             "images:, and name the images on the command line",
			"variable":           "{{.Env.NAME}} in tags:, labels:, annotations: and env:",
			"builds":             "images:, with go: {package, ldflags, tags, env} in each",
			"build":              "images:, with go: or files: in each",
			"dockers":            "images:",
			"dockersv2":          "images:",
			"dockermanifests":    "images:, each of which becomes an index of all its platforms",
			"kos":                "images:, with go: in each",
			"ko":                 "images:, with go: in each",
			"projectname":        "the names of images:",
			"defaultplatforms":   "platforms:",
			"archs":              "platforms:, such as [linux/amd64, linux/arm64]",
			"architectures":      "platforms:, such as [linux/amd64, linux/arm64]",
			"goos":               "platforms:, such as [linux/amd64, linux/arm64]",
			"goarch":             "platforms:, such as [linux/amd64, linux/arm64]",
			"defaultbaseimage":   "bases: {NAME: {image: REFERENCE}}, and base: NAME in images",
			"baseimageoverrides": "bases: {NAME: {image: REFERENCE}}, and base: NAME in images",
			"defaultldflags":     "go: {ldflags} in images",
			"defaultflags":       "go: {tags, ldflags, env} in images",
			"defaultenv":         "go: {env} in images",
			"repository":         "registry:, and push: {repository} in images",
			"repo":               "registry:, and push: {repository} in images",
			"kodockerrepo":       "registry:",
			"tags":               "push: {tags} in images",
			"dockerfile":         "images:, with base:, files: and entrypoint: in each; Dockerfiles are not supported",
			"release":            "push: in images, and multiarch release",
			"networks":           "nothing: runtime options are not part of an image",
			"volumes":            "volumes: in images",
			"secrets":            "nothing: secrets do not belong in images",
		},
		reflect.TypeFor[Image](): settingsForeign(map[string]string{
			"ko":                  "go: {package, ldflags, tags, env}",
			"id":                  "the key of the image below images:",
			"name":                "the key of the image below images:",
			"containername":       "the key of the image below images:",
			"image":               "push: {repository, tags}; an existing image is a base: or a from:",
			"imagetemplates":      "push: {repository, tags}",
			"nametemplate":        "push: {repository, tags}",
			"images":              "push: {repository}, which may be a list",
			"repository":          "push: {repository}",
			"repositories":        "push: {repository}, which may be a list",
			"repo":                "push: {repository}",
			"registry":            "push: {repository}, in full",
			"tags":                "push: {tags}; build tags are go: {tags}",
			"tag":                 "push: {tags}",
			"platform":            "platforms:",
			"archs":               "platforms:, such as [linux/amd64, linux/arm64]",
			"arch":                "platforms:, such as [linux/amd64, linux/arm64]",
			"goos":                "platforms:, such as [linux/amd64, linux/arm64]",
			"goarch":              "platforms:, such as [linux/amd64, linux/arm64]",
			"goarm":               "platforms:, such as [linux/arm/v6, linux/arm/v7]",
			"goamd64":             "platforms:, such as [linux/amd64, linux/amd64/v3]",
			"inherits":            "the keys in each image; there is no inheritance",
			"output":              "push:, and the flags of multiarch build",
			"outputs":             "push:, and the flags of multiarch build",
			"manifests":           "from:, for existing images",
			"skippush":            "multiarch build",
			"attest":              "nothing: attestations are not supported yet",
			"sbom":                "nothing: SBOMs are not supported yet",
			"provenance":          "nothing: provenance is not supported yet",
			"args":                "go: {ldflags}, or env:",
			"buildargs":           "go: {ldflags}, or env:",
			"creationtime":        "created:",
			"modtimestamp":        "created:",
			"test":                "smoke:, or healthcheck:",
			"bare":                "push: {repository}",
			"baseimportpaths":     "push: {repository}",
			"preserveimportpaths": "push: {repository}",
		}),
		reflect.TypeFor[Settings](): settingsForeign(nil),
		reflect.TypeFor[Go](): {
			"flags": "tags: for build tags, ldflags: for the linker, env: {GOFLAGS: ...} for others; " +
				"-trimpath is always set",
			"main":       "package:",
			"dir":        "package:, a directory such as ./app/hello",
			"path":       "package:",
			"importpath": "package:",
			"buildtags":  "tags:",
			"binary":     "entrypoint:, if the program is not at /app/<image>",
			"goflags":    "env: {GOFLAGS: ...}",
			"gcflags":    "env: {GOFLAGS: -gcflags=...}",
			"asmflags":   "env: {GOFLAGS: -asmflags=...}",
			"cgoenabled": "cgo:",
			"goos":       "platforms: of the image",
			"goarch":     "platforms: of the image",
			"goarm":      "platforms: of the image, such as linux/arm/v6",
			"goamd64":    "platforms: of the image, such as linux/amd64/v3",
			"targets":    "platforms: of the image",
			"trimpath":   "nothing: -trimpath is always set",
		},
		reflect.TypeFor[File](): {
			"src": "from:", "source": "from:", "path": "from:", "copy": "from:", "host": "from:",
			"dst": "to:", "dest": "to:", "destination": "to:", "target": "to:", "container": "to:",
			"chmod": "mode:", "perm": "mode:", "perms": "mode:", "permissions": "mode:",
			"chown": "owner:", "user": "owner:", "uid": "owner:",
			"gid": "owner:, such as 0:65532", "group": "owner:, such as 0:65532",
			"exclude":  "glob:, such as [\"**\", \"!**/*_test.py\"]",
			"excludes": "glob:, such as [\"**\", \"!**/*_test.py\"]",
			"include":  "glob:", "includes": "glob:", "pattern": "glob:", "fileinfo": "mode: and owner:",
		},
		reflect.TypeFor[Push](): {
			"image": "repository:", "images": "repository:, which may be a list", "name": "repository:",
			"repo": "repository:", "repositories": "repository:, which may be a list",
			"registry":       "registry: at the top of the file, or a repository: in full",
			"imagetemplates": "repository: and tags:", "nametemplate": "repository: and tags:",
			"prefix": "tag_prefix:", "monorepo": "tag_prefix:", "skippush": "multiarch build",
		},
		reflect.TypeFor[Base](): {
			"from": "image:", "reference": "image:", "ref": "image:", "tag": "image:, with the tag after a colon",
			"packages": "debian: {suite, packages}", "suite": "debian: {suite, packages}",
			"apt": "debian: {suite, packages}", "dockerfile": "image: or debian:; Dockerfiles are not supported",
		},
	}
})

// settingsForeign returns the foreign keys of settings, extended by more.
func settingsForeign(more map[string]string) map[string]string {
	all := map[string]string{
		"dockerfile":       "base:, files:, entrypoint: and so on; Dockerfiles are not supported",
		"context":          "files:",
		"contexts":         "files: and base:",
		"build":            "go:, or files:",
		"flags":            "go: {tags, ldflags, env}",
		"ldflags":          "go: {ldflags}",
		"main":             "go: {package}",
		"package":          "go: {package}",
		"dir":              "go: {package}, or files:",
		"gotags":           "go: {tags}",
		"cgo":              "go: {cgo}",
		"baseimage":        "base:, the name of one of bases: {NAME: {image: REFERENCE}}",
		"extrafiles":       "files:",
		"copy":             "files:",
		"add":              "files:",
		"contents":         "files:",
		"configs":          "files:",
		"binary":           "go: {package}, or files:",
		"command":          "cmd:",
		"args":             "cmd:",
		"environment":      "env:",
		"envs":             "env:",
		"envfile":          "env:",
		"workingdir":       "workdir:",
		"workingdirectory": "workdir:",
		"expose":           "ports:",
		"exposedports":     "ports:",
		"port":             "ports:",
		"volume":           "volumes:",
		"mounts":           "volumes:",
		"runas":            "user:",
		"uid":              "user:",
		"maintainer":       "labels: {org.opencontainers.image.authors: ...}",
		"label":            "labels:",
		"annotation":       "annotations:",
		"healthchecks":     "healthcheck:",
		"paths":            "directories:, links: and files:",
		"symlinks":         "links:",
		"mkdir":            "directories:",
		"packages":         "bases: {NAME: {debian: {suite, packages}}}, and base: NAME",
		"accounts":         "user:, a number or a user of the base",
		"time":             "created:",
		"shell":            "entrypoint: [/bin/sh, -c, ...]",
		"run":              "nothing: builds do not run commands; copy files with files:",
		"dependson":        "nothing: runtime options are not part of an image",
		"restart":          "nothing: runtime options are not part of an image",
		"networks":         "nothing: runtime options are not part of an image",
		"deploy":           "nothing: runtime options are not part of an image",
		"privileged":       "nothing: runtime options are not part of an image",
		"capadd":           "capabilities: of files: or go:; runtime options are not part of an image",
	}
	for key, hint := range more {
		all[key] = hint
	}
	return all
}

// foreignHint returns the equivalent of another tool's key, or "" if it is not known.
func foreignHint(t reflect.Type, key string) string {
	plain := strings.NewReplacer("_", "", "-", "", ".", "").Replace(strings.ToLower(key))
	instead := foreignKeys()[t][plain]
	if instead == "" {
		return ""
	}
	if nothing, ok := strings.CutPrefix(instead, "nothing: "); ok {
		return "remove it: " + nothing
	}
	return "use " + instead
}
