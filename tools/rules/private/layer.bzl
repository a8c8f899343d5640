"""Layers: one action reads files and writes a blob and its descriptor, in a single pass."""

load(":providers.bzl", "BaseInfo", "LayerInfo")

ASSEMBLE = {
    "_assemble": attr.label(
        default = Label("//tools/rules/toolchain:assemble"),
        executable = True,
        cfg = "exec",
        doc = "Program that all actions run.",
    ),
}

def assemble(ctx, mnemonic, message, outputs, args, inputs = []):
    """Declares an action of the assembler, which uses no shell, no environment variables and no host tools.

    Args:
        ctx: the rule's context.
        mnemonic: mnemonic of the action.
        message: progress message.
        outputs: list of File.
        args: Args, created by arguments().
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
    """Creates Args for the assembler. They are always written to a file: layers may exceed the command line limit, and
    workers require it.

    Args:
        ctx: the rule's context.
        command: command of the assembler.

    Returns:
        Args.
    """
    args = ctx.actions.args()
    args.use_param_file("@%s", use_always = True)
    args.set_param_file_format("multiline")
    args.add(command)
    return args

def base_tree(base, compression):
    """Returns the file system tree below a layer.

    Args:
        base: BaseInfo or LayerInfo below the layer, or None.
        compression: compression of the image's layers.

    Returns:
        File, or None if there is nothing below.
    """
    if not base or hasattr(base, "blob"):
        return base.tree if base else None
    return base.tree or base.layers[compression][-1].tree

def add_layer_entries(ctx, args):
    """Adds the directories and links of a layer to args.

    Args:
        ctx: the rule's context, with the attributes in LAYER_ENTRIES, or only directories and links.
        args: Args of the layer.

    Returns:
        list of additional input Files.
    """
    for path, about in sorted(ctx.attr.directories.items()):
        args.add("-directory", json.encode({"path": path} | _about(ctx, path, about)))
    for path, to in sorted(ctx.attr.links.items()):
        args.add("-link", json.encode({"path": path, "to": to}))
    if not hasattr(ctx.attr, "needed"):
        return []
    args.add_all(ctx.attr.needed, before_each = "-needed")
    if ctx.attr.needed and ctx.attr.user:
        args.add("-user", ctx.attr.user)
    base = ctx.attr.base[BaseInfo] if ctx.attr.base and BaseInfo in ctx.attr.base else None
    if ctx.attr.needed and base and base.config:
        args.add("-base", base.config)
        return [base.config]
    return []

def _about(ctx, path, text):
    """Parses the owner and mode of a directory, such as "65532:65532 0700"."""
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
        fail("{}: directory {}: invalid owner \"{}\": expected a numeric uid:gid, such as \"65532:65532\"".format(
            ctx.label,
            path,
            owner,
        ))
    return [int(p) for p in parts]

def octal(ctx, mode):
    """Parses an octal mode.

    Args:
        ctx: the rule's context, for error messages.
        mode: string.

    Returns:
        int.
    """
    for digit in mode.elems():
        if digit not in "01234567":
            fail("{}: invalid mode \"{}\": expected an octal number, such as \"0644\"".format(ctx.label, mode))
    return int(mode, 8)

LAYER_ENTRIES = {
    "directories": attr.string_dict(
        doc = "Directories to create, with owner and mode: `{\"/var/lib/data\": \"65532:65532 0700\"}`.",
    ),
    "links": attr.string_dict(doc = "Symbolic links to create: `{\"/usr/bin/sh\": \"busybox\"}`."),
    "needed": attr.string_list(
        doc = "Directories that must exist, such as the working directory. If they are created, they belong to user.",
    ),
    "user": attr.string(doc = "User of the image; empty inherits the base's."),
}

# Fields of an entry for an output of another rule. All outputs have an executable bit, so their content decides about
# the mode. Programs must be for the platform of the image.
BUILT = {"built": True, "detectMode": True}

def write_layer(ctx, name, args, inputs, compression, os = "linux", on = None):
    """Declares the action that writes a layer.

    Args:
        ctx: the rule's context.
        name: name of the layer, relative to the rule's package.
        args: Args that describe the content.
        inputs: list or depset of File that args refer to.
        compression: gzip or zstd.
        os: operating system of the image; Windows layers have a format of their own.
        on: File, the file system tree below the layer, or None.

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
        args.add("-below", on)
        below.append(on)
    assemble(
        ctx,
        mnemonic = "MultiarchLayer",
        message = "Writing layer %{output}",
        inputs = depset(below, transitive = [inputs if type(inputs) == "depset" else depset(inputs)]),
        outputs = [blob, descriptor, tree],
        args = args,
    )
    return LayerInfo(blob = blob, descriptor = descriptor, tree = tree, os = os)

def _static_layer_impl(ctx):
    args = arguments(ctx, "layer")
    args.add("-content", "static")
    layer = write_layer(ctx, ctx.label.name, args, [], ctx.attr.compression)
    return [DefaultInfo(files = depset([layer.blob])), layer]

static_layer = rule(
    implementation = _static_layer_impl,
    doc = "Layer of the static base, which is identical for all architectures.",
    attrs = {
        "compression": attr.string(default = "gzip", values = ["gzip", "zstd"], doc = "Compression of the layer."),
    } | ASSEMBLE,
    provides = [LayerInfo],
)
