"""multiarch_layer: a layer that images share."""

load(":files_layer.bzl", "add_files", "files_groups")
load(":layer.bzl", "ASSEMBLE", "BUILT", "add_layer_entries", "arguments", "write_layer")
load(":program.bzl", "add_runfiles", "program_of")
load(":providers.bzl", "LayerInfo")
load(":transition.bzl", "TRANSITION", "portable_to_host")

def layer_os(ctx):
    """Returns the operating system of the images with a layer.

    Args:
        ctx: the rule's context, with the attributes in SHARED_LAYER.

    Returns:
        linux or windows.
    """
    windows = ctx.attr._windows[platform_common.ConstraintValueInfo]
    return "windows" if ctx.target_platform_has_constraint(windows) and not ctx.attr.portable else "linux"

SHARED_LAYER = {
    "compression": attr.string(
        default = "gzip",
        values = ["gzip", "zstd"],
        doc = "Compression of the layer.",
    ),
    "portable": attr.bool(
        doc = "Whether the layer is the same for all platforms. It is built only once, for the host, and all images " +
              "share it. By default it is built for each platform.",
    ),
    "_windows": attr.label(default = "@platforms//os:windows"),
} | ASSEMBLE | TRANSITION

def _multiarch_layer_impl(ctx):
    where = "layer {}".format(ctx.label)
    if not ctx.attr.files and not ctx.attr.binaries and not ctx.attr.directories and not ctx.attr.links:
        fail(where + ": the layer is empty; set files, binaries, directories or links")
    args = arguments(ctx, "layer")
    args.add("-content", "files")
    args.add("-image", ctx.label.name)
    inputs = add_files(args, files_groups(where + ": ", ctx.attr.files))
    for target, path in ctx.attr.binaries.items():
        if not path.startswith("/"):
            fail("{}: the path of {} must be absolute; use \"/{}\"".format(where, target.label, path))
        program = program_of(target, where)
        entry = json.encode({"path": path, "mode": 493, "from": "@"} | BUILT)

        # Bazel formats the path because path mapping may change it.
        args.add(program, format = "-entry=" + entry.replace("%", "%%").replace("\"@\"", "\"%s\""))
        inputs.append(depset([program]))
        inputs += add_runfiles(ctx, args, target, program, path)
    add_layer_entries(ctx, args)
    layer = write_layer(
        ctx,
        ctx.label.name,
        args,
        depset(transitive = inputs),
        ctx.attr.compression,
        layer_os(ctx),
    )
    return [DefaultInfo(files = depset([layer.blob])), layer]

multiarch_layer = rule(
    implementation = _multiarch_layer_impl,
    doc = "Declares a layer that images share, with files, programs, directories and links.",
    cfg = portable_to_host,
    attrs = {
        "files": attr.label_list(
            allow_files = True,
            doc = "Labels of `multiarch_files`.",
        ),
        "binaries": attr.label_keyed_string_dict(
            allow_files = True,
            doc = "Maps programs, in any language, to their paths in the image: `{\"//cmd/ctl\": \"/usr/bin/ctl\"}`. " +
                  "Their runfiles are added in the directory path + `.runfiles`.",
        ),
        "directories": attr.string_dict(
            doc = "Directories to create, with owner and mode: `{\"/var/lib/data\": \"65532:65532 0700\"}`. Default: " +
                  "root and 0755.",
        ),
        "links": attr.string_dict(
            doc = "Symbolic links to create: `{\"/usr/bin/sh\": \"busybox\"}`.",
        ),
    } | SHARED_LAYER,
    provides = [LayerInfo],
)
