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
)

// programSize is the size of the programs in bytes, typical for a Go service.
const programSize = 4_300_000

// bazelTree is a workspace with programs and one package per subject that builds the same images from them.
type bazelTree struct {
	dir      string
	checkout string // checkout of multiarch
	services []string
	programs map[string][]byte // by platform: the start of every service's program
}

// newBazelTree writes a workspace that uses the rules in a checkout.
func newBazelTree(ctx context.Context, w *workDir, s settings, checkout string) (*bazelTree, error) {
	t := &bazelTree{dir: w.path("workspace"), checkout: checkout, programs: map[string][]byte{}}
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
		w.logf("compiling a program for %s", p.Name)
		out := w.path("tmp", "program")
		if _, err := w.output(ctx, command{
			args: []string{"go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, source},
			env:  slices.Concat(p.Go, []string{"CGO_ENABLED=0"}),
		}); err != nil {
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
		"go.mod": string(goMod), "BUILD.bazel": "", "data/BUILD.bazel": "exports_files(glob([\"**\"]))\n",
		".bazelrc": "common --incompatible_strict_action_env\nbuild --@rules_go//go/config:pure\n",
	}
	for _, sub := range subjects() {
		files[sub.name+"/BUILD.bazel"] = sub.build(t, s.platforms)
	}
	for name, content := range files {
		if err := t.write(name, content); err != nil {
			return nil, err
		}
	}
	return t, t.module(subjects())
}

func (t *bazelTree) write(name, content string) error {
	file := filepath.Join(t.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(content), 0o644)
}

// change writes new programs for services, and the layers for competitors. The same seed gives the same bytes.
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
			for _, rival := range subjects()[1:] {
				if err := t.write("data/"+rival.layerFile(s, platform), string(layer)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// padded pads a program to programSize with bytes that compress to about half their size.
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
