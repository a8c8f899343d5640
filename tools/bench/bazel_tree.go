package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// programSize is how large the programs are, in bytes: as a Go service is.
const programSize = 4_300_000

// bazelTree is a workspace with programs, and with two packages that make the same images of them.
type bazelTree struct {
	dir      string
	services []string
	programs map[string][]byte // by platform: what every service's program begins with
}

// newBazelTree writes a workspace that takes our rules from a checkout.
func newBazelTree(ctx context.Context, w *workshop, s settings, checkout string) (*bazelTree, error) {
	t := &bazelTree{dir: w.path("workspace"), programs: map[string][]byte{}}
	for n := range s.services {
		t.services = append(t.services, fmt.Sprintf("svc%02d", n))
	}
	tool, err := w.multiarch(ctx)
	if err != nil {
		return nil, err
	}
	platforms, err := w.platforms(ctx, tool, s.platforms)
	if err != nil {
		return nil, err
	}
	source := w.path("tmp", "empty.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o644); err != nil {
		return nil, err
	}
	for _, p := range platforms {
		w.say("compiling a program for %s", p.Name)
		out := w.path("tmp", "program")
		if _, err := w.output(ctx, command{args: []string{"go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, source}, env: slices.Concat(p.Go, []string{"CGO_ENABLED=0"})}); err != nil {
			return nil, err
		}
		if t.programs[p.Name], err = os.ReadFile(out); err != nil {
			return nil, err
		}
	}
	if err := t.change("first", t.services...); err != nil {
		return nil, err
	}
	goMod, err := os.ReadFile(filepath.Join(checkout, "go.mod"))
	if err != nil {
		return nil, err
	}
	files := map[string]string{
		"go.mod":       string(goMod),
		"MODULE.bazel": fmt.Sprintf(bazelModule, checkout), ".bazelrc": "common --incompatible_strict_action_env\nbuild --@rules_go//go/config:pure\n", "BUILD.bazel": "",
		"data/BUILD.bazel":      "exports_files(glob([\"**\"]))\n",
		"multiarch/BUILD.bazel": t.ours(s.platforms), "rules_oci/BUILD.bazel": t.theirs(s.platforms),
	}
	for name, content := range files {
		file := filepath.Join(t.dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return nil, err
		}
	}
	return t, nil
}

const bazelModule = `module(name = "bench")

bazel_dep(name = "aspect_bazel_lib", version = "2.21.1")
bazel_dep(name = "gazelle", version = "0.51.3")
bazel_dep(name = "multiarch", version = "0.1.0")
bazel_dep(name = "rules_go", version = "0.62.0")
bazel_dep(name = "rules_oci", version = "2.3.0")

local_path_override(module_name = "multiarch", path = %q)

go_sdk = use_extension("@rules_go//go:extensions.bzl", "go_sdk")
go_sdk.from_file(go_mod = "//:go.mod")
`

func slugOf(platform string) string { return strings.ReplaceAll(platform, "/", "_") }

func (t *bazelTree) ours(platforms []string) string {
	var b strings.Builder
	b.WriteString("load(\"@multiarch//tools/rules:defs.bzl\", \"multiarch_image\")\n")
	for _, s := range t.services {
		fmt.Fprintf(&b, "multiarch_image(name = %q, base = \"scratch\", platforms = [", s)
		for _, p := range platforms {
			fmt.Fprintf(&b, "%q, ", p)
		}
		b.WriteString("], overrides = {")
		for _, p := range platforms {
			fmt.Fprintf(&b, "%q: {\"binary\": \"//data:%s/%s/app\"}, ", p, s, slugOf(p))
		}
		b.WriteString("})\n")
	}
	fmt.Fprintf(&b, "filegroup(name = \"indexes\", srcs = %s)\n", starlarkList(t.services))
	return b.String()
}

func (t *bazelTree) theirs(platforms []string) string {
	var b strings.Builder
	b.WriteString("load(\"@rules_oci//oci:defs.bzl\", \"oci_image_index_rule\", \"oci_image_rule\")\n")
	b.WriteString("genrule(name = \"entrypoint\", outs = [\"entrypoint.txt\"], cmd = \"echo /app/service > $@\")\n")
	for _, s := range t.services {
		var images []string
		for _, p := range platforms {
			parts := append(strings.Split(p, "/"), "")
			name := s + "_" + slugOf(p)
			images = append(images, name)
			fmt.Fprintf(&b, "oci_image_rule(name = %q, os = %q, architecture = %q, variant = %q, entrypoint = \":entrypoint\", tars = [\"//data:%s/%s/app.tar.gz\"])\n",
				name, parts[0], parts[1], parts[2], s, slugOf(p))
		}
		fmt.Fprintf(&b, "oci_image_index_rule(name = %q, images = %s)\n", s, starlarkList(images))
	}
	fmt.Fprintf(&b, "filegroup(name = \"indexes\", srcs = %s)\n", starlarkList(t.services))
	return b.String()
}

// starlarkList writes words that need no escaping.
func starlarkList(words []string) string { return `["` + strings.Join(words, `", "`) + `"]` }

// change gives services new programs, and the layers of them that rules_oci gets. The same seed gives the same bytes.
func (t *bazelTree) change(seed string, services ...string) error {
	for _, s := range services {
		for platform, program := range t.programs {
			dir := filepath.Join(t.dir, "data", s, slugOf(platform))
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			content := padded(program, seed+s+platform)
			if err := os.WriteFile(filepath.Join(dir, "app"), content, 0o755); err != nil {
				return err
			}
			layer, err := layerOf(content)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, "app.tar.gz"), layer, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// padded makes a program as large as a service: behind its end stands what compresses to about half.
func padded(program []byte, seed string) []byte {
	var key [32]byte
	copy(key[:], seed)
	random := rand.NewChaCha8(key)
	out := append(make([]byte, 0, programSize), program...)
	block := make([]byte, 2048)
	for len(out) < programSize {
		_, _ = random.Read(block[:1024]) // never fails
		out = append(out, block...)
	}
	return out[:max(programSize, len(program))]
}

func layerOf(program []byte) ([]byte, error) {
	var out bytes.Buffer
	packed, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	files := tar.NewWriter(packed)
	if err := files.WriteHeader(&tar.Header{Name: "app/service", Mode: 0o755, Size: int64(len(program))}); err != nil {
		return nil, err
	}
	if _, err := files.Write(program); err != nil {
		return nil, err
	}
	if err := files.Close(); err != nil {
		return nil, err
	}
	if err := packed.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
