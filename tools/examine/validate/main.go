// Command validate runs in the validation actions of the Bazel rules. It verifies an image from its manifest, its
// config and the blobs of its layers, which the actions that assemble images do not read.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/examine/verify"
	"github.com/multiarch-build/multiarch/tools/oci/layout"
	"github.com/multiarch-build/multiarch/tools/oci/source"
	"github.com/multiarch-build/multiarch/tools/spec/finding"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

// run runs the program and returns its exit code.
func run(ctx context.Context, args []string, stderr io.Writer) int {
	r, err := parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "multiarch: %v\n", err)
		return 2
	}
	verdict, err := r.verify(ctx)
	if err != nil {
		fmt.Fprintf(stderr, "multiarch: %v\n", err)
		return 1
	}
	verdict.Allow(r.allow...)
	for _, problem := range verdict.Problems {
		fmt.Fprintf(stderr, "multiarch: image %s: %s\n", r.image, problem)
		if problem.Kind != "" {
			fmt.Fprintf(stderr, "hint: correct it, or permit it for this image with allow = [%q]\n", problem.Kind)
		}
	}
	if len(verdict.Problems) > 0 {
		return 1
	}
	if err := os.WriteFile(r.out, []byte("verified\n"), 0o644); err != nil {
		fmt.Fprintf(stderr, "multiarch: %v\n", err)
		return 1
	}
	return 0
}

// request is a parsed command line.
type request struct {
	image      string
	descriptor string
	files      blobFiles
	allow      kinds
	out        string
}

// list is a repeatable flag.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// kinds is a repeatable flag.
type kinds []finding.Kind

func (k *kinds) String() string { return fmt.Sprint(*k) }

func (k *kinds) Set(s string) error {
	var kind finding.Kind
	if err := kind.UnmarshalText([]byte(s)); err != nil {
		return err
	}
	*k = append(*k, kind)
	return nil
}

// parse parses flags, or the lines of a params file whose name follows an @.
func parse(args []string) (*request, error) {
	if len(args) == 1 && strings.HasPrefix(args[0], "@") {
		content, err := os.ReadFile(args[0][1:])
		if err != nil {
			return nil, fmt.Errorf("reading arguments: %w", err)
		}
		args = strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
	}
	var (
		r                request
		manifest, config string
		layers, blobs    list
		layouts          list
	)
	flags := flag.NewFlagSet("validate", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&r.image, "image", "", "the name of the image, for messages")
	flags.StringVar(&r.descriptor, "descriptor", "", "the descriptor of the manifest")
	flags.StringVar(&manifest, "manifest", "", "the manifest")
	flags.StringVar(&config, "config", "", "the config")
	flags.Var(&layers, "layer", "JSON about a layer")
	flags.Var(&blobs, "blob", "the blob of the same layer")
	flags.Var(&layouts, "base-layout", "an OCI layout with the layers of the base")
	flags.Var(&r.allow, "allow", "a kind of problem that the image may have")
	flags.StringVar(&r.out, "out", "", "the file to write once the image is verified")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 || r.descriptor == "" || manifest == "" || config == "" || r.out == "" ||
		len(layers) != len(blobs) {
		return nil, fmt.Errorf("-descriptor, -manifest, -config and -out are required, and a -blob per -layer")
	}
	r.files = blobFiles{byDigest: map[string]string{}, layouts: layouts}
	return &r, r.files.add(r.descriptor, manifest, config, layers, blobs)
}

// add records the files of the blobs of an image.
func (f *blobFiles) add(descriptor, manifest, config string, layers, blobs []string) error {
	var d v1.Descriptor
	if err := readJSON(descriptor, &d); err != nil {
		return err
	}
	f.byDigest[layout.BlobPath(d.Digest)] = manifest
	var m v1.Manifest
	if err := readJSON(manifest, &m); err != nil {
		return err
	}
	f.byDigest[layout.BlobPath(m.Config.Digest)] = config
	for i, file := range layers {
		var l struct {
			Digest v1.Hash `json:"digest"`
		}
		if err := readJSON(file, &l); err != nil {
			return err
		}
		f.byDigest[layout.BlobPath(l.Digest)] = blobs[i]
	}
	return nil
}

// verify verifies all bytes of the image.
func (r *request) verify(ctx context.Context) (*verify.Verdict, error) {
	var d v1.Descriptor
	if err := readJSON(r.descriptor, &d); err != nil {
		return nil, err
	}
	opened, err := source.OpenBlobs(r.files, d, r.image)
	if err != nil {
		return nil, err
	}
	return verify.Source(ctx, opened)
}

func readJSON(file string, into any) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	return nil
}
