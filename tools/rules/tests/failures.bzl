"""Tests of the error messages of the rules."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("@bazel_skylib//rules:build_test.bzl", "build_test")
load("@bazel_skylib//rules:write_file.bzl", "write_file")
load("//tools/rules:defs.bzl", "multiarch_base_image", "multiarch_debian", "multiarch_files", "multiarch_image")
load("//tools/rules/private:base.bzl", "debian_packages")

def _fails_impl(ctx):
    env = analysistest.begin(ctx)
    asserts.expect_failure(env, ctx.attr.message)
    return analysistest.end(env)

_fails_test = analysistest.make(_fails_impl, expect_failure = True, attrs = {"message": attr.string()})

def _refused_image(name, message, **kwargs):
    multiarch_image(name = name, tags = ["manual"], **kwargs)
    _fails_test(name = name + "_fails_test", target_under_test = name, message = message)

def _refused_files(name, message, **kwargs):
    multiarch_files(name = name, tags = ["manual"], **kwargs)
    _fails_test(name = name + "_fails_test", target_under_test = name, message = message)

def refusals():
    """Declares one test per error message."""
    amd64 = ["linux/amd64"]
    _refused_image("no_platform", "image no_platform: platforms is required; set platforms = ", platforms = [])
    _refused_image(
        "unknown_platform",
        "image unknown_platform: unknown platform \"linux/vax\"; known: linux/amd64",
        platforms = ["linux/vax"],
    )
    _refused_image(
        "unknown_variable",
        "labels: unknown variable in \"$(MISSING) $$(B)\"; set it with --define=MISSING=... or toolchains",
        platforms = amd64,
        labels = {"a": "$(MISSING) $$(B)"},
    )
    _refused_image("twice", "image twice: duplicate platform linux/amd64", platforms = amd64 + amd64)
    _refused_image(
        "unknown_base",
        "image unknown_base, linux/amd64: unknown base \"alpine\"; known: scratch, static",
        platforms = amd64,
        base = "alpine",
    )
    _refused_image("static_windows", "base static does not support windows/amd64", platforms = ["windows/amd64"])
    _refused_image(
        "unknown_compression",
        "unknown compression \"xz\"; known: gzip, zstd",
        platforms = amd64,
        compression = "xz",
    )
    _refused_image(
        "cgo_windows",
        "image cgo_windows, windows/arm64: cgo is not supported",
        platforms = ["windows/arm64"],
        base = "scratch",
        binary = "script",
        cgo = True,
    )
    _refused_image(
        "empty",
        "image empty, linux/amd64: the image is empty; set binary",
        platforms = amd64,
        base = "scratch",
    )
    _refused_image(
        "stray_override",
        "overrides: linux/arm64 is not a platform of the image; platforms: linux/amd64",
        platforms = amd64,
        overrides = {"linux/arm64": {}},
    )
    _refused_image(
        "unknown_override",
        "unknown override \"port\"; known: allow, annotations",
        platforms = amd64,
        overrides = {"linux/amd64": {"port": []}},
    )
    _refused_image(
        "unknown_argument",
        "image unknown_argument: unknown argument \"entry_point\"; known: allow, annotations",
        platforms = amd64,
        entry_point = ["x"],
    )
    _refused_image(
        "platform_label",
        "image platform_label: platforms: \":mine\" is a label; write {\"linux/amd64\": \":mine\"}",
        platforms = [":mine"],
    )
    _refused_image("platform_string", "platforms must be a list; write [\"linux/amd64\"]", platforms = "linux/amd64")
    _refused_image(
        "selected_platforms",
        "image selected_platforms: platforms cannot be a select(); write a list",
        platforms = select({"//conditions:default": amd64}),
    )
    for key in ["base", "env", "labels", "user", "volumes", "workdir"]:
        _refused_image(
            "selected_" + key,
            "image selected_{0}: {0} cannot be a select(); set it per platform in overrides".format(key),
            platforms = amd64,
            **{key: select({"//conditions:default": "x"})}
        )
    _refused_image(
        "selected_override",
        "overrides: linux/amd64: base cannot be a select(); write the value",
        platforms = amd64,
        overrides = {"linux/amd64": {"base": select({"//conditions:default": "static"})}},
    )
    write_file(name = "write_archive", out = "archive.tar", content = [])
    multiarch_image(name = "archive", files = ["archive.tar"], platforms = amd64, tags = ["manual"])
    _fails_test(
        name = "archive_fails_test",
        target_under_test = "archive_linux_amd64",
        message = "image archive: files: @@//tools/rules/tests:archive.tar is not a multiarch_files; add the archive " +
                  "as a layer: multiarch_tar_layer(",
    )
    multiarch_image(name = "plain_file", files = ["etc/a"], platforms = amd64, tags = ["manual"])
    _fails_test(
        name = "plain_file_fails_test",
        target_under_test = "plain_file_linux_amd64",
        message = "files: @@//tools/rules/tests:etc/a is not a multiarch_files; set its path in the image: " +
                  "multiarch_files(name = ",
    )
    multiarch_image(
        name = "portable_windows",
        base = "scratch",
        layers = [":common"],
        platforms = ["windows/amd64"],
        tags = ["manual"],
    )
    _fails_test(
        name = "portable_windows_fails_test",
        target_under_test = "portable_windows_windows_amd64",
        message = "image portable_windows, windows/amd64: layer @@//tools/rules/tests:common is for linux; remove",
    )
    _refused_files("relative", "to = \"etc\" must be an absolute path; use \"/etc\"", srcs = ["etc/a"], to = "etc")
    _refused_files(
        "not_octal",
        "invalid mode \"9\": expected an octal number",
        srcs = ["etc/a"],
        to = "/etc/a",
        mode = "9",
    )
    _refused_files(
        "named_owner",
        "invalid owner \"root\": expected a numeric uid or uid:gid",
        srcs = ["etc/a"],
        to = "/etc/a",
        owner = "root",
    )
    _refused_files(
        "outside_prefix",
        "is not below tools/rules/tests/sub/",
        srcs = ["etc/a"],
        to = "/etc/",
        strip_prefix = "sub",
    )
    _refused_files(
        "relative_owned",
        "owned_below = \"etc\" must be an absolute path; use \"/etc\"",
        srcs = ["etc/a"],
        to = "/etc/",
        owned_below = "etc",
    )
    _refused_files(
        "three_owners",
        "invalid owner \"1:2:3\": expected a numeric uid or uid:gid",
        srcs = ["etc/a"],
        to = "/etc/a",
        owner = "1:2:3",
    )

    # Errors about one platform are reported for the index and for that platform's image, but not for other images.
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
        message = "image override_base, linux/arm64: unknown base \"alpine\"; known: scratch, static",
    )
    multiarch_base_image(name = "vax_image", layouts = {"linux/vax": ":plain_linux_amd64.layout"}, tags = ["manual"])
    _fails_test(
        name = "vax_image_fails_test",
        target_under_test = "vax_image_linux_vax",
        message = "base vax_image: unknown platform \"linux/vax\"; known: linux/amd64",
    )
    write_file(name = "no_packages_list", out = "no_packages.json", content = ["[]"])
    debian_packages(name = "no_packages", list = "no_packages.json")
    multiarch_debian(name = "vax_packages", packages = {"linux/vax": ":no_packages"}, tags = ["manual"])
    _fails_test(
        name = "vax_packages_fails_test",
        target_under_test = "vax_packages_linux_vax",
        message = "base vax_packages: unknown platform \"linux/vax\"; known: linux/amd64",
    )
    multiarch_base_image(name = "no_layout", layouts = {"linux/amd64": "etc/a"}, tags = ["manual"])
    _fails_test(
        name = "no_layout_fails_test",
        target_under_test = "no_layout_linux_amd64",
        message = "base no_layout, linux/amd64: expected @@//tools/rules/tests:etc/a to be one OCI image layout " +
                  "directory, got 1 file(s); use an image of oci.pull",
    )
    native.filegroup(name = "two_files", srcs = ["etc/a", "etc/sub/b"])
    multiarch_image(name = "many", binary = ":two_files", platforms = amd64, tags = ["manual"])
    _fails_test(
        name = "many_fails_test",
        target_under_test = "many_linux_amd64",
        message = "image many, linux/amd64: binary @@//tools/rules/tests:two_files has no executable and " +
                  "provides 2 files; use a binary target",
    )
