package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// peer is a tool that builds the services of a tree for all platforms.
type peer struct {
	name     string
	commands []command // the commands of a run, in order
	state    []string  // caches and outputs, except the Go build cache
	// before is called before each run and is not measured.
	before  func() error
	outputs outputs
}

// forget deletes the caches and outputs of a peer, except the Go build cache.
func (p *peer) forget() error {
	for _, s := range p.state {
		if err := os.RemoveAll(s); err != nil {
			return fmt.Errorf("deleting caches of %s: %w", p.name, err)
		}
	}
	return nil
}

// run measures one run.
func (p *peer) run(ctx context.Context, w *workDir) (cost, error) {
	if err := p.before(); err != nil {
		return cost{}, fmt.Errorf("preparing %s: %w", p.name, err)
	}
	return w.measure(ctx, p.commands)
}

// goCache gives a tool its own copy of the warm Go build cache, so that no tool benefits from another one's work.
func (w *workDir) goCache(warm, owner string) (string, error) {
	w.logf("copying the Go build cache for %s", owner)
	own := w.path("gocache", owner)
	if err := os.CopyFS(own, os.DirFS(warm)); err != nil {
		return "", fmt.Errorf("copying the Go build cache: %w", err)
	}
	return own, nil
}

// linkerFlags are the linker flags of all tools, which are the default of multiarch. Linking takes the most time, and
// half as long without debug symbols.
func linkerFlags() []string { return []string{"-s", "-w"} }

// us builds into an OCI layout with multiarch.
func (w *workDir) us(program string, t *tree, goCache string) *peer {
	cache, dist := w.path("us", "cache"), w.path("us", "dist")
	return &peer{
		name: "multiarch",
		commands: []command{{
			args: []string{program, "build", "-q", "-f", t.file(), "-o", dist},
			dir:  t.dir,
			env:  append(w.equal(goCache), "MULTIARCH_CACHE="+cache),
		}},
		state:   []string{cache, dist},
		before:  func() error { return nil },
		outputs: images(dist),
	}
}

// bare runs go build once per platform. It builds programs, but no images.
func (w *workDir) bare(t *tree, goCache string) *peer {
	out := w.path("bare", "out")
	p := &peer{
		name:    "bare go build",
		state:   []string{out},
		before:  func() error { return nil },
		outputs: folders(out),
	}
	for _, platform := range t.platforms {
		c := bareBuild(t, platform, filepath.Join(out, strings.ReplaceAll(platform.Name, "/", "_")))
		c.env = slices.Concat(w.equal(goCache), c.env)
		p.commands = append(p.commands, c)
	}
	return p
}

func bareBuild(t *tree, p platform, out string) command {
	return command{
		args: append(
			[]string{
				"go",
				"build",
				"-trimpath",
				"-ldflags=" + strings.Join(linkerFlags(), " "),
				"-o",
				out + string(filepath.Separator),
			},
			t.packages()...),
		dir: t.dir,
		env: p.Go,
	}
}

// koPeer builds into an OCI layout with ko, without the steps that the other tools do not perform: no SBOMs, no push.
// cached sets KOCACHE.
func (w *workDir) koPeer(program string, t *tree, goCache, base string, cached bool) (*peer, error) {
	name, dir := "ko", w.path("ko") // ko does not support capital letters in the path of a layout
	if cached {
		name, dir = "ko with KOCACHE", w.path("ko-cached")
	}
	dist, settings := filepath.Join(dir, "layout"), filepath.Join(dir, ".ko.yaml")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("preparing ko: %w", err)
	}
	if err := os.WriteFile(settings,
		[]byte("defaultBaseImage: "+base+"\ndefaultLdflags: ["+strings.Join(linkerFlags(), ", ")+"]\n"), 0o644); err != nil {
		return nil, fmt.Errorf("preparing ko: %w", err)
	}
	var platforms []string
	for _, p := range t.platforms {
		platforms = append(platforms, p.Name)
	}
	p := &peer{
		name: name,
		commands: []command{{
			args: append(
				[]string{
					program,
					"build",
					"--push=false",
					"--sbom=none",
					"--oci-layout-path=" + dist,
					"--platform=" + strings.Join(platforms, ","),
				},
				t.packages()...),
			dir: t.dir,
			env: append(w.equal(goCache), "KO_DOCKER_REPO=bench.example", "KO_CONFIG_PATH="+dir),
		}},
		state: []string{dist},
		// ko appends to an existing index, so start with an empty one. Blobs may stay.
		before: func() error {
			_, err := layout.Write(dist, empty.Index)
			return err
		},
		outputs: images(dist),
	}
	if cached {
		cache := filepath.Join(dir, "cache")
		p.state = append(p.state, cache)
		p.commands[0].env = append(p.commands[0].env, "KOCACHE="+cache)
	}
	return p, nil
}
