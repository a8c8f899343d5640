"""verify_test: verifies all images of an index."""

load(":launch.bzl", "MULTIARCH", "launch")
load(":providers.bzl", "LayoutInfo")

def _verify_test_impl(ctx):
    return [launch(ctx, [ctx.attr.image[LayoutInfo].directory])]

verify_test = rule(
    implementation = _verify_test_impl,
    doc = "Checks, among other things, that descriptor, config and binaries of every image of an index have the same platform; " +
          "see `multiarch verify --help`.",
    attrs = {
        "image": attr.label(mandatory = True, providers = [LayoutInfo], doc = "The image index."),
        "data": attr.label_list(allow_files = True, doc = "Files that args refer to."),
    } | MULTIARCH,
    test = True,
)
