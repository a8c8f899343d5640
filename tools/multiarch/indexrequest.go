package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/oci/join"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/oci/source"
	"github.com/multiarch-build/multiarch/tools/publish/release"
)

// request holds the parsed arguments of index create.
type request struct {
	target  target
	wanted  []release.Existing
	options join.Options
	tags    []string // all that are moved; those of -t replace the target's own and the spec's
	// entryAnnotations are those of the entry in a layout.
	entryAnnotations map[string]string
}

// indexRequest parses the flags and arguments of index create.
func (a *app) indexRequest(ctx context.Context, f indexFlags, client registry.Client, args []string) (*request, error) {
	r := &request{tags: f.tags, options: join.Options{
		Replace: f.replace, Annotations: map[string]string{}, Copy: true, NoAttestations: f.noAttestations, Docker: f.docker,
		IgnoreMissing: f.ignoreMissing, Missing: source.IsMissing,
	}}
	to, sources := "", args
	if f.spec == "" || len(args) > 0 {
		if len(args) == 0 {
			return nil, usagef("multiarch index create TARGET SRC...", "TARGET is required")
		}
		to, sources = args[0], args[1:]
	}
	if f.spec != "" {
		if len(sources) > 0 {
			return nil, usagef("list all images in "+f.spec+", or all as arguments", "--spec and SRC cannot be combined")
		}
		content, err := readStream(ctx, f.spec)
		if err != nil {
			return nil, fmt.Errorf("reading the spec: %w", err)
		}
		spec, err := join.ParseSpec(f.spec, content)
		if err != nil {
			return nil, err
		}
		if to == "" {
			to = spec.Image
		}
		if len(f.tags) == 0 {
			r.tags = spec.Tags
		}
		maps.Copy(r.options.Annotations, spec.Annotations) // flags override them below
		for _, m := range spec.Manifests {
			r.wanted = append(r.wanted, release.Existing{Reference: m.Image, Platform: m.Platform})
		}
	}
	for _, s := range sources {
		w, err := parseSource(s)
		if err == nil {
			w.Opened, err = a.fromProject(w.Reference)
		}
		if err != nil {
			return nil, err
		}
		r.wanted = append(r.wanted, w)
	}
	for _, name := range f.remove {
		// Indexes of other tools may have any platform; Join reports those that do not exist.
		p, err := v1.ParsePlatform(name)
		if err != nil || p.Architecture == "" {
			return nil, usagef("use OS/ARCH[/VARIANT], such as linux/arm/v7", "--remove: invalid platform %q", name)
		}
		r.options.Remove = append(r.options.Remove, *p)
	}
	for _, text := range f.annotations {
		if err := r.annotate(text); err != nil {
			return nil, err
		}
	}
	var err error
	if r.target, err = a.parseTarget(client, to); err != nil {
		return nil, err
	}
	switch {
	case r.target.dir != "" && len(r.tags) > 0:
		return nil, usagef("name the index in the layout instead: oci:DIR:NAME",
			"tags require a registry, but %s is a layout", r.target.given)
	case r.target.dir == "" && len(r.entryAnnotations) > 0:
		return nil, usagef("annotate the index itself: index:KEY=VALUE",
			"index-descriptor: requires a layout: a registry stores no descriptor of %s", r.target.given)
	case f.docker && len(f.annotations) > 0:
		return nil, usagef("remove --docker: an OCI index supports annotations",
			"--docker and --annotation cannot be combined: a docker manifest list has no annotations")
	case f.create && !f.append:
		return nil, usagef("without --append, the index is always new", "--create requires --append")
	case f.create && len(r.wanted) == 0:
		return nil, usagef("multiarch index create TARGET --append --create SRC...",
			"SRC is required: no images given for %s", r.target.given)
	case f.replace && !f.append && len(f.remove) == 0:
		return nil, usagef("without --append, the index is always new", "--replace requires --append")
	case len(r.wanted) == 0 && len(f.remove) == 0 && len(f.annotations) == 0:
		return nil, usagef("multiarch index create TARGET SRC...", "SRC is required: no images given for %s", r.target.given)
	case len(r.wanted) == 0 && !f.append && len(f.remove) == 0:
		return nil, usagef("add --append to annotate the existing index", "SRC is required: no images given for %s",
			r.target.given)
	}
	if r.target.dir == "" && len(f.tags) == 0 {
		r.tags = append([]string{r.target.tag}, r.tags...)
	}
	return r, nil
}

// parseSource reads SRC[=PLATFORM], where a platform of Windows may be followed by its version, as docker and
// containerd's tools write it: windows/amd64:10.0.20348.169.
func parseSource(s string) (release.Existing, error) {
	at := strings.LastIndex(s, "=")
	if at < 0 {
		return release.Existing{Reference: s}, nil
	}
	name, version, _ := strings.Cut(s[at+1:], ":")
	p, err := join.ParsePlatform(name)
	if err != nil {
		return release.Existing{}, usageOf(fmt.Errorf("%s: %w", s, err))
	}
	if version != "" && p.OS == "linux" {
		return release.Existing{}, usagef("write "+s[:at]+"="+name, "%s: only Windows platforms have a version", s)
	}
	return release.Existing{
		Reference: s[:at],
		Platform:  &v1.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, OSVersion: version},
	}, nil
}

// target is the destination of an index: a tag of a repository, or an entry of an OCI layout.
type target struct {
	given           string
	repository, tag string
	dir, name       string // of a layout
}

func (a *app) parseTarget(client registry.Client, given string) (target, error) {
	t := target{given: given}
	switch file, top, err := a.projectImage(given); {
	case err != nil:
		return t, err
	case file != "":
		layout := "oci:" + filepath.Join(top, layoutDir) + ":" + given
		return t, usagef(fmt.Sprintf("write %s for the layout, or %s for Docker Hub", layout, registry.HubName(given)),
			"%q is an image of %s and cannot be the target", given, file)
	}
	if place, ok := strings.CutPrefix(given, "oci:"); ok {
		t.dir, t.name, _ = strings.Cut(place, ":")
		if t.dir == "" || t.name == "" {
			return t, usagef("use oci:DIR:NAME, such as oci:dist:hello", "invalid layout reference %q", given)
		}
		return t, nil
	}
	ref, err := client.Parse(given)
	if err != nil {
		return t, usagef("write a reference to a registry, or oci:DIR:NAME", "%w", err)
	}
	tag, ok := ref.(name.Tag)
	if !ok {
		return t, usagef("use REPOSITORY:TAG; the digest follows from the content", "the target cannot be a digest: %s",
			given)
	}
	t.tag = tag.TagStr()
	t.repository = strings.TrimSuffix(given, ":"+t.tag)
	return t, nil
}
