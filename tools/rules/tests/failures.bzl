"""What the rules refuse, and what they say then."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//tools/rules:defs.bzl", "ImageInfo", "multiarch_files", "multiarch_image")

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
    _refused_image("empty", "nothing is in it", platforms = amd64, base = "scratch")
    _refused_image("stray_override", "overrides of linux/arm64, which is not among its platforms", platforms = amd64, overrides = {"linux/arm64": {}})
    _refused_image("unknown_override", "unknown override \"port\"; known: annotations", platforms = amd64, overrides = {"linux/amd64": {"port": []}})
    _refused_files("relative", "to = \"etc\" is not absolute", srcs = ["etc/a"], to = "etc")
    _refused_files("not_octal", "mode = \"9\" is not octal", srcs = ["etc/a"], to = "/etc/a", mode = "9")
    _refused_files("named_owner", "is not uid or uid:gid in numbers", srcs = ["etc/a"], to = "/etc/a", owner = "root")
    _refused_files("elsewhere", "is not below tools/rules/tests/sub/", srcs = ["etc/a"], to = "/etc/", strip_prefix = "sub")

def _actions_impl(ctx):
    env = analysistest.begin(ctx)
    by = {}
    for action in analysistest.target_actions(env):
        by.setdefault(action.mnemonic, []).append(action)
    asserts.equals(env, 1, len(by["MultiarchImage"]))
    for file in by["MultiarchImage"][0].inputs.to_list():
        asserts.false(env, file.basename.endswith((".tar.gz", ".tar.zst")), "a manifest is made of descriptors, not of " + file.path)
    image = analysistest.target_under_test(env)[ImageInfo]
    asserts.equals(env, ["static_gzip", "plain.files", ctx.attr.program], [l.blob.basename[:-len(".tar.gz")] for l in image.layers])
    return analysistest.end(env)

actions_test = analysistest.make(_actions_impl, attrs = {"program": attr.string()})
