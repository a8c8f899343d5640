// Package load writes images to archives, and streams them into the container engines of this machine. Archives are OCI
// archives with all platforms or archives of docker save with one platform per image. The same images always produce
// the same bytes. Nothing is stored on the way into an engine.
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

// Loader loads images into a container engine of this machine.
type Loader struct {
	// Engine is docker, podman, nerdctl or ctr, or a path to one of them. "" selects the first one on PATH.
	Engine string
	// Platform selects one image of each index, as a machine of that platform would. The zero value is this machine's,
	// with Linux as the system; nerdctl and ctr then get all platforms, which containerd can store and what docker and
	// podman load cannot.
	Platform arch.Platform
	// References are the references of each image in the engine, by the image's name. The default is NAME:latest.
	References map[string][]string
	// Output receives the standard output of the engine; nil discards it.
	Output io.Writer
}

// Result is the result of Load.
type Result struct {
	// Program is the path of the engine. References are the loaded references, in the order of the images.
	Program    string
	References []string
}

// programs are the supported engines, in the order of the search.
var programs = []string{"docker", "podman", "nerdctl", "ctr"}

// Load streams the images into the engine. After an error, References are those of the images that were loaded before.
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
		// podman accepts OCI archives with a single image. They keep its digest, unlike archives of docker save.
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

// podman loads an image under its first reference and tags it with the others.
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

// hostPlatform returns the platform of a container engine on this machine. The system is Linux, in a virtual machine if
// needed. The level of the processor is unknown; v7 is the common one of 32-bit ARM.
func hostPlatform() arch.Platform {
	p := arch.Platform{OS: "linux", Architecture: runtime.GOARCH}
	if p.Architecture == "arm" {
		p.Variant = "v7"
	}
	return p
}

// kind returns the member of programs that path refers to.
func (l Loader) kind(path string) string {
	return strings.TrimSuffix(filepath.Base(path), ".exe")
}

// find returns the path of the engine.
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

// stream runs the engine with the archive on standard input.
func (l Loader) stream(ctx context.Context, archive Archive, images []content.Image, path string,
	args ...string) error {
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
			// The engine must not accept a truncated archive.
			cancel()
		}
		_ = w.CloseWithError(err)
		written <- err
	}()
	err = l.run(ctx, r, path, args...)
	_ = r.CloseWithError(errStopped)
	// An engine that stops reading early has failed or has what it needs; its exit code tells which.
	if failed := <-written; failed != nil && !errors.Is(failed, errStopped) {
		return fmt.Errorf("streaming the images into %s: %w", path, failed)
	}
	return err
}

var errStopped = errors.New("the program stopped reading")

// run runs the engine until it exits.
func (l Loader) run(ctx context.Context, stdin io.Reader, path string, args ...string) error {
	cmd := exec.CommandContext(ctx, path, args...)
	var message bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, l.Output, &message
	// An interrupt lets the engine clean up its storage; after a delay it is killed.
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
