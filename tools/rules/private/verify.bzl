"""verify_test: verifies all images of an index."""

load(":launch.bzl", "MULTIARCH", "launch")
load(":providers.bzl", "LayoutInfo")

def _verify_test_impl(ctx):
    image = ctx.attr.image[LayoutInfo]
    args = ["verify", struct(text = "oci-linked:%s:" + image.name, file = image.directory)]
    return [launch(ctx, args + ["--allow=" + kind for kind in ctx.attr.allow], [image.directory])]

verify_test = rule(
    implementation = _verify_test_impl,
    doc = "Checks, among other things, that descriptor, config and binaries of every image of an index have " +
          "the same platform; see `multiarch verify --help`.",
    attrs = {
        "image": attr.label(mandatory = True, providers = [LayoutInfo], doc = "The image index."),
        "allow": attr.string_list(doc = "Kinds of findings to accept."),
    } | MULTIARCH,
    test = True,
)
