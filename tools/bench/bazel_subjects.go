package main

import (
	"fmt"
	"slices"
	"strings"
)

// subject is a set of rules that builds the same indexes from the same programs.
type subject struct {
	name string
	// Mnemonics of the actions that write or describe layers, and of those that write manifests and indexes. manifests is
	// empty if the actions of indexes write manifests too. layouts is empty if a push needs no layouts of its own.
	layouts, layers, manifests, indexes string

	build func(t *bazelTree, platforms []string) string // its BUILD file, with a target "indexes"
	dep   string                                        // additional line in MODULE.bazel
}

// subjects returns multiarch and its competitors. The competitors get finished layers, as other rules would build them.
// rules_oci needs no dep, because the module multiarch depends on it.
func subjects() []subject {
	return []subject{
		{"multiarch", "MultiarchLayout", "MultiarchLayer", "", "MultiarchIndex", (*bazelTree).ours, ""},
		{"rules_oci", "", "OCIDescriptor", "OCIImage", "OCIIndex", (*bazelTree).rulesOCI, ""},
		{
			"rules_img",
			"",
			"LayerMetadata",
			"ImageManifest",
			"ImageIndex",
			(*bazelTree).rulesImg,
			"bazel_dep(name = \"rules_img\", version = \"0.3.19\")\n",
		},
	}
}

// target returns the label that builds all indexes.
func (s subject) target() string { return "//" + s.name + ":indexes" }

// ready returns the label that builds what the push rules of a subject read. rules_oci's indexes are layouts already,
// and rules_img pushes from the metadata and the layers.
func (s subject) ready() string {
	if s.layouts != "" {
		return "//" + s.name + ":layouts"
	}
	return s.target()
}

// layerFile returns the path of a competitor's layer below data. Each one has its own file, because Bazel caches
// digests, and the second one would benefit.
func (s subject) layerFile(service, platform string) string {
	return service + "/" + slugOf(platform) + "/" + s.name + ".tar.gz"
}

func slugOf(platform string) string { return strings.ReplaceAll(platform, "/", "_") }

// partsOf returns operating system, architecture, and variant or "".
func partsOf(platform string) []string { return append(strings.Split(platform, "/"), "")[:3] }

// starlarkList formats words that need no escaping.
func starlarkList(words []string) string { return `["` + strings.Join(words, `", "`) + `"]` }

const bazelModule = `module(name = "bench")

bazel_dep(name = "aspect_bazel_lib", version = "2.21.1")
bazel_dep(name = "gazelle", version = "0.51.3")
bazel_dep(name = "multiarch", version = "0.1.0")
bazel_dep(name = "rules_go", version = "0.62.0")
bazel_dep(name = "rules_oci", version = "2.3.0")
%s
local_path_override(module_name = "multiarch", path = %q)

go_sdk = use_extension("@rules_go//go:extensions.bzl", "go_sdk")
go_sdk.from_file(go_mod = "//:go.mod")
`

func (t *bazelTree) ours(platforms []string) string {
	var b strings.Builder
	b.WriteString("load(\"@multiarch//tools/rules:defs.bzl\", \"multiarch_image\")\n")
	for _, s := range t.services {
		fmt.Fprintf(
			&b,
			"multiarch_image(name = %q, base = \"scratch\", platforms = %s, overrides = {",
			s,
			starlarkList(platforms),
		)
		for _, p := range platforms {
			fmt.Fprintf(&b, "%q: {\"binary\": \"//data:%s/%s/app\"}, ", p, s, slugOf(p))
		}
		b.WriteString("})\n")
	}
	fmt.Fprintf(&b, "filegroup(name = \"indexes\", srcs = %s)\n", starlarkList(t.services))
	fmt.Fprintf(&b, "filegroup(name = \"layouts\", srcs = [s + \".layout\" for s in %s])\n", starlarkList(t.services))
	return b.String()
}

func (t *bazelTree) rulesOCI(platforms []string) string {
	var b strings.Builder
	b.WriteString("load(\"@rules_oci//oci:defs.bzl\", \"oci_image_index_rule\", \"oci_image_rule\")\n")
	b.WriteString("genrule(name = \"entrypoint\", outs = [\"entrypoint.txt\"], cmd = \"echo /app/service > $@\")\n")
	for _, s := range t.services {
		var images []string
		for _, p := range platforms {
			parts, name := partsOf(p), s+"_"+slugOf(p)
			images = append(images, name)
			fmt.Fprintf(
				&b,
				"oci_image_rule(name = %q, os = %q, architecture = %q, variant = %q, entrypoint = \":entrypoint\", "+
					"tars = [\"//data:%s\"])\n",
				name,
				parts[0],
				parts[1],
				parts[2],
				subject{name: "rules_oci"}.layerFile(s, p),
			)
		}
		fmt.Fprintf(&b, "oci_image_index_rule(name = %q, images = %s)\n", s, starlarkList(images))
	}
	fmt.Fprintf(&b, "filegroup(name = \"indexes\", srcs = %s)\n", starlarkList(t.services))
	return b.String()
}

// rulesImg extends the platforms of multiarch with the constraint that rules_img uses for variants. rules_img requires
// layers to be targets.
func (t *bazelTree) rulesImg(platforms []string) string {
	var b strings.Builder
	b.WriteString("load(\"@rules_img//img:image.bzl\", \"image_index\", \"image_manifest\")\n")
	for _, p := range platforms {
		var variant []string
		if parts := partsOf(p); parts[2] != "" {
			variant = append(variant, fmt.Sprintf("%q", "@rules_img//img/constraints/"+parts[1]+":"+parts[2]))
		}
		fmt.Fprintf(
			&b,
			"platform(name = %q, parents = [\"@multiarch//platforms:%[1]s\"], constraint_values = [%s])\n",
			slugOf(p),
			strings.Join(variant, ""),
		)
	}
	for _, s := range t.services {
		var images []string
		for _, p := range platforms {
			name := s + "_" + slugOf(p)
			images = append(images, name)
			fmt.Fprintf(
				&b,
				"filegroup(name = \"%s.layer\", srcs = [\"//data:%s\"])\n",
				name,
				subject{name: "rules_img"}.layerFile(s, p),
			)
			fmt.Fprintf(
				&b,
				"image_manifest(name = %q, platform = %q, entrypoint = [\"/app/service\"], layers = [\":%[1]s.layer\"])\n",
				name,
				slugOf(p),
			)
		}
		fmt.Fprintf(&b, "image_index(name = %q, manifests = %s)\n", s, starlarkList(images))
	}
	fmt.Fprintf(&b, "filegroup(name = \"indexes\", srcs = %s)\n", starlarkList(t.services))
	return b.String()
}

// module writes MODULE.bazel for some of the subjects.
func (t *bazelTree) module(of []subject) error {
	var deps []string
	for _, s := range of {
		deps = append(deps, s.dep)
	}
	return t.write("MODULE.bazel", fmt.Sprintf(bazelModule, strings.Join(deps, ""), t.checkout))
}

// without returns all subjects except one.
func without(all []subject, name string) []subject {
	return slices.DeleteFunc(slices.Clone(all), func(s subject) bool { return s.name == name })
}
