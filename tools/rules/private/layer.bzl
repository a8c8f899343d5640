"""Layers: files in, a blob and its descriptor out, in one action that reads and writes every byte once."""

load(":providers.bzl", "BaseInfo", "FilesInfo", "LayerInfo")

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

def tree_on(base, compression):
    """Returns the file system that a layer is laid over.

    Args:
        base: the BaseInfo or LayerInfo of what is below; None for nothing.
        compression: of the image's layers.

    Returns:
        File, or None if there is nothing below.
    """
    if not base or hasattr(base, "blob"):
        return base.tree if base else None
    return base.tree or base.layers[compression][-1].tree

def created(ctx, args):
    """Adds to args the directories and links that a layer creates besides its files.

    Args:
        ctx: the rule's context, with the attributes of CREATED.
        args: Args of the layer.

    Returns:
        list of File, the inputs this takes.
    """
    for path, about in sorted(ctx.attr.directories.items()):
        args.add("-directory", json.encode({"path": path} | _about(ctx, path, about)))
    for path, to in sorted(ctx.attr.links.items()):
        args.add("-link", json.encode({"path": path, "to": to}))
    args.add_all(ctx.attr.needed, before_each = "-needed")
    if ctx.attr.needed and ctx.attr.user:
        args.add("-user", ctx.attr.user)
    base = ctx.attr.base[BaseInfo] if ctx.attr.base and BaseInfo in ctx.attr.base else None
    if ctx.attr.needed and base and base.config:
        args.add("-base", base.config)
        return [base.config]
    return []

def _about(ctx, path, text):
    """Returns the owner and mode of a directory, written as "65532:65532 0700"."""
    about = {}
    for word in text.split(" "):
        if not word:
            continue
        if ":" in word:
            about["owner"] = dict(zip(["uid", "gid"], _numbers(ctx, path, word)))
        else:
            about["mode"] = octal(ctx, word)
    return about

def _numbers(ctx, path, owner):
    parts = owner.split(":")
    if len(parts) != 2 or not all([p.isdigit() for p in parts]):
        fail("{}: the owner \"{}\" of directory {} is not uid:gid in numbers; write \"65532:65532\" or the like".format(ctx.label, owner, path))
    return [int(p) for p in parts]

def octal(ctx, mode):
    """Returns the number of a mode in octal.

    Args:
        ctx: the rule's context, for messages.
        mode: string.

    Returns:
        int.
    """
    for digit in mode.elems():
        if digit not in "01234567":
            fail("{}: mode = \"{}\" is not octal; write \"0644\" or the like".format(ctx.label, mode))
    return int(mode, 8)

CREATED = {
    "directories": attr.string_dict(doc = "Directories to create, with owner and mode: `{\"/var/lib/data\": \"65532:65532 0700\"}`."),
    "links": attr.string_dict(doc = "Symbolic links to create: `{\"/usr/bin/sh\": \"busybox\"}`."),
    "needed": attr.string_list(doc = "Directories that have to exist, such as the working directory. If they are created, they belong to user."),
    "user": attr.string(doc = "The user of the image; by default the base's."),
}

def write_layer(ctx, name, args, inputs, compression, os = "linux", on = None):
    """Declares the action that writes a layer.

    Args:
        ctx: the rule's context.
        name: of the layer, below the rule's package.
        args: Args that say what is in it.
        inputs: list or depset of File that args name.
        compression: gzip or zstd.
        os: operating system of the image; the layers of windows have a form of their own.
        on: File, the file system that the layer is laid over; None for an empty one.

    Returns:
        a LayerInfo.
    """
    blob = ctx.actions.declare_file(name + (".tar.zst" if compression == "zstd" else ".tar.gz"))
    descriptor = ctx.actions.declare_file(name + ".json")
    args.add("-blob", blob)
    args.add("-descriptor", descriptor)
    args.add("-compression", compression)
    args.add("-os", os)
    tree = ctx.actions.declare_file(name + ".tree.json")
    args.add("-tree", tree)
    below = []
    if on:
        args.add("-on", on)
        below.append(on)
    assemble(
        ctx,
        mnemonic = "MultiarchLayer",
        message = "Writing layer %{output}",
        inputs = depset(below, transitive = [inputs if type(inputs) == "depset" else depset(inputs)]),
        outputs = [blob, descriptor, tree],
        args = args,
    )
    return LayerInfo(blob = blob, descriptor = descriptor, tree = tree)

def _entry_of(group):
    def entry(file):
        path = group.to
        if group.into:
            path = group.to.rstrip("/") + "/" + (file.short_path[len(group.prefix):] if group.prefix else file.short_path)
        owner = {"uid": group.uid, "gid": group.gid}
        about = {"path": path, "from": file.path, "mode": group.mode} | owner
        if group.capabilities:
            about["capabilities"] = group.capabilities
        entries = [json.encode(about)]
        base = group.owned_below.rstrip("/") + "/"
        if group.owned_below and path.startswith(base):
            names = path[len(base):].split("/")
            paths = [(base + "/".join(names[:n])).rstrip("/") for n in range(len(names))]
            entries += [json.encode({"path": p, "dir": True, "mode": group.mode} | owner) for p in paths if p]
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
            for path in group.directories:
                args.add("-entry", json.encode({"path": path, "dir": True, "mode": group.mode, "uid": group.uid, "gid": group.gid}))
            files.append(group.files)
    more = created(ctx, args)
    base = None
    if ctx.attr.base:
        base = ctx.attr.base[BaseInfo] if BaseInfo in ctx.attr.base else ctx.attr.base[LayerInfo]
    layer = write_layer(
        ctx,
        ctx.label.name,
        args,
        depset(more, transitive = files),
        ctx.attr.compression,
        ctx.attr.os,
        tree_on(base, ctx.attr.compression),
    )
    return [DefaultInfo(files = depset([layer.blob])), layer]

files_layer = rule(
    implementation = _files_layer_impl,
    doc = "A layer of source files. It is a target of its own, so that all platforms that share it write it once.",
    attrs = {
        "files": attr.label_list(providers = [FilesInfo], doc = "What is in it."),
        "base": attr.label(providers = [[BaseInfo], [LayerInfo]], doc = "What it is laid over: its directories stay as they are, and its links are followed."),
        "compression": attr.string(default = "gzip", values = ["gzip", "zstd"], doc = "How it is compressed."),
        "os": attr.string(default = "linux", doc = "The operating system of the image."),
        "image": attr.string(doc = "The image it belongs to, for messages."),
        "platform": attr.string(doc = "The first platform that needs it, for messages."),
    } | CREATED | ASSEMBLE,
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
