"""The test that every image comes with."""

load(":launch.bzl", "MULTIARCH", "launch")
load(":providers.bzl", "LayoutInfo")

def _verify_test_impl(ctx):
    return [launch(ctx, [ctx.attr.image[LayoutInfo].directory])]

verify_test = rule(
    implementation = _verify_test_impl,
    doc = "Proves of every image of an index that its descriptor, its config and its binaries say the same platform, and more; " +
          "see `multiarch verify --help`.",
    attrs = {
        "image": attr.label(mandatory = True, providers = [LayoutInfo], doc = "The image index."),
        "data": attr.label_list(allow_files = True, doc = "What args name."),
    } | MULTIARCH,
    test = True,
)
