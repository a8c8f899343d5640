"""What the rules refuse, and what they say then."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("@bazel_skylib//rules:build_test.bzl", "build_test")
load("@bazel_skylib//rules:write_file.bzl", "write_file")
load("//tools/rules:defs.bzl", "multiarch_base_image", "multiarch_debian", "multiarch_files", "multiarch_image")
load("//tools/rules/private:base.bzl", "debian_packages")

def _fails_impl(ctx):
    env = analysistest.begin(ctx)
    asserts.expect_failure(env, ctx.attr.says)
    return analysistest.end(env)

_fails_test = analysistest.make(_fails_impl, expect_failure = True, attrs = {"says": attr.string()})

def _refused_image(name, says, **kwargs):
    multiarch_image(name = name, tags = ["manual"], **kwargs)
    _fails_test(name = name + "_fails_test", target_under_test = name, says = says)

def _refused_files(name, says, **kwargs):
    multiarch_files(name = name, tags = ["manual"], **kwargs)
    _fails_test(name = name + "_fails_test", target_under_test = name, says = says)

def refusals():
    """Declares a test for every refusal."""
    amd64 = ["linux/amd64"]
    _refused_image("no_platform", "image no_platform: it has no platform", platforms = [])
    _refused_image("unknown_platform", "image unknown_platform: unknown platform \"linux/vax\"; known: linux/amd64", platforms = ["linux/vax"])
    _refused_image("twice", "image twice: platform linux/amd64 is given twice", platforms = amd64 + amd64)
    _refused_image("unknown_base", "image unknown_base, linux/amd64: unknown base \"alpine\"; known: scratch, static", platforms = amd64, base = "alpine")
    _refused_image("static_windows", "base static has no windows/amd64", platforms = ["windows/amd64"])
    _refused_image("unknown_compression", "unknown compression \"xz\"; known: gzip, zstd", platforms = amd64, compression = "xz")
    _refused_image("cgo_windows", "image cgo_windows, windows/arm64: no platform has cgo on there", platforms = ["windows/arm64"], base = "scratch", binary = "script", cgo = True)
    _refused_image("empty", "nothing is in it", platforms = amd64, base = "scratch")
    _refused_image("stray_override", "overrides of linux/arm64, which is not among its platforms", platforms = amd64, overrides = {"linux/arm64": {}})
    _refused_image("unknown_override", "unknown override \"port\"; known: allow, annotations", platforms = amd64, overrides = {"linux/amd64": {"port": []}})
    _refused_files("relative", "to = \"etc\" is not absolute", srcs = ["etc/a"], to = "etc")
    _refused_files("not_octal", "mode = \"9\" is not octal", srcs = ["etc/a"], to = "/etc/a", mode = "9")
    _refused_files("named_owner", "is not uid or uid:gid in numbers", srcs = ["etc/a"], to = "/etc/a", owner = "root")
    _refused_files("elsewhere", "is not below tools/rules/tests/sub/", srcs = ["etc/a"], to = "/etc/", strip_prefix = "sub")
    _refused_files("relative_owned", "owned_below = \"etc\" is not absolute; write \"/etc\"", srcs = ["etc/a"], to = "/etc/", owned_below = "etc")
    _refused_files("three_owners", "is not uid or uid:gid in numbers", srcs = ["etc/a"], to = "/etc/a", owner = "1:2:3")

    # What only a platform is refused for is said where the index and where that image is asked for.
    _refused_image(
        "override_base",
        "image override_base, linux/arm64: unknown base \"alpine\"",
        platforms = ["linux/arm64", "linux/amd64"],
        overrides = {"linux/arm64": {"base": "alpine"}},
    )
    build_test(name = "override_base_sibling_builds_test", targets = ["override_base_linux_amd64"])
    _fails_test(
        name = "override_base_child_fails_test",
        target_under_test = "override_base_linux_arm64",
        says = "image override_base, linux/arm64: unknown base \"alpine\"; known: scratch, static",
    )
    multiarch_base_image(name = "vax_image", layouts = {"linux/vax": ":plain_linux_amd64.layout"}, tags = ["manual"])
    _fails_test(name = "vax_image_fails_test", target_under_test = "vax_image_linux_vax", says = "base vax_image: unknown platform \"linux/vax\"; known: linux/amd64")
    write_file(name = "no_packages_list", out = "no_packages.json", content = ["[]"])
    debian_packages(name = "no_packages", list = "no_packages.json")
    multiarch_debian(name = "vax_packages", packages = {"linux/vax": ":no_packages"}, tags = ["manual"])
    _fails_test(name = "vax_packages_fails_test", target_under_test = "vax_packages_linux_vax", says = "base vax_packages: unknown platform \"linux/vax\"; known: linux/amd64")
    multiarch_base_image(name = "no_layout", layouts = {"linux/amd64": "etc/a"}, tags = ["manual"])
    _fails_test(
        name = "no_layout_fails_test",
        target_under_test = "no_layout_linux_amd64",
        says = "base no_layout, linux/amd64: @@//tools/rules/tests:etc/a is 1 files, and not the directory of an OCI image layout; give an image of oci.pull",
    )
    native.filegroup(name = "two_files", srcs = ["etc/a", "etc/sub/b"])
    multiarch_image(name = "many", binary = ":two_files", platforms = amd64, tags = ["manual"])
    _fails_test(
        name = "many_fails_test",
        target_under_test = "many_linux_amd64",
        says = "image many, linux/amd64: binary @@//tools/rules/tests:two_files is 2 files and none of them is its executable; give a binary target",
    )
