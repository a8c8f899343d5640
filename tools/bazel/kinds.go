package bazel

import (
	"github.com/bazelbuild/bazel-gazelle/rule"
)

// Kinds of generated rules.
const (
	imageKind         = "multiarch_image"
	filesKind         = "multiarch_files"
	debianKind        = "multiarch_debian"
	baseImageKind     = "multiarch_base_image"
	tagsKind          = "multiarch_tags"
	pushKind          = "multiarch_push"
	loadKind          = "multiarch_load"
	aliasKind         = "alias"
	ociPushKind       = "oci_push"
	ociLoadKind       = "oci_load"
	binaryKind        = "go_binary"
	platformKind      = "platform"
	generatedTestKind = "multiarch_generated_test"
)

// Kinds tells Gazelle how to merge generated rules into existing ones: mergeable attributes are
// replaced except for values marked `# keep`, and all other attributes are preserved.
func Kinds() map[string]rule.KindInfo {
	return map[string]rule.KindInfo{
		imageKind: kind(
			"binary files directories links platforms",
			"binary_path binary_capabilities base entrypoint cmd env user workdir ports volumes "+
				"labels annotations stop_signal healthcheck created compression cgo allow overrides tag_prefix",
		),
		filesKind:         kind("srcs directories", "to strip_prefix mode executable owner owned_below capabilities"),
		debianKind:        kind("packages", "base slim"),
		baseImageKind:     kind("layouts", "base lock"),
		tagsKind:          kind("image", "repository templates platform tag_prefix"),
		pushKind:          kind("images", "config joined"),
		loadKind:          kind("images", ""),
		aliasKind:         kind("actual", ""),
		ociPushKind:       kind("image", "remote_tags repository"),
		ociLoadKind:       kind("image", "format loader repo_tags"),
		platformKind:      kind("constraint_values", "parents"),
		generatedTestKind: kind("config", ""),
		binaryKind:        kind("embed", "gc_linkopts gotags x_defs"),
	}
}

// kind describes rules that are empty without any of the essential attributes.
func kind(essential, others string) rule.KindInfo {
	k := rule.KindInfo{NonEmptyAttrs: set(essential), MergeableAttrs: set(others)}
	for a := range k.NonEmptyAttrs {
		k.MergeableAttrs[a] = true
	}
	return k
}

// Loads returns the files that define generated rules. repo returns the prefix of labels in a module: "@name", or ""
// for the workspace's own module.
func Loads(repo func(module string) string) []rule.LoadInfo {
	return []rule.LoadInfo{
		{
			Name:    repo("multiarch") + "//tools/rules:defs.bzl",
			Symbols: []string{imageKind, debianKind, baseImageKind, filesKind, generatedTestKind, tagsKind, pushKind, loadKind},
		},
		{Name: repo("rules_oci") + "//oci:defs.bzl", Symbols: []string{ociPushKind, ociLoadKind}},
		{Name: repo("rules_go") + "//go:def.bzl", Symbols: []string{binaryKind}},
	}
}
