package bazel

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/bazelbuild/bazel-gazelle/rule"
	bzl "github.com/bazelbuild/buildtools/build"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// Constraints of the modules rules_go and platforms (go/private/platforms.bzl in rules_go 0.62.0).
var (
	osConstraints = map[string]string{"linux": "//os:linux", "windows": "//os:windows"}

	cpuConstraints = map[string]string{
		"386":     "//cpu:x86_32",
		"amd64":   "//cpu:x86_64",
		"arm":     "//cpu:armv7",
		"arm64":   "//cpu:aarch64",
		"ppc64le": "//cpu:ppc64le",
		"s390x":   "//cpu:s390x",
		"riscv64": "//cpu:riscv64",
		"loong64": "//cpu:loongarch64",
	}
	// goConstraints are the architectures that have a constraint only in rules_go.
	goConstraints = []string{"mips", "mips64", "mips64le", "mipsle"}

	// levelConstraints are the architecture levels that rules_go has constraints for.
	levelConstraints = map[string]string{"GOARM": "arm:5 arm:6 arm:7", "GOAMD64": "amd64:v1 amd64:v2 amd64:v3 amd64:v4"}
	// defaultLevels are the defaults of the go command. See `go help environment`.
	defaultLevels = map[string]string{
		"GOARM64":   "v8.0",
		"GO386":     "sse2",
		"GOPPC64":   "power8",
		"GORISCV64": "rva20u64",
		"GOMIPS":    "hardfloat",
		"GOMIPS64":  "hardfloat",
	}
)

// cgoEnding is the suffix of platforms with cgo enabled.
const cgoEnding = "_cgo"

// UnsupportedPlatformError reports a platform that rules_go does not support.
type UnsupportedPlatformError struct {
	Platform arch.Platform
	What     string // unsupported setting, such as GOARM64=v9.0
}

func (e *UnsupportedPlatformError) Error() string {
	return fmt.Sprintf("rules_go does not support %s: it has no constraint for %s", e.Platform, e.What)
}

// Hint returns how to fix the error.
func (e *UnsupportedPlatformError) Hint() string {
	return "remove the platform from the images that Bazel builds, or use multiarch build instead"
}

// Constraints returns the constraint values of a platform in Bazel, or an *UnsupportedPlatformError. repo returns the
// prefix of labels in a module.
func Constraints(r arch.Row, repo func(module string) string) ([]string, error) {
	rulesGo, platforms := repo("rules_go"), repo("platforms")
	os, ok := osConstraints[r.Go.OS]
	if !ok {
		return nil, &UnsupportedPlatformError{r.Platform, "GOOS=" + r.Go.OS}
	}
	values := []string{platforms + os}
	switch cpu, ok := cpuConstraints[r.Go.Arch]; {
	case ok:
		values = append(values, platforms+cpu)
	case slices.Contains(goConstraints, r.Go.Arch):
		values = append(values, rulesGo+"//go/toolchain:"+r.Go.Arch)
	default:
		return nil, &UnsupportedPlatformError{r.Platform, "GOARCH=" + r.Go.Arch}
	}
	if l := r.Go.Level; l.Name != "" && defaultLevels[l.Name] != l.Value {
		level := r.Go.Arch + ":" + l.Value
		if !slices.Contains(strings.Fields(levelConstraints[l.Name]), level) {
			return nil, &UnsupportedPlatformError{r.Platform, l.Name + "=" + l.Value}
		}
		values = append(values, rulesGo+"//go/constraints/"+level)
	}
	return append(values, rulesGo+"//go/toolchain:cgo_off"), nil
}

// platformRules returns the rules of //platforms: one per row, and another with cgo enabled if there is a C compiler.
func platformRules(rows []arch.Row, repo func(module string) string) ([]*rule.Rule, error) {
	var rules []*rule.Rule
	for _, row := range rows {
		values, err := Constraints(row, repo)
		if err != nil {
			return nil, err
		}
		r := rule.NewRule(platformKind, row.Slug())
		r.SetAttr("constraint_values", list(values...))
		r.SetAttr("visibility", []string{"//visibility:public"})
		rules = append(rules, r)
		if row.Triplet == "" {
			continue
		}
		r = rule.NewRule(platformKind, row.Slug()+cgoEnding)
		r.SetAttr("parents", list(":"+row.Slug()))
		r.SetAttr("constraint_values", list(repo("rules_go")+"//go/toolchain:cgo_on"))
		r.SetAttr("visibility", []string{"//visibility:public"})
		rules = append(rules, r)
	}
	return rules, nil
}

// platformsTable returns the architecture table as a Starlark file.
func platformsTable(rows []arch.Row) []byte {
	table := &bzl.DictExpr{ForceMultiLine: true}
	for _, row := range rows {
		entry := &bzl.CallExpr{X: &bzl.Ident{Name: "struct"}, ForceMultiLine: true}
		for _, field := range [][2]string{
			{"slug", row.Slug()}, {"os", row.OS}, {"architecture", row.Architecture}, {"variant", row.Variant},
		} {
			entry.List = append(entry.List, &bzl.AssignExpr{LHS: &bzl.Ident{Name: field[0]}, Op: "=", RHS: text(field[1])})
		}
		label := func(name string) bzl.Expr {
			return &bzl.CallExpr{X: &bzl.Ident{Name: "Label"}, List: []bzl.Expr{text("//" + platformsPackage + ":" + name)}}
		}
		entry.List = append(entry.List, &bzl.AssignExpr{LHS: &bzl.Ident{Name: "label"}, Op: "=", RHS: label(row.Slug())})
		cgo := bzl.Expr(&bzl.Ident{Name: "None"})
		if row.Triplet != "" {
			cgo = label(row.Slug() + cgoEnding)
		}
		entry.List = append(entry.List, &bzl.AssignExpr{LHS: &bzl.Ident{Name: "cgo"}, Op: "=", RHS: cgo})
		table.List = append(table.List, &bzl.KeyValueExpr{Key: text(row.String()), Value: entry})
	}
	content := bzl.Format(&bzl.File{Type: bzl.TypeBzl, Stmt: []bzl.Expr{
		&bzl.StringExpr{
			Value: "The architecture table of tools/arch/table.go in Starlark.\n\n" +
				"Written by `multiarch generate`; do not edit.\n",
			TripleQuote: true,
		},
		&bzl.AssignExpr{LHS: &bzl.Ident{Name: "PLATFORMS"}, Op: "=", RHS: table},
	}})
	return bytes.Replace(content, []byte("\nPLATFORMS"), []byte("\n\nPLATFORMS"), 1)
}
