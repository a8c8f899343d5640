package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/internal/testmatrix"
	"github.com/multiarch-build/multiarch/tools/oci/registry/registrytest"
)

// releases is a project with three images of files, which build quickly, and a registry.
type releases struct {
	services
	server *registrytest.Server
}

func newReleases(t *testing.T, kind string) releases {
	r := releases{services{t.TempDir(), t.TempDir()}, registrytest.Start(t, kind)}
	r.write(t, "multiarch.yaml", `version: 1
registry: `+r.server.Host+`/team
platforms: [linux/amd64, linux/arm64]
images:
  api: {base: scratch, files: [{from: version, to: /}],
    push: {tags: [latest, stable], per_platform: "{{.Repository}}-{{.Platform.Official}}"}}
  job: {base: scratch, files: [{from: version, to: /job}]}
  worker: {base: scratch, files: [{from: version, to: /worker}], push: {repository: [worker, copy/worker]}}
`)
	return r
}

// release releases a version and returns the output.
func (r releases) release(t *testing.T, version string) map[string]string {
	t.Helper()
	r.write(t, "version", version)
	cmd := r.command("release", "-q")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	tags := map[string]string{}
	for _, line := range strings.Fields(string(out)) {
		tag, digest, ok := strings.Cut(line, "@")
		require.True(t, ok, line)
		tags[tag] = digest
	}
	return tags
}

// standing reads all tags and requires that their indexes are complete.
func (r releases) standing(t *testing.T, tags map[string]string) map[string]string {
	t.Helper()
	now := map[string]string{}
	for tag := range tags {
		ref, err := name.ParseReference(tag)
		require.NoError(t, err)
		got, err := remote.Get(ref, remote.WithContext(t.Context()))
		require.NoError(t, err)
		if got.MediaType.IsIndex() {
			index, err := got.ImageIndex()
			require.NoError(t, err)
			require.NoError(t, validate.Index(index), tag)
		} else {
			img, err := got.Image()
			require.NoError(t, err)
			require.NoError(t, validate.Image(img), tag)
		}
		now[tag] = got.Digest.String()
	}
	return now
}

// TestReleaseKilledAtAnyMoment kills releases at random moments. Every tag is complete and has the old or the new
// image. The next release repairs everything. The output of a release that was not killed is correct.
func TestReleaseKilledAtAnyMoment(t *testing.T) {
	skipShort(t)
	for _, kind := range registrytest.Kinds() {
		t.Run(kind, func(t *testing.T) {
			kills := 5
			switch {
			case testmatrix.Full() && kind == "go-containerregistry":
				kills = 100
			case testmatrix.Full():
				kills = 20
			}
			r := newReleases(t, kind)
			begin := time.Now()
			before := r.release(t, "0")
			whole := time.Since(begin)
			var untouched, partly, complete int
			for n := 1; n <= kills; n++ {
				version := fmt.Sprint(n)
				r.write(t, "version", version)
				cmd := r.command("release", "-q")
				require.NoError(t, cmd.Start())
				time.Sleep(rand.N(whole))
				_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
				_ = cmd.Wait()
				now := r.standing(t, before)
				after := r.release(t, version)
				require.Equal(t, slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
				moved := 0
				for tag, digest := range now {
					require.Contains(t, []string{before[tag], after[tag]}, digest, tag)
					if digest == after[tag] {
						moved++
					}
				}
				switch moved {
				case 0:
					untouched++
				case len(now):
					complete++
				default:
					partly++
				}
				require.Equal(t, after, r.standing(t, after), "the next release completes it")
				before = after
			}
			t.Logf("%d releases killed: %d before any tag had moved, %d between tags, %d after; all completed by the next one",
				kills, untouched, partly, complete)
			assert.Equal(t, kills, untouched+partly+complete)
		})
	}
}

// TestReleaseWhileTheRegistryRestarts stops the registry at random moments of a release, and starts it again. The
// release succeeds, or fails and leaves each tag complete.
func TestReleaseWhileTheRegistryRestarts(t *testing.T) {
	skipShort(t)
	restarts := 2
	if testmatrix.Full() {
		restarts = 10
	}
	for _, kind := range registrytest.Kinds() {
		t.Run(kind, func(t *testing.T) {
			r := newReleases(t, kind)
			begin := time.Now()
			before := r.release(t, "0")
			whole := time.Since(begin)
			var succeeded, failed int
			for n := 1; n <= restarts; n++ {
				version := fmt.Sprint(n)
				r.write(t, "version", version)
				cmd := r.command("release", "-q")
				var stderr strings.Builder
				cmd.Stderr = &stderr
				require.NoError(t, cmd.Start())
				time.Sleep(rand.N(whole))
				r.server.Restart(rand.N(500 * time.Millisecond))
				err := cmd.Wait()
				now := r.standing(t, before)
				switch {
				case err == nil:
					succeeded++
					require.Equal(t, r.release(t, version), now, "the printed digests are correct")
				default:
					failed++
					require.Equal(t, exitPush, cmd.ProcessState.ExitCode(), stderr.String())
				}
				before = r.release(t, version)
				require.Equal(t, before, r.standing(t, before))
			}
			t.Logf("%d restarts: %d releases got over it, %d failed and were completed by the next one", restarts, succeeded,
				failed)
			assert.Equal(t, restarts, succeeded+failed)
		})
	}
}

// TestConcurrentReleaseCommands releases eight versions at once. If the final tags are of several versions, one of the
// commands has failed with exit code 7 and a message.
func TestConcurrentReleaseCommands(t *testing.T) {
	skipShort(t)
	const processes = 8
	rounds := 1
	if testmatrix.Full() {
		rounds = 5
	}
	for _, kind := range registrytest.Kinds() {
		t.Run(kind, func(t *testing.T) {
			r := newReleases(t, kind)
			tags := r.release(t, "0")
			var succeeded, overtaken, mixed int
			for round := range rounds {
				var all []*exec.Cmd
				var trees []releases
				errs := make([]strings.Builder, processes)
				for n := range processes {
					own := releases{services{t.TempDir(), r.cache}, r.server}
					config, err := os.ReadFile(filepath.Join(r.dir, "multiarch.yaml"))
					require.NoError(t, err)
					own.write(t, "multiarch.yaml", string(config))
					own.write(t, "version", fmt.Sprint(round, ", ", n))
					cmd := own.command("release", "-q")
					cmd.Stderr = &errs[n]
					require.NoError(t, cmd.Start())
					all, trees = append(all, cmd), append(trees, own)
				}
				spoke := false
				for n, cmd := range all {
					if err := cmd.Wait(); err == nil {
						succeeded++
						continue
					}
					require.Equal(t, exitPush, cmd.ProcessState.ExitCode(), errs[n].String())
					require.Contains(t, errs[n].String(), "another release moved the same tags")
					overtaken++
					spoke = true
				}
				now := r.standing(t, tags)
				owners := map[int]bool{}
				for n, own := range trees {
					versions := own.dryRun(t)
					for tag, digest := range versions {
						if now[tag] == digest {
							owners[n] = true
						}
					}
				}
				require.NotEmpty(t, owners)
				if len(owners) > 1 {
					mixed++
					assert.True(t, spoke, "the tags are those of %d releases, and all say that they succeeded", len(owners))
				}
			}
			t.Logf("%d rounds of %d releases: %d succeeded, %d were overtaken; tags of several releases at the end: %d", rounds,
				processes, succeeded, overtaken, mixed)
			assert.Equal(t, rounds*processes, succeeded+overtaken)
		})
	}
}

// dryRun returns the digest that each tag would have.
func (r releases) dryRun(t *testing.T) map[string]string {
	t.Helper()
	out, err := r.command("release", "-q", "--dry-run").Output()
	require.NoError(t, err)
	tags := map[string]string{}
	for _, line := range strings.Split(string(out), "\n") {
		words := strings.Fields(line)
		if len(words) > 2 && strings.Contains(words[0], ":") && strings.HasPrefix(words[len(words)-1], "sha256:") {
			tags[words[0]] = words[len(words)-1]
		}
	}
	return tags
}
