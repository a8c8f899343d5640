"""Layers: files in, a blob and its descriptor out, in one action that reads and writes every byte once."""

load(":providers.bzl", "FilesInfo", "LayerInfo")

ASSEMBLE = {
    "_assemble": attr.label(
        default = Label("//tools/assemble"),
        executable = True,
        cfg = "exec",
        doc = "The program that all actions run.",
    ),
}

def assemble(ctx, mnemonic, message, outputs, args, inputs = []):
    """Runs the assembler. There is no shell, no environment and no tool of the host's in it.

    Args:
        ctx: the rule's context.
        mnemonic: of the action.
        message: what Bazel shows while it runs.
        outputs: list of File.
        args: Args, begun by arguments.
        inputs: list or depset of File.
    """
    ctx.actions.run(
        executable = ctx.executable._assemble,
        arguments = [args],
        inputs = inputs,
        outputs = outputs,
        mnemonic = mnemonic,
        progress_message = message,
        env = {},
        execution_requirements = {
            "requires-worker-protocol": "json",
            "supports-path-mapping": "1",
            "supports-workers": "1",
        },
    )

def arguments(ctx, command):
    """Begins Args. They always go through a file: a command line is limited, a layer is not, and workers want it so.

    Args:
        ctx: the rule's context.
        command: the assembler's command.

    Returns:
        Args.
    """
    args = ctx.actions.args()
    args.use_param_file("@%s", use_always = True)
    args.set_param_file_format("multiline")
    args.add(command)
    return args

def write_layer(ctx, name, args, inputs, compression, os = "linux"):
    """Declares the action that writes a layer.

    Args:
        ctx: the rule's context.
        name: of the layer, below the rule's package.
        args: Args that say what is in it.
        inputs: list or depset of File that args name.
        compression: gzip or zstd.
        os: operating system of the image; the layers of windows have a form of their own.

    Returns:
        a LayerInfo.
    """
    blob = ctx.actions.declare_file(name + (".tar.zst" if compression == "zstd" else ".tar.gz"))
    descriptor = ctx.actions.declare_file(name + ".json")
    args.add("-blob", blob)
    args.add("-descriptor", descriptor)
    args.add("-compression", compression)
    args.add("-os", os)
    assemble(
        ctx,
        mnemonic = "MultiarchLayer",
        message = "Writing layer %{output}",
        inputs = inputs,
        outputs = [blob, descriptor],
        args = args,
    )
    return LayerInfo(blob = blob, descriptor = descriptor)

def _entry_of(group):
    def entry(file):
        path = group.to
        if group.into:
            path = group.to.rstrip("/") + "/" + (file.short_path[len(group.prefix):] if group.prefix else file.short_path)
        owner = {"uid": group.uid, "gid": group.gid}
        entries = [json.encode({"path": path, "from": file.path, "mode": group.mode} | owner)]
        base = group.owned_below.rstrip("/") + "/"
        if group.owned_below and path.startswith(base):
            names = path[len(base):].split("/")
            entries += [json.encode({"path": base + "/".join(names[:n]), "dir": True} | owner) for n in range(1, len(names))]
        return entries

    return entry

def _files_layer_impl(ctx):
    args = arguments(ctx, "layer")
    args.add("-holds", "files")
    args.add("-image", ctx.attr.image)
    if ctx.attr.platform:
        args.add("-platform", ctx.attr.platform)
    files = []
    for target in ctx.attr.files:
        for group in target[FilesInfo].groups:
            args.add_all(group.files, map_each = _entry_of(group), before_each = "-entry", allow_closure = True, uniquify = True)
            files.append(group.files)
    layer = write_layer(ctx, ctx.label.name, args, depset(transitive = files), ctx.attr.compression, ctx.attr.os)
    return [DefaultInfo(files = depset([layer.blob])), layer]

files_layer = rule(
    implementation = _files_layer_impl,
    doc = "A layer of source files. It stands outside of the images, so that all platforms that share it write it once.",
    attrs = {
        "files": attr.label_list(mandatory = True, providers = [FilesInfo], doc = "What is in it."),
        "compression": attr.string(default = "gzip", values = ["gzip", "zstd"], doc = "How it is compressed."),
        "os": attr.string(default = "linux", doc = "The operating system of the image."),
        "image": attr.string(doc = "The image it belongs to, for messages."),
        "platform": attr.string(doc = "The first platform that needs it, for messages."),
    } | ASSEMBLE,
    provides = [LayerInfo],
)

def _static_layer_impl(ctx):
    args = arguments(ctx, "layer")
    args.add("-holds", "static")
    layer = write_layer(ctx, ctx.label.name, args, [], ctx.attr.compression)
    return [DefaultInfo(files = depset([layer.blob])), layer]

static_layer = rule(
    implementation = _static_layer_impl,
    doc = "The layer of the static base, which is the same for every architecture.",
    attrs = {
        "compression": attr.string(default = "gzip", values = ["gzip", "zstd"], doc = "How it is compressed."),
    } | ASSEMBLE,
    provides = [LayerInfo],
)
