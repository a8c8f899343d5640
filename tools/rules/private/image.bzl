"""Image for one platform: a manifest and a config, built from layer descriptors without reading layers."""

load("//platforms:platforms.bzl", "PLATFORMS")
load(":layer.bzl", "ASSEMBLE", "LAYER_ENTRIES", "add_layer_entries", "arguments", "assemble", "base_tree", "write_layer")
load(":layout.bzl", "write_layout")
load(":manifest.bzl", "declare_manifest")
load(":program.bzl", "add_runfiles", "program_of")
load(":providers.bzl", "BaseInfo", "ImageInfo", "LayerInfo", "LayoutInfo", "PlatformLayersInfo", "RecipeInfo")
load(":status.bzl", "GIT_STATUS")
load(":transition.bzl", "TRANSITION", "to_platform")
load(":validate.bzl", "VALIDATE", "validate")
load(":variables.bzl", "expand")

def _binary(ctx):
    return ctx.attr.binary[0] if type(ctx.attr.binary) == "list" else ctx.attr.binary

def _program_layer(ctx, program, on):
    args = arguments(ctx, "layer")
    args.add("-content", "program")
    args.add("-image", ctx.attr.image)
    args.add("-platform", ctx.attr.platform)
    about = {"path": ctx.attr.binary_path, "binary": True, "mode": 493, "from": "@"}
    if ctx.attr.binary_capabilities:
        about["capabilities"] = ctx.attr.binary_capabilities
    entry = json.encode(about)

    # Bazel formats the path because path mapping may change it.
    args.add(program, format = "-entry=" + entry.replace("%", "%%").replace("\"@\"", "\"%s\""))
    beside = add_runfiles(ctx, args, _binary(ctx), program, ctx.attr.binary_path)
    more = add_layer_entries(ctx, args)
    return write_layer(
        ctx,
        ctx.label.name,
        args,
        depset([program] + more, transitive = beside),
        ctx.attr.compression,
        PLATFORMS[ctx.attr.platform].os,
        on,
    )

def _stack(ctx, below):
    """Declares the action that checks shared layers against the layers below them.

    Args:
        ctx: the rule's context.
        below: File, the file system tree below the shared layers, or None.

    Returns:
        File, the file system tree including the shared layers.
    """
    out = ctx.actions.declare_file(ctx.label.name + ".layers.tree.json")
    args = arguments(ctx, "stack")
    args.add("-image", ctx.attr.image)
    args.add("-platform", ctx.attr.platform)
    os = PLATFORMS[ctx.attr.platform].os
    inputs = []
    if below:
        args.add("-below", below)
        inputs.append(below)
    for target in ctx.attr.shared_layers:
        if target[LayerInfo].os != os:
            fail("image {}, {}: layer {} is for {}; {}".format(
                ctx.attr.image,
                ctx.attr.platform,
                target.label,
                target[LayerInfo].os,
                "remove portable = True from it, or leave it out with overrides",
            ))
        args.add("-name=" + str(target.label).replace("@@//", "//"))
        args.add("-layer", target[LayerInfo].tree)
        inputs.append(target[LayerInfo].tree)
    args.add("-tree", out)
    assemble(
        ctx,
        mnemonic = "MultiarchStack",
        message = "Checking layers of image %{label}",
        inputs = inputs,
        outputs = [out],
        args = args,
    )
    return out

def _settings(ctx):
    env = expand(ctx, "env", ctx.attr.env, literal_dollars = False)

    # None inherits the value from the base; an empty list clears it.
    return {
        "entrypoint": None if "entrypoint" in ctx.attr.inherits else ctx.attr.entrypoint,
        "cmd": None if "cmd" in ctx.attr.inherits else ctx.attr.cmd,
        "env": ["{}={}".format(k, v) for k, v in sorted(env.items())],
        "user": ctx.attr.user,
        "workdir": ctx.attr.workdir,
        "ports": sorted(ctx.attr.ports),
        "volumes": sorted({v: None for v in ctx.attr.volumes}.keys()),
        "labels": expand(ctx, "labels", ctx.attr.labels),
        "stopSignal": ctx.attr.stop_signal,
        "created": "1970-01-01T00:00:00Z" if ctx.attr.created in ["", "commit", "epoch"] else ctx.attr.created,
    }

def _image_impl(ctx):
    if ctx.attr.problems:
        fail("\n".join([""] + ctx.attr.problems))

    base = ctx.attr.base[BaseInfo] if ctx.attr.base else None
    layers = list(base.layers.get(ctx.attr.compression, [])) if base else []
    for target in ctx.attr.layers:
        if LayerInfo in target:
            layers.append(target[LayerInfo])
        else:
            layers.append(target[PlatformLayersInfo].layers[ctx.attr.platform])
    tree = layers[-1].tree if layers else base_tree(base, ctx.attr.compression)
    checks = []
    if ctx.attr.shared_layers:
        tree = _stack(ctx, tree)
        checks.append(tree)
        layers += [target[LayerInfo] for target in ctx.attr.shared_layers]
    if ctx.attr.binary:
        where = "image {}, {}".format(ctx.attr.image, ctx.attr.platform)
        layers.append(_program_layer(ctx, program_of(_binary(ctx), where), tree))

    settings = ctx.actions.declare_file(ctx.label.name + ".settings.json")
    of = {"settings": _settings(ctx), "annotations": expand(ctx, "annotations", ctx.attr.annotations)}
    if ctx.attr.healthcheck:
        of["healthcheck"] = json.decode(ctx.attr.healthcheck)
    ctx.actions.write(settings, json.encode(of))
    recipe = RecipeInfo(
        platform = ctx.attr.platform,
        settings = settings,
        base = base if base and base.config else None,
        layers = layers,
        commit_time = ctx.file._git_status if ctx.attr.created == "commit" else None,
        status = ctx.file._git_status if ctx.attr.uses_git else None,
        tag_prefix = ctx.attr.tag_prefix,
        allow = ctx.attr.allow,
        checks = checks,
    )

    args = arguments(ctx, "image")
    args.add("-image", ctx.attr.image)
    image, inputs, outputs = declare_manifest(ctx, ctx.label.name, recipe, args)
    assemble(
        ctx,
        mnemonic = "MultiarchImage",
        message = "Assembling image %{label}",
        inputs = inputs,
        outputs = outputs,
        args = args,
    )
    return [
        DefaultInfo(files = depset([image.manifest])),
        OutputGroupInfo(
            config = depset([image.config]),
            descriptor = depset([image.descriptor]),
            layers = depset([l.blob for l in layers]),
            _validation = depset([validate(ctx, image, ctx.attr.allow)]),
        ),
        recipe,
        image,
        LayoutInfo(
            name = ctx.attr.image,
            directory = write_layout(ctx, ctx.attr.image, image.descriptor, None, [image]),
        ),
    ]

image = rule(
    implementation = _image_impl,
    doc = "Image for one platform of an index.",
    attrs = {
        "image": attr.string(mandatory = True, doc = "Name of the index."),
        "platform": attr.string(mandatory = True, doc = "OCI platform."),
        "target": attr.label(doc = "Bazel platform to build the binary for."),
        "problems": attr.string_list(
            doc = "Errors that the macro found. They are reported when the image is analyzed, not when the package " +
                  "is loaded.",
        ),
        "binary": attr.label(allow_files = True, cfg = to_platform, doc = "The program."),
        "binary_path": attr.string(doc = "Path of the program in the image."),
        "binary_capabilities": attr.string(doc = "File capabilities of the program."),
        "base": attr.label(providers = [BaseInfo], doc = "Base below all layers."),
        "layers": attr.label_list(
            providers = [[LayerInfo], [PlatformLayersInfo]],
            doc = "Layers below the program's layer, from the bottom up.",
        ),
        "shared_layers": attr.label_list(
            providers = [LayerInfo],
            cfg = to_platform,
            doc = "Layers above those, which images with different bases share.",
        ),
        "compression": attr.string(default = "gzip", doc = "Compression of the program's layer."),
        "entrypoint": attr.string_list(doc = "Value in the config."),
        "cmd": attr.string_list(doc = "Value in the config."),
        "inherits": attr.string_list(doc = "Which of entrypoint and cmd are inherited from the base."),
        "env": attr.string_dict(doc = "Value in the config."),
        "workdir": attr.string(doc = "Value in the config."),
        "ports": attr.string_list(doc = "Value in the config."),
        "volumes": attr.string_list(doc = "Value in the config."),
        "labels": attr.string_dict(doc = "Value in the config."),
        "stop_signal": attr.string(doc = "Value in the config."),
        "created": attr.string(
            doc = "Creation time in the config: empty for the epoch, commit, or a time in RFC 3339.",
        ),
        "annotations": attr.string_dict(doc = "Annotations of the manifest."),
        "healthcheck": attr.string(doc = "Healthcheck in the config as JSON; empty inherits the base's."),
        "tag_prefix": attr.string(doc = "Prefix of the git tags that templates use."),
        "uses_git": attr.bool(doc = "Whether templates in env, labels or annotations refer to git."),
        "allow": attr.string_list(doc = "Kinds of verify findings to accept."),
    } | LAYER_ENTRIES | ASSEMBLE | VALIDATE | GIT_STATUS | TRANSITION,
    provides = [ImageInfo, LayoutInfo, RecipeInfo],
)
