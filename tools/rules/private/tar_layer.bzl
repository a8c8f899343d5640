"""multiarch_tar_layer: a layer from a tar archive."""

load(":layer.bzl", "arguments", "write_layer")
load(":providers.bzl", "LayerInfo")
load(":shared_layer.bzl", "SHARED_LAYER", "layer_os")
load(":transition.bzl", "portable_to_host")

_SUFFIX = {"gzip": [".tar", ".tar.gz", ".tgz"], "zstd": [".tar", ".tar.zst"]}

def _multiarch_tar_layer_impl(ctx):
    args = arguments(ctx, "layer")
    args.add("-content", "files")
    args.add("-image", ctx.label.name)
    args.add("-tar", ctx.file.tar)
    if ctx.attr.exact:
        if not any([ctx.file.tar.basename.endswith(end) for end in _SUFFIX[ctx.attr.compression]]):
            fail("layer {}: {} does not have compression {}; set compression, or remove exact = True".format(
                ctx.label,
                ctx.file.tar.short_path,
                ctx.attr.compression,
            ))
        args.add("-exact")
    layer = write_layer(ctx, ctx.label.name, args, [ctx.file.tar], ctx.attr.compression, layer_os(ctx))
    return [DefaultInfo(files = depset([layer.blob])), layer]

multiarch_tar_layer = rule(
    implementation = _multiarch_tar_layer_impl,
    doc = "Declares a layer from a tar archive, such as one of `pkg_tar`.",
    cfg = portable_to_host,
    attrs = {
        "tar": attr.label(
            mandatory = True,
            allow_single_file = [".tar", ".tar.gz", ".tgz", ".tar.zst"],
            doc = "The archive, which may be compressed with gzip or zstd.",
        ),
        "exact": attr.bool(
            doc = "Whether to keep the bytes of the archive. By default its entries are sorted, get the modification " +
                  "time 0 and no user names, and hard links become files.",
        ),
    } | SHARED_LAYER,
    provides = [LayerInfo],
)
