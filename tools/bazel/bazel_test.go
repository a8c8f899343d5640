package bazel_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	bzl "github.com/bazelbuild/buildtools/build"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/bazel"
)

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// TestThisRepositoryIsCurrent checks that the generated files of this repository, including //platforms, are current.
func TestThisRepositoryIsCurrent(t *testing.T) {
	if os.Getenv("TEST_SRCDIR") != "" {
		t.Skip("the sandbox does not contain the repository; //images:generated_test checks it")
	}
	files, _, err := resolve(filepath.Join("..", ".."))
	require.NoError(t, err)
	var paths []string
	for _, f := range files {
		paths = append(paths, f.Path)
		assert.Equal(t, string(f.Old), string(f.New), "%s is stale; run: go run ./tools/multiarch generate", f.Path)
	}
	for _, path := range []string{
		"images/BUILD.bazel", "images/push/BUILD.bazel", "platforms/BUILD.bazel", "platforms/platforms.bzl",
	} {
		assert.Contains(t, paths, path)
	}
}

// TestPlatformsMatchTable compares //platforms with the architecture table.
func TestPlatformsMatchTable(t *testing.T) {
	content, err := os.ReadFile("../../platforms/BUILD.bazel")
	require.NoError(t, err)
	build, err := bzl.ParseBuild("BUILD.bazel", content)
	require.NoError(t, err)
	constraints := map[string][]string{}
	cgo := map[string]bool{}
	for _, r := range build.Rules("platform") {
		if row, is := strings.CutSuffix(r.Name(), "_cgo"); is {
			assert.Equal(t, []string{":" + row}, r.AttrStrings("parents"))
			assert.Equal(t, []string{"@rules_go//go/toolchain:cgo_on"}, r.AttrStrings("constraint_values"))
			cgo[row] = true
			continue
		}
		constraints[r.Name()] = r.AttrStrings("constraint_values")
	}
	require.Len(t, constraints, len(arch.Table()))
	content, err = os.ReadFile("../../platforms/platforms.bzl")
	require.NoError(t, err)
	table, err := bzl.ParseBzl("platforms.bzl", content)
	require.NoError(t, err)
	var dict *bzl.DictExpr
	bzl.Walk(table, func(e bzl.Expr, _ []bzl.Expr) {
		if a, ok := e.(*bzl.AssignExpr); ok && dict == nil {
			dict, _ = a.RHS.(*bzl.DictExpr)
		}
	})
	require.NotNil(t, dict)
	require.Len(t, dict.List, len(arch.Table()))
	for i, row := range arch.Table() {
		assert.Contains(t, constraints[row.Slug()], "@platforms//os:"+row.OS)
		assert.Contains(t, constraints[row.Slug()], "@rules_go//go/toolchain:cgo_off")
		level := "@rules_go//go/constraints/" + row.Go.Arch + ":" + row.Go.Level.Value
		hasLevel := row.Go.Arch == "arm" || row.Go.Arch == "amd64"
		assert.Equal(t, hasLevel, slices.Contains(constraints[row.Slug()], level), row.String())
		assert.Equal(t, row.String(), dict.List[i].Key.(*bzl.StringExpr).Value, "in table order")
		entry := bzl.FormatString(dict.List[i].Value)
		assert.Contains(t, entry, `Label("//platforms:`+row.Slug()+`")`)
		assert.Equal(t, row.Triplet != "", cgo[row.Slug()], "cgo is supported if Debian has a C compiler")
		assert.Equal(t, row.Triplet != "", strings.Contains(entry, `Label("//platforms:`+row.Slug()+`_cgo")`))
	}
}

func TestConstraints(t *testing.T) {
	repo := func(module string) string { return "@" + module }
	find := func(s string) arch.Row {
		p, err := arch.Parse(s)
		require.NoError(t, err)
		row, _ := arch.Find(p)
		return row
	}
	for platform, want := range map[string]string{
		"linux/arm/v7": "@platforms//os:linux @platforms//cpu:armv7 " +
			"@rules_go//go/constraints/arm:7 @rules_go//go/toolchain:cgo_off",
		"linux/amd64/v3": "@platforms//os:linux @platforms//cpu:x86_64 " +
			"@rules_go//go/constraints/amd64:v3 @rules_go//go/toolchain:cgo_off",
		"linux/mips64le": "@platforms//os:linux @rules_go//go/toolchain:mips64le @rules_go//go/toolchain:cgo_off",
		"windows/arm64":  "@platforms//os:windows @platforms//cpu:aarch64 @rules_go//go/toolchain:cgo_off",
	} {
		got, err := bazel.Constraints(find(platform), repo)
		require.NoError(t, err)
		assert.Equal(t, want, strings.Join(got, " "))
	}
	for what, change := range map[string]func(*arch.Row){
		"GOOS=plan9":     func(r *arch.Row) { r.Go.OS = "plan9" },
		"GOARCH=sparc64": func(r *arch.Row) { r.Go.Arch = "sparc64" },
		"GOARM64=v9.0":   func(r *arch.Row) { r.Go.Level.Value = "v9.0" },
	} {
		row := find("linux/arm64")
		change(&row)
		_, err := bazel.Constraints(row, repo)
		var unsupported *bazel.UnsupportedPlatformError
		require.ErrorAs(t, err, &unsupported)
		assert.Contains(t, err.Error(), "linux/arm64")
		assert.Contains(t, err.Error(), what)
		assert.NotEmpty(t, unsupported.Hint())
	}
}

// many creates a workspace with n services for ten platforms.
func many(t testing.TB, n int, perPlatform bool) string {
	dir := t.TempDir()
	write := func(name, content string) {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	var s strings.Builder
	s.WriteString("version: 1\nregistry: registry.example.com/team\n" +
		"platforms: [linux/amd64, linux/arm64, linux/arm/v7, linux/arm/v6, linux/arm/v5, linux/386, linux/ppc64le, " +
		"linux/s390x, linux/riscv64, linux/loong64]\nimages:\n")
	for i := range n {
		fmt.Fprintf(&s, "  service-%d:\n    go: {package: ./svc%d}\n    files: [{from: svc%d/etc, to: /etc/app}]\n"+
			"    user: nonroot\n    env: {A: b}\n    ports: [8080/tcp]\n    overrides: {linux/arm/v5: {env: {A: c}}}\n", i, i, i)
		if perPlatform {
			s.WriteString("    push: {per_platform: \"{{.Repository}}-{{.Platform.Official}}\"}\n")
		}
		write(fmt.Sprintf("svc%d/main.go", i), "package main\n\nfunc main() {}\n")
		write(fmt.Sprintf("svc%d/BUILD.bazel", i),
			fmt.Sprintf("go_binary(\n    name = \"svc%d\",\n    embed = [\":svc%d_lib\"],\n)\n", i, i))
		write(fmt.Sprintf("svc%d/etc/conf", i), "x")
	}
	write("images/multiarch.yaml", s.String())
	write("MODULE.bazel", "module(name = \"many\")\n")
	return dir
}

// TestAThousandImages checks that generation works for many images. BenchmarkGenerate measures it.
func TestAThousandImages(t *testing.T) {
	dir := many(t, 1000, true)
	start := time.Now()
	got := generate(t, dir)
	t.Logf("fresh: %s", time.Since(start))
	require.Len(t, got, 1002)
	start = time.Now()
	again := generate(t, dir)
	t.Logf("again: %s", time.Since(start))
	delete(again, "notes")
	assert.Empty(t, again)
}

func BenchmarkGenerate(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		for _, perPlatform := range []bool{false, true} {
			dir := many(b, n, perPlatform)
			for _, state := range []string{"fresh", "again"} {
				b.Run(fmt.Sprintf("%dx10/perPlatform=%t/%s", n, perPlatform, state), func(b *testing.B) {
					for b.Loop() {
						files, _, err := resolve(dir)
						require.NoError(b, err)
						require.NotEmpty(b, files)
					}
				})
				generate(b, dir)
			}
		}
	}
}
