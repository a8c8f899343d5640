package bazel

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bazelbuild/bazel-gazelle/rule"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

const (
	// baseEnding is the suffix of base targets, so that an image and a base can have the same name.
	baseEnding = ".base"
	// basesRepo is the default repository name of the module extension that fetches Debian packages.
	basesRepo = "multiarch_bases"
)

// baseImagePull is an image that rules_oci pulls for a base on one platform.
type baseImagePull struct{ repo, image, digest string }

// base returns the argument base of a child, which is "" for the default base static.
func (t *resolver) base(c plan.Child) string {
	switch {
	case c.Base.Builtin == plan.Static:
		return ""
	case c.Base.Builtin != "":
		return c.Base.Builtin
	}
	if t.bases[c.Base.Name] == nil {
		t.bases[c.Base.Name] = map[arch.Platform]plan.Base{}
	}
	t.bases[c.Base.Name][c.Platform] = c.Base
	return ":" + c.Base.Name + baseEnding
}

// baseRules adds a rule for each base, with the platforms that images use.
func (t *resolver) baseRules() error {
	for _, base := range slices.Sorted(maps.Keys(t.bases)) {
		on := t.bases[base]
		platforms := slices.SortedFunc(
			maps.Keys(on),
			func(a, b arch.Platform) int { return cmp.Compare(arch.Order(a), arch.Order(b)) },
		)
		labels, order := map[string]any{}, []string(nil)
		kind, slim := debianKind, false
		t.reserveTarget(t.pkg, base+baseEnding, "base "+base)
		for _, p := range platforms {
			t.reserveTarget(t.pkg, base+baseEnding+"_"+p.Slug(), "base "+base)
			order = append(order, p.String())
			if d := on[p].Debian; d != nil {
				labels[p.String()] = "@" + basesRepo + "//" + base + ":" + d.Architecture
				slim = d.Slim
				continue
			}
			kind = baseImageKind
			image, err := repository(on[p].Image.Reference)
			if err != nil {
				return fmt.Errorf("base %s: %w", base, err)
			}
			repo := "multiarch_" + base + "_" + p.Slug()
			labels[p.String()] = "@" + repo
			t.pulls = append(t.pulls, baseImagePull{repo, image, on[p].Image.Manifest.Digest.String()})
		}
		r := rule.NewRule(kind, base+baseEnding)
		r.SetAttr("base", base)
		if kind == debianKind {
			r.SetAttr("packages", dict(labels, order, expr))
			if slim {
				r.SetAttr("slim", true)
			}
		} else {
			r.SetAttr("layouts", dict(labels, order, expr))
			r.SetAttr("lock", lock.Name)
		}
		t.add(t.pkg, r)
	}
	return nil
}

// repository returns the repository of a reference in the syntax of oci.pull.
func repository(reference string) (string, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return "", err
	}
	of := ref.Context().Name()
	if rest, ok := strings.CutPrefix(of, name.DefaultRegistry+"/"); ok {
		of = "docker.io/" + rest
	}
	if ref.Context().Scheme() == "http" {
		of = "http://" + of
	}
	return of, nil
}

// checkBases adds notes about statements that bases need in MODULE.bazel.
func (t *resolver) checkBases() {
	for _, r := range t.rules[t.pkg] {
		if r.Kind() == debianKind && !t.ws.repos[basesRepo] {
			t.note(
				"MODULE.bazel needs bases = use_extension(%q, \"bases\"), bases.lock(file = \"//%s:%s\") and use_repo(bases, %q)",
				t.ws.repo(module)+"//tools/rules:extensions.bzl",
				t.pkg,
				lock.Name,
				basesRepo,
			)
		}
	}
	if _, known := t.ws.apparent["rules_oci"]; len(t.pulls) > 0 && !known {
		t.note("MODULE.bazel needs bazel_dep(name = %q, version = ...) for the bases of //%s", "rules_oci", t.pkg)
	}
}
