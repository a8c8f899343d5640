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

// The words of rules_go and of the module platforms (go/private/platforms.bzl of rules_go 0.62.0).
var (
	osConstraints = map[string]string{"linux": "//os:linux", "windows": "//os:windows"}

	cpuConstraints = map[string]string{
		"386": "//cpu:x86_32", "amd64": "//cpu:x86_64", "arm": "//cpu:armv7", "arm64": "//cpu:aarch64", "ppc64le": "//cpu:ppc64le",
		"s390x": "//cpu:s390x", "riscv64": "//cpu:riscv64", "loong64": "//cpu:loongarch64",
	}
	// goConstraints are the architectures that only rules_go has a constraint for.
	goConstraints = []string{"mips", "mips64", "mips64le", "mipsle"}

	// levelConstraints are the levels that rules_go can be told.
	levelConstraints = map[string]string{"GOARM": "arm:5 arm:6 arm:7", "GOAMD64": "amd64:v1 amd64:v2 amd64:v3 amd64:v4"}
	// defaultLevels are what the go command does without being told. See `go help environment`.
	defaultLevels = map[string]string{
		"GOARM64": "v8.0", "GO386": "sse2", "GOPPC64": "power8", "GORISCV64": "rva20u64", "GOMIPS": "hardfloat", "GOMIPS64": "hardfloat",
	}
)

// cgoEnding is what the platform with cgo on has behind the slug of its row.
const cgoEnding = "_cgo"

// UnsupportedError is returned for a platform that rules_go has no words for.
type UnsupportedError struct {
	Platform arch.Platform
	What     string // such as GOARM64=v9.0
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("rules_go cannot be told to build for %s: it has no constraint for %s", e.Platform, e.What)
}

// Hint says what builds for it.
func (e *UnsupportedError) Hint() string {
	return "leave the platform out of what Bazel builds; multiarch build needs no Bazel"
}

// Constraints returns the constraint values of a platform in Bazel, or an *UnsupportedError. repo returns how a label
// that leads into a module starts.
func Constraints(r arch.Row, repo func(module string) string) ([]string, error) {
	rulesGo, platforms := repo("rules_go"), repo("platforms")
	os, ok := osConstraints[r.Go.OS]
	if !ok {
		return nil, &UnsupportedError{r.Platform, "GOOS=" + r.Go.OS}
	}
	values := []string{platforms + os}
	switch cpu, ok := cpuConstraints[r.Go.Arch]; {
	case ok:
		values = append(values, platforms+cpu)
	case slices.Contains(goConstraints, r.Go.Arch):
		values = append(values, rulesGo+"//go/toolchain:"+r.Go.Arch)
	default:
		return nil, &UnsupportedError{r.Platform, "GOARCH=" + r.Go.Arch}
	}
	if l := r.Go.Level; l.Name != "" && defaultLevels[l.Name] != l.Value {
		level := r.Go.Arch + ":" + l.Value
		if !slices.Contains(strings.Fields(levelConstraints[l.Name]), level) {
			return nil, &UnsupportedError{r.Platform, l.Name + "=" + l.Value}
		}
		values = append(values, rulesGo+"//go/constraints/"+level)
	}
	return append(values, rulesGo+"//go/toolchain:cgo_off"), nil
}

// platformRules are the rules of //platforms: one a row, and where there is a C compiler for it, one more with cgo on.
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

// platformsTable is the architecture table as Starlark wants it.
func platformsTable(rows []arch.Row) []byte {
	table := &bzl.DictExpr{ForceMultiLine: true}
	for _, row := range rows {
		entry := &bzl.CallExpr{X: &bzl.Ident{Name: "struct"}, ForceMultiLine: true}
		for _, field := range [][2]string{{"slug", row.Slug()}, {"os", row.OS}, {"architecture", row.Architecture}, {"variant", row.Variant}} {
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
		&bzl.StringExpr{Value: "The architecture table: tools/arch/table.go for Starlark.\n\nWritten by `multiarch generate`; do not edit.\n", TripleQuote: true},
		&bzl.AssignExpr{LHS: &bzl.Ident{Name: "PLATFORMS"}, Op: "=", RHS: table},
	}})
	return bytes.Replace(content, []byte("\nPLATFORMS"), []byte("\n\nPLATFORMS"), 1)
}
