"""Image index and the manifests it lists: one action builds all of them from layer descriptors."""

load(":layer.bzl", "ASSEMBLE", "arguments", "assemble")
load(":layout.bzl", "write_layout")
load(":manifest.bzl", "declare_manifest")
load(":providers.bzl", "ImageInfo", "IndexInfo", "LayoutInfo", "RecipeInfo")
load(":status.bzl", "GIT_STATUS")
load(":variables.bzl", "expand")

def _index_impl(ctx):
    if ctx.attr.problems:
        fail("\n".join([""] + ctx.attr.problems))

    index = ctx.actions.declare_file(ctx.label.name + ".index.json")
    descriptor = ctx.actions.declare_file(ctx.label.name + ".descriptor.json")
    args = arguments(ctx, "index")
    args.add("-image", ctx.label.name)
    inputs, outputs, images = [], [index, descriptor, ctx.outputs.digest], []
    if ctx.attr.annotations:
        annotations = ctx.actions.declare_file(ctx.label.name + ".annotations.json")
        ctx.actions.write(annotations, json.encode(expand(ctx, "annotations", ctx.attr.annotations)))
        args.add("-annotations", annotations)
        inputs.append(annotations)
        if ctx.attr.uses_git:
            args.add("-status", ctx.file._git_status)
            inputs.append(ctx.file._git_status)
        if ctx.attr.tag_prefix:
            args.add("-tag-prefix", ctx.attr.tag_prefix)
    args.add("-index", index)
    args.add("-descriptor", descriptor)
    args.add("-digest", ctx.outputs.digest)

    # Do not depend on the files of the per-platform targets: one action for all manifests is faster than one per
    # platform, and the bytes are the same.
    for target in ctx.attr.images:
        recipe = target[RecipeInfo]
        args.add("--")
        name = "{}.{}".format(ctx.label.name, recipe.platform.replace("/", "_"))
        image, reads, writes = declare_manifest(ctx, name, recipe, args)
        images.append(image)
        inputs += reads
        outputs += writes
    assemble(
        ctx,
        mnemonic = "MultiarchIndex",
        message = "Assembling image index %{label}",
        inputs = depset(inputs),
        outputs = outputs,
        args = args,
    )
    return [
        DefaultInfo(files = depset([index])),
        OutputGroupInfo(
            configs = depset([i.config for i in images]),
            descriptor = depset([descriptor]),
            digest = depset([ctx.outputs.digest]),
            layers = depset([l.blob for i in images for l in i.layers]),
            manifests = depset([i.manifest for i in images]),
        ),
        IndexInfo(index = index, descriptor = descriptor, digest = ctx.outputs.digest, images = images),
        LayoutInfo(name = ctx.label.name, directory = write_layout(ctx, ctx.label.name, descriptor, index, images)),
    ]

index = rule(
    implementation = _index_impl,
    doc = "Image index. A single platform also gets an index, so that the published media type does not depend on " +
          "the number of platforms.",
    attrs = {
        "images": attr.label_list(providers = [ImageInfo, RecipeInfo], doc = "One image per platform."),
        "annotations": attr.string_dict(doc = "Annotations of the index."),
        "tag_prefix": attr.string(doc = "Prefix of the git tags that templates use."),
        "uses_git": attr.bool(doc = "Whether templates in annotations refer to git."),
        "digest": attr.output(mandatory = True, doc = "File with the digest of the index."),
        "problems": attr.string_list(doc = "Errors that the macro found."),
    } | ASSEMBLE | GIT_STATUS,
    provides = [IndexInfo, LayoutInfo],
)
