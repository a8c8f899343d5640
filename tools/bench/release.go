package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// distance is the latency that the registry adds to every response.
	distance = 20 * time.Millisecond
	// Every image has one shared layer and one layer of its own.
	sharedLayer, ownLayer = 1 << 20, 20 << 10
)

// far is a registry with latency that counts requests. All repositories share their blobs, so that no client uploads a
// blob twice.
type far struct {
	*httptest.Server
	requests atomic.Int64
}

func serveFar() *far {
	f := &far{}
	near := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	f.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		f.requests.Add(1)
		time.Sleep(distance)
		near.ServeHTTP(rw, r)
	}))
	return f
}

func (f *far) host() string { return strings.TrimPrefix(f.URL, "http://") }

// compareRelease compares `multiarch release` of many images with `crane push` of the same layouts one after another.
func compareRelease(ctx context.Context, w *workDir, s settings, stdout io.Writer) error {
	program, err := w.multiarch(ctx)
	if err != nil {
		return err
	}
	w.logf("compiling crane")
	crane := w.path("bin", "crane")
	if _, err := w.output(ctx, command{
		args: []string{"go", "build", "-o", crane, "github.com/google/go-containerregistry/cmd/crane"},
	}); err != nil {
		return err
	}
	results := table{header: []string{"images x platforms", "", "time", "peak memory", "requests", "crane / multiarch"}}
	for _, n := range []size{{10, len(s.platforms)}, {100, len(s.platforms)}} {
		layouts, digests, err := w.layouts(n, s.platforms)
		if err != nil {
			return err
		}
		var costs [3][]cost
		var requests [3]int64
		for round := range s.rounds {
			w.logf("releasing %s: round %d of %d", n, round+1, s.rounds)
			if err := w.releaseRound(ctx, program, crane, layouts, &costs, &requests); err != nil {
				return err
			}
		}
		us := of(costs[0], func(c cost) time.Duration { return c.wall }).median()
		for i, what := range []string{
			"multiarch release", "multiarch release, nothing changed", "crane push, one after another",
		} {
			wall := of(costs[i], func(c cost) time.Duration { return c.wall })
			row := []string{
				n.String(),
				what,
				wall.durations(),
				of(costs[i], func(c cost) int64 { return c.peak }).megabytes(),
				fmt.Sprint(requests[i]),
			}
			if i == 1 {
				row[4] += fmt.Sprintf(" for %d digests", digests)
			}
			if i == 2 {
				row = append(row, ratio(wall.median(), us))
			}
			results.add(row...)
		}
	}
	about, err := circumstances(ctx, w, s)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(
		stdout,
		"%s\nThe registry is on loopback and waits %v before each answer.\n%s\n",
		results,
		distance,
		about,
	)
	return err
}

// releaseRound measures a release, an unchanged second release, and crane. Each tool has its own empty registry.
func (w *workDir) releaseRound(
	ctx context.Context,
	program, crane string,
	layouts []string,
	costs *[3][]cost,
	requests *[3]int64,
) error {
	ours, theirs := serveFar(), serveFar()
	defer ours.Close()
	defer theirs.Close()
	type target struct {
		Name       string `json:"name"`
		Repository string `json:"repository"`
		Layout     string `json:"layout"`
		Tags       string `json:"tags"`
	}
	var file struct {
		Targets []target `json:"targets"`
	}
	var pushes []command
	quiet := []string{"DOCKER_CONFIG=" + w.path("docker")}
	for i, dir := range layouts {
		name := fmt.Sprint("image", i)
		file.Targets = append(file.Targets, target{name, ours.host() + "/bench/" + name, dir, w.path("tmp", "tags")})
		pushes = append(
			pushes,
			command{args: []string{crane, "push", dir, theirs.host() + "/bench/" + name + ":v1"}, env: quiet},
		)
	}
	content, err := json.Marshal(file)
	if err == nil {
		err = os.WriteFile(w.path("tmp", "targets.json"), content, 0o644)
	}
	if err == nil {
		err = os.WriteFile(w.path("tmp", "tags"), []byte("v1\n"), 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing the release file: %w", err)
	}
	// Skip verification, because crane push does not verify, and the layers are random bytes.
	release := []command{
		{args: []string{program, "release", "-q", "--no-verify", "--prebuilt", w.path("tmp", "targets.json")}, env: quiet},
	}
	for i, run := range []struct {
		commands []command
		registry *far
	}{{release, ours}, {release, ours}, {pushes, theirs}} {
		before := run.registry.requests.Load()
		c, err := w.measure(ctx, run.commands)
		if err != nil {
			return err
		}
		costs[i] = append(costs[i], c)
		requests[i] = run.registry.requests.Load() - before
	}
	return nil
}

// layouts writes one layout with an index per image, and returns the directories and the total number of digests.
func (w *workDir) layouts(n size, platforms []string) (dirs []string, digests int, err error) {
	noise := rand.NewChaCha8([32]byte{byte(n.services)})
	bytes := func(size int) v1.Layer {
		content := make([]byte, size)
		_, _ = noise.Read(content)
		return static.NewLayer(content, types.OCILayer)
	}
	shared := bytes(sharedLayer)
	digests = 1
	for i := range n.services {
		index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
		for _, name := range platforms {
			platform, err := v1.ParsePlatform(name)
			if err != nil {
				return nil, 0, fmt.Errorf("building an image: %w", err)
			}
			img := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
			if img, err = mutate.ConfigFile(img, &v1.ConfigFile{
				OS:           platform.OS,
				Architecture: platform.Architecture,
				Variant:      platform.Variant,
			}); err == nil {
				img, err = mutate.AppendLayers(img, shared, bytes(ownLayer))
			}
			if err != nil {
				return nil, 0, fmt.Errorf("building an image: %w", err)
			}
			index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: platform}})
			digests += 3 // its manifest, config and own layer
		}
		digests++
		dir := w.path("layouts", fmt.Sprint(n.services), fmt.Sprint(i))
		path, err := layout.Write(dir, empty.Index)
		if err == nil {
			err = path.AppendIndex(index)
		}
		if err != nil {
			return nil, 0, fmt.Errorf("writing a layout: %w", err)
		}
		dirs = append(dirs, dir)
	}
	return dirs, digests, nil
}
