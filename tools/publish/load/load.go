// Package load writes built image indexes to archives, and loads them into a container engine of this machine: docker,
// podman, nerdctl or ctr. An archive holds an OCI layout with all platforms, or one image as docker save writes it.
// Engines that know single images only receive the image for their platform.
package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/content"
)

// Loader says how images come into a container engine of this machine.
type Loader struct {
	// Engine is docker, podman, nerdctl or ctr, or a path to one of these. "" is the first of them on PATH.
	Engine string
	// Platform chooses one image of each index, as a machine of that platform would. The zero value is this machine's,
	// with Linux as the system; nerdctl and ctr then get all platforms, which containerd can store and what docker and
	// podman load cannot.
	Platform arch.Platform
	// References are what an image is called in the engine, by the image's name; NAME:latest where there are none.
	References map[string][]string
	// Output receives what the program says on its standard output; nil discards it.
	Output io.Writer
}

// Result is what Load did.
type Result struct {
	// Program is the one that was run, References the new names in the engine in the order of the images.
	Program    string
	References []string
}

// programs are the container engines' command lines, in the order in which they are looked for.
var programs = []string{"docker", "podman", "nerdctl", "ctr"}

// Load streams the images into the engine; nothing is stored on the way. Where it fails, References are those of
// images that have been loaded before.
func (l Loader) Load(ctx context.Context, images []content.Image) (Result, error) {
	path, err := l.find()
	if err != nil {
		return Result{}, err
	}
	host := l.Platform
	if host == (arch.Platform{}) {
		host = hostPlatform()
	}
	archive := Archive{Format: OCI, Platform: l.Platform, References: map[string][]string{}}
	var all []string
	for _, i := range images {
		names := l.References[i.Name]
		if len(names) == 0 {
			names = []string{i.Name + ":latest"}
		}
		archive.References[i.Name] = names
		all = append(all, names...)
	}
	done := Result{Program: path}
	switch l.kind(path) {
	case "docker":
		// Without the containerd image store, docker knows only its own format.
		archive.Format, archive.Platform = Docker, host
		err = l.stream(ctx, archive, images, path, "load")
	case "podman":
		// It takes OCI archives of one image only. With them an image keeps its digest, which the other format loses.
		archive.Platform = host
		for _, i := range images {
			if err := l.podman(ctx, archive, i, path); err != nil {
				return done, err
			}
			done.References = append(done.References, archive.References[i.Name]...)
		}
		return done, nil
	case "nerdctl":
		err = l.stream(ctx, archive, images, path, "load", platformFlag(l.Platform))
	case "ctr":
		err = l.stream(ctx, archive, images, path, "images", "import", platformFlag(l.Platform), "-")
	}
	if err == nil {
		done.References = all
	}
	return done, err
}

// podman loads an image under its first reference and adds the others.
func (l Loader) podman(ctx context.Context, archive Archive, image content.Image, path string) error {
	tags, err := archive.tags(image.Name)
	if err != nil {
		return err
	}
	first := engineName(tags[0])
	archive.References = map[string][]string{image.Name: {first}}
	if err := l.stream(ctx, archive, []content.Image{image}, path, "load"); err != nil {
		return err
	}
	for _, t := range tags[1:] {
		if err := l.run(ctx, nil, path, "tag", first, engineName(t)); err != nil {
			return err
		}
	}
	return nil
}

func platformFlag(p arch.Platform) string {
	if p == (arch.Platform{}) {
		return "--all-platforms"
	}
	return "--platform=" + p.String()
}

// hostPlatform is what a container engine on this machine runs: Linux, also in the virtual machine of another system.
// The running program does not know its machine's level; of the 32-bit ARM ones, v7 is all that is common.
func hostPlatform() arch.Platform {
	p := arch.Platform{OS: "linux", Architecture: runtime.GOARCH}
	if p.Architecture == "arm" {
		p.Variant = "v7"
	}
	return p
}

// kind is the member of programs that path is.
func (l Loader) kind(path string) string {
	return strings.TrimSuffix(filepath.Base(path), ".exe")
}

// find returns the path of the program.
func (l Loader) find() (string, error) {
	if l.Engine == "" {
		for _, name := range programs {
			if path, err := exec.LookPath(name); err == nil {
				return path, nil
			}
		}
		return "", &MissingEngineError{programs}
	}
	if !slices.Contains(programs, l.kind(l.Engine)) {
		return "", &UnknownEngineError{l.Engine}
	}
	path, err := exec.LookPath(l.Engine)
	if err != nil {
		return "", &MissingEngineError{[]string{l.Engine}}
	}
	return path, nil
}

// stream runs the program with the archive as its standard input.
func (l Loader) stream(ctx context.Context, archive Archive, images []content.Image, path string, args ...string) error {
	entries, err := archive.entries(images)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := writeTar(ctx, w, entries)
		if err != nil {
			// The program must not take what there is for all of it.
			cancel()
		}
		_ = w.CloseWithError(err)
		written <- err
	}()
	err = l.run(ctx, r, path, args...)
	_ = r.CloseWithError(errStopped)
	// A program that does not read to the end has failed, or has what it wants; either way it tells.
	if failed := <-written; failed != nil && !errors.Is(failed, errStopped) {
		return fmt.Errorf("streaming the images into %s: %w", path, failed)
	}
	return err
}

var errStopped = errors.New("the program stopped reading")

// run runs the program to its end.
func (l Loader) run(ctx context.Context, stdin io.Reader, path string, args ...string) error {
	cmd := exec.CommandContext(ctx, path, args...)
	var message bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, l.Output, &message
	// Asked to stop, it can put its storage in order; it is made to if it does not.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return &Error{path, strings.TrimSpace(message.String()), err}
	}
	return nil
}
