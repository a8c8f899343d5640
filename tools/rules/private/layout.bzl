"""OCI image layouts: directories for tools that read files, such as rules_oci, crane and skopeo."""

load(":layer.bzl", "arguments", "assemble")
load(":providers.bzl", "LayoutInfo")

def write_layout(ctx, name, root, index, images):
    """Declares the action that copies an image or index into a layout directory. It runs only if the layout is built.

    Args:
        ctx: the rule's context.
        name: name of the image in the layout.
        root: File, the descriptor of the image or index.
        index: File, the image index, or None if the layout has a single image.
        images: list of ImageInfo.

    Returns:
        File, the directory.
    """
    out = ctx.actions.declare_directory(ctx.label.name + ".layout")
    args = arguments(ctx, "layout")
    args.add("-name", name)
    args.add("-root", root)
    inputs = [root]
    if index:
        args.add("-index", index)
        inputs.append(index)
    for image in images:
        args.add("-child", image.descriptor)
        args.add("-manifest", image.manifest)
        args.add("-config", image.config)
        inputs += [image.descriptor, image.manifest, image.config]
    seen = {}
    for layer in [l for i in images for l in i.layers]:
        if layer.blob in seen:
            continue
        seen[layer.blob] = None
        args.add("-layer", layer.descriptor)
        args.add("-blob", layer.blob)
        inputs += [layer.descriptor, layer.blob]

    for base in [i.base for i in images if i.base]:
        if base.layout in seen:
            continue
        seen[base.layout] = None
        args.add("-base", base.config)
        args.add_all([base.layout], before_each = "-base-layout", expand_directories = False)
        inputs += [base.config, base.layout]

    # add_all instead of add: Args.add does not accept directories.
    args.add_all([out], before_each = "-out", expand_directories = False)
    assemble(
        ctx,
        mnemonic = "MultiarchLayout",
        message = "Writing OCI layout %{output}",
        inputs = inputs,
        outputs = [out],
        args = args,
    )
    return out

def _layout_impl(ctx):
    info = ctx.attr.image[LayoutInfo]
    return [DefaultInfo(files = depset([info.directory]), runfiles = ctx.runfiles([info.directory])), info]

layout = rule(
    implementation = _layout_impl,
    doc = "OCI image layout of an image or index.",
    attrs = {"image": attr.label(mandatory = True, providers = [LayoutInfo], doc = "The image or index.")},
    provides = [LayoutInfo],
)
