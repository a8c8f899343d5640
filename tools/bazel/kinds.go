package bazel

import (
	"github.com/bazelbuild/bazel-gazelle/rule"
)

// The kinds of rules that are generated.
const (
	imageKind     = "multiarch_image"
	filesKind     = "multiarch_files"
	debianKind    = "multiarch_debian"
	baseImageKind = "multiarch_base_image"
	tagsKind      = "multiarch_tags"
	pushKind      = "multiarch_push"
	ociPushKind   = "oci_push"
	ociLoadKind   = "oci_load"
	binaryKind    = "go_binary"
	platformKind  = "platform"
	staleKind     = "multiarch_generated_test"
)

// Kinds says how generated rules are merged into rules that stand there, as Gazelle wants it: mergeable attributes are
// replaced by what is generated, save what is marked `# keep`; all other attributes stay as they are.
func Kinds() map[string]rule.KindInfo {
	return map[string]rule.KindInfo{
		imageKind: kind("binary files directories links platforms", "binary_capabilities base entrypoint cmd env user workdir ports volumes "+
			"labels annotations stop_signal healthcheck created compression cgo allow overrides tag_prefix"),
		filesKind:     kind("srcs directories", "to strip_prefix mode owner owned_below capabilities"),
		debianKind:    kind("packages", "base slim"),
		baseImageKind: kind("layouts", "base lock"),
		tagsKind:      kind("image", "repository templates platform tag_prefix"),
		pushKind:      kind("images", "config"),
		ociPushKind:   kind("image", "remote_tags repository"),
		ociLoadKind:   kind("image", "format loader repo_tags"),
		platformKind:  kind("constraint_values", "parents"),
		staleKind:     kind("config", ""),
		binaryKind:    kind("embed", "gc_linkopts gotags x_defs"),
	}
}

// kind describes rules that are nothing without one of the essential attributes.
func kind(essential, others string) rule.KindInfo {
	k := rule.KindInfo{NonEmptyAttrs: set(essential), MergeableAttrs: set(others)}
	for a := range k.NonEmptyAttrs {
		k.MergeableAttrs[a] = true
	}
	return k
}

// Loads says where generated rules are loaded from. repo returns how a label that leads into a module starts: "@name",
// or "" for the workspace's own.
func Loads(repo func(module string) string) []rule.LoadInfo {
	return []rule.LoadInfo{
		{Name: repo("multiarch") + "//tools/rules:defs.bzl", Symbols: []string{imageKind, debianKind, baseImageKind, filesKind, staleKind, tagsKind, pushKind}},
		{Name: repo("rules_oci") + "//oci:defs.bzl", Symbols: []string{ociPushKind, ociLoadKind}},
		{Name: repo("rules_go") + "//go:def.bzl", Symbols: []string{binaryKind}},
	}
}
