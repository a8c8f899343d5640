"""The image index, and the manifests it lists: small JSON files, made from the descriptors of layers in one action."""

load(":layer.bzl", "ASSEMBLE", "arguments", "assemble")
load(":layout.bzl", "layout_of")
load(":manifest.bzl", "manifest_of")
load(":providers.bzl", "ImageInfo", "IndexInfo", "LayoutInfo", "RecipeInfo")
load(":status.bzl", "GIT_STATUS")

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
        ctx.actions.write(annotations, json.encode(ctx.attr.annotations))
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

    # Not the files of the images' own targets: those are for who wants one image. Making all in one action is faster than
    # starting a program for each, and the bytes are the same.
    for target in ctx.attr.images:
        recipe = target[RecipeInfo]
        args.add("--")
        image, reads, writes = manifest_of(ctx, "{}.{}".format(ctx.label.name, recipe.platform.replace("/", "_")), recipe, args)
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
        LayoutInfo(name = ctx.label.name, directory = layout_of(ctx, ctx.label.name, descriptor, index, images)),
    ]

index = rule(
    implementation = _index_impl,
    doc = "An image index. There is one even for a single platform: what is published does not change its kind with their number.",
    attrs = {
        "images": attr.label_list(providers = [ImageInfo, RecipeInfo], doc = "One image a platform."),
        "annotations": attr.string_dict(doc = "Of the index."),
        "tag_prefix": attr.string(doc = "The prefix of the git tags that templates look at."),
        "uses_git": attr.bool(doc = "Whether templates of annotations are about the checkout."),
        "digest": attr.output(mandatory = True, doc = "The file that has its digest."),
        "problems": attr.string_list(doc = "What the macro found wrong."),
    } | ASSEMBLE | GIT_STATUS,
    provides = [IndexInfo, LayoutInfo],
)
