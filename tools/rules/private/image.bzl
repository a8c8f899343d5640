"""The image of one platform: a manifest and a config, made from the descriptors of layers alone."""

load("//platforms:platforms.bzl", "PLATFORMS")
load(":layer.bzl", "ASSEMBLE", "CREATED", "arguments", "assemble", "created", "tree_on", "write_layer")
load(":layout.bzl", "layout_of")
load(":manifest.bzl", "manifest_of")
load(":providers.bzl", "BaseInfo", "ImageInfo", "LayerInfo", "LayoutInfo", "RecipeInfo")
load(":status.bzl", "GIT_STATUS")
load(":transition.bzl", "to_platform")
load(":validate.bzl", "VALIDATE", "validate")

_MEND = "give a binary target that follows --platforms, such as a go_binary or a cc_binary, or one prebuilt file"

def _program(ctx):
    """Returns the File of the image's program, or None."""
    if not ctx.attr.binary:
        return None
    target = ctx.attr.binary[0] if type(ctx.attr.binary) == "list" else ctx.attr.binary
    program = target[DefaultInfo].files_to_run.executable
    if program:
        return program
    files = target[DefaultInfo].files.to_list()
    if len(files) != 1:
        fail("image {}, {}: binary {} is {} files and none of them is its executable; {}".format(
            ctx.attr.image,
            ctx.attr.platform,
            target.label,
            len(files),
            _MEND,
        ))
    return files[0]

def _program_layer(ctx, program, on):
    args = arguments(ctx, "layer")
    args.add("-holds", "program")
    args.add("-image", ctx.attr.image)
    args.add("-platform", ctx.attr.platform)
    about = {"path": ctx.attr.binary_path, "binary": True, "mode": 493, "from": "@"}
    if ctx.attr.binary_capabilities:
        about["capabilities"] = ctx.attr.binary_capabilities
    entry = json.encode(about)

    # The path is left to Bazel, which may map it.
    args.add(program, format = "-entry=" + entry.replace("%", "%%").replace("\"@\"", "\"%s\""))
    beside = _runfiles(ctx, program, args)
    more = created(ctx, args)
    return write_layer(
        ctx,
        ctx.label.name,
        args,
        depset([program] + more, transitive = beside),
        ctx.attr.compression,
        PLATFORMS[ctx.attr.platform].os,
        on,
    )

def _runfiles(ctx, program, args):
    """Adds what the program needs when it runs, to where runfiles libraries look for it: beside the program.

    Args:
        ctx: the rule's context.
        program: File.
        args: Args of the layer.

    Returns:
        list of depsets of File.
    """
    target = ctx.attr.binary[0] if type(ctx.attr.binary) == "list" else ctx.attr.binary
    runfiles = target[DefaultInfo].default_runfiles
    if not runfiles:
        return []
    if runfiles.empty_filenames.to_list():
        fail("image {}, {}: {} has runfiles that are empty and stand nowhere, such as {}; {}".format(
            ctx.attr.image,
            ctx.attr.platform,
            target.label,
            runfiles.empty_filenames.to_list()[0],
            "package it as files, or set legacy_create_init = False",
        ))
    to = ctx.attr.binary_path + ".runfiles/"
    main = ctx.workspace_name

    def entry(path, file):
        return "-entry=" + json.encode({"path": to + path, "from": file.path})

    def of_file(file):
        if file == program:
            return []
        return [entry(file.short_path[len("../"):] if file.short_path.startswith("../") else main + "/" + file.short_path, file)]

    def of_link(link):
        return [entry(main + "/" + link.path, link.target_file)]

    def of_root_link(link):
        return [entry(link.path, link.target_file)]

    for links, each in [(runfiles.symlinks, of_link), (runfiles.root_symlinks, of_root_link)]:
        args.add_all(links, map_each = each, allow_closure = True)
    args.add_all(runfiles.files, map_each = of_file, allow_closure = True)
    inputs = [
        runfiles.files,
        depset([l.target_file for l in runfiles.symlinks.to_list() + runfiles.root_symlinks.to_list()]),
    ]
    others = [f for f in runfiles.files.to_list() if f != program]
    mapping = getattr(target[DefaultInfo].files_to_run, "repo_mapping_manifest", None)
    if mapping and others:
        args.add_all([mapping], map_each = lambda file: [entry("_repo_mapping", file)], allow_closure = True)
        inputs.append(depset([mapping]))
    return inputs

def _settings(ctx):
    # Nothing at all leaves what the base says; an empty list takes it away.
    return {
        "entrypoint": None if "entrypoint" in ctx.attr.inherits else ctx.attr.entrypoint,
        "cmd": None if "cmd" in ctx.attr.inherits else ctx.attr.cmd,
        "env": ["{}={}".format(k, v) for k, v in sorted(ctx.attr.env.items())],
        "user": ctx.attr.user,
        "workdir": ctx.attr.workdir,
        "ports": sorted(ctx.attr.ports),
        "volumes": sorted({v: None for v in ctx.attr.volumes}.keys()),
        "labels": ctx.attr.labels,
        "stopSignal": ctx.attr.stop_signal,
        "created": "1970-01-01T00:00:00Z" if ctx.attr.created in ["", "commit", "epoch"] else ctx.attr.created,
    }

def _image_impl(ctx):
    if ctx.attr.problems:
        fail("\n".join([""] + ctx.attr.problems))

    base = ctx.attr.base[BaseInfo] if ctx.attr.base else None
    layers = list(base.layers.get(ctx.attr.compression, [])) if base else []
    layers += [target[LayerInfo] for target in ctx.attr.layers]
    program = _program(ctx)
    if program:
        layers.append(_program_layer(ctx, program, layers[-1].tree if layers else tree_on(base, ctx.attr.compression)))

    settings = ctx.actions.declare_file(ctx.label.name + ".settings.json")
    of = {"settings": _settings(ctx), "annotations": ctx.attr.annotations}
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
    )

    args = arguments(ctx, "image")
    args.add("-image", ctx.attr.image)
    image, inputs, outputs = manifest_of(ctx, ctx.label.name, recipe, args)
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
        LayoutInfo(name = ctx.attr.image, directory = layout_of(ctx, ctx.attr.image, image.descriptor, None, [image])),
    ]

image = rule(
    implementation = _image_impl,
    doc = "One image of an index.",
    attrs = {
        "image": attr.string(mandatory = True, doc = "The name of the index."),
        "platform": attr.string(mandatory = True, doc = "The OCI platform."),
        "target": attr.label(doc = "The Bazel platform that the binary is built for."),
        "problems": attr.string_list(doc = "What the macro found wrong. It is said when the image is asked for, not when the package is loaded."),
        "binary": attr.label(allow_files = True, cfg = to_platform, doc = "The program."),
        "binary_path": attr.string(doc = "Where the program goes."),
        "binary_capabilities": attr.string(doc = "File capabilities of the program."),
        "base": attr.label(providers = [BaseInfo], doc = "What is below all layers."),
        "layers": attr.label_list(providers = [LayerInfo], doc = "The layers below the program's, from the bottom up."),
        "compression": attr.string(default = "gzip", doc = "How the program's layer is compressed."),
        "entrypoint": attr.string_list(doc = "Of the config."),
        "cmd": attr.string_list(doc = "Of the config."),
        "inherits": attr.string_list(doc = "Which of entrypoint and cmd are left to the base."),
        "env": attr.string_dict(doc = "Of the config."),
        "workdir": attr.string(doc = "Of the config."),
        "ports": attr.string_list(doc = "Of the config."),
        "volumes": attr.string_list(doc = "Of the config."),
        "labels": attr.string_dict(doc = "Of the config."),
        "stop_signal": attr.string(doc = "Of the config."),
        "created": attr.string(doc = "Of the config: empty for the epoch, commit, or a time in RFC 3339."),
        "annotations": attr.string_dict(doc = "Of the manifest."),
        "healthcheck": attr.string(doc = "Of the config, in JSON; empty for the base's."),
        "tag_prefix": attr.string(doc = "The prefix of the git tags that templates look at."),
        "uses_git": attr.bool(doc = "Whether templates of env, labels or annotations are about the checkout."),
        "allow": attr.string_list(doc = "The kinds of problems that the image may have."),
        "_allowlist_function_transition": attr.label(default = "@bazel_tools//tools/allowlists/function_transition_allowlist"),
    } | CREATED | ASSEMBLE | VALIDATE | GIT_STATUS,
    provides = [ImageInfo, LayoutInfo, RecipeInfo],
)
