"""files_layer: the layer of an image's files. Platforms share it unless it has files that are built for a platform."""

load(":layer.bzl", "ASSEMBLE", "BUILT", "LAYER_ENTRIES", "add_layer_entries", "arguments", "base_tree", "write_layer")
load(":providers.bzl", "BaseInfo", "FilesInfo", "LayerInfo", "PlatformLayersInfo")
load(":transition.bzl", "TRANSITION", "to_platforms")

def _entry_of(group):
    executable = {f.short_path: None for f in group.executable}
    directories = [f.short_path + "/" for f in group.executable if f.is_directory]

    def entry(file):
        path = group.to
        if group.into:
            relative = file.short_path[len(group.prefix):] if group.prefix else file.short_path
            path = group.to.rstrip("/") + "/" + relative
        owner = {"uid": group.uid, "gid": group.gid}
        about = {"path": path, "from": file.path, "mode": group.mode} | owner
        if not group.mode:
            if file.short_path in executable or any([file.short_path.startswith(d) for d in directories]):
                about["mode"] = 493  # 0755
        if not file.is_source:
            about |= BUILT
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

def add_files(args, groups):
    """Adds files to the arguments of a layer.

    Args:
        args: Args of the layer.
        groups: list of the groups of FilesInfo.

    Returns:
        list of depsets of File, the inputs.
    """
    for group in groups:
        args.add_all(
            group.files,
            map_each = _entry_of(group),
            before_each = "-entry",
            allow_closure = True,
            uniquify = True,
        )
        about = {"dir": True, "mode": group.mode, "uid": group.uid, "gid": group.gid}
        for path in group.directories:
            args.add("-entry", json.encode({"path": path} | about))
    return [group.files for group in groups]

def _write(ctx, name, groups, platform):
    args = arguments(ctx, "layer")
    args.add("-content", "files")
    args.add("-image", ctx.attr.image)
    args.add("-platform", platform)
    files = add_files(args, groups)
    more = add_layer_entries(ctx, args)
    base = None
    if ctx.attr.base:
        base = ctx.attr.base[BaseInfo] if BaseInfo in ctx.attr.base else ctx.attr.base[LayerInfo]
    return write_layer(
        ctx,
        name,
        args,
        depset(more, transitive = files),
        ctx.attr.compression,
        ctx.attr.os,
        base_tree(base, ctx.attr.compression),
    )

def files_groups(where, targets):
    """Returns the groups of files of targets.

    Args:
        where: prefix of error messages.
        targets: list of Target.

    Returns:
        list of the groups of FilesInfo.
    """
    groups = []
    for target in targets:
        if FilesInfo not in target:
            fail(where + _not_files(target))
        groups += target[FilesInfo].groups
    return groups

def _not_files(target):
    paths = [f.short_path for f in target.files.to_list()[:1]]
    archive = any([paths[0].endswith(end) for end in [".tar", ".tar.gz", ".tgz", ".tar.zst"]]) if paths else False
    hint = "set its path in the image: multiarch_files(name = ..., srcs = [\"{}\"], to = \"/...\")"
    if archive:
        hint = "add the archive as a layer: multiarch_tar_layer(name = ..., tar = \"{}\")"
    return "files: {} is not a multiarch_files; {}".format(target.label, hint.format(target.label))

def _files_layer_impl(ctx):
    split = ctx.split_attr.files if ctx.attr.files else {}
    where = "image {}: ".format(ctx.attr.image)
    groups = {p: files_groups(where, split.get(p, [])) for p in ctx.attr.targets}
    if all([g.portable for of in groups.values() for g in of]):
        first = ctx.attr.targets.keys()[0]
        shared = _write(ctx, ctx.label.name, groups[first], first)
        layers = {p: shared for p in groups}
    else:
        layers = {
            p: _write(ctx, "{}.{}".format(ctx.label.name, p.replace("/", "_")), of, p)
            for p, of in groups.items()
        }
    return [
        DefaultInfo(files = depset([l.blob for l in layers.values()])),
        PlatformLayersInfo(layers = layers),
    ]

files_layer = rule(
    implementation = _files_layer_impl,
    doc = "Layer of files. It is a separate target so that images and platforms share it and it is written once.",
    attrs = {
        "files": attr.label_list(allow_files = True, cfg = to_platforms, doc = "Files in the layer."),
        "targets": attr.string_dict(
            mandatory = True,
            doc = "Maps the OCI platforms that use the layer to labels of Bazel platforms.",
        ),
        "base": attr.label(
            providers = [[BaseInfo], [LayerInfo]],
            doc = "Base or layer below. Its directories keep their owner and mode, and its symbolic links are " +
                  "followed.",
        ),
        "compression": attr.string(default = "gzip", values = ["gzip", "zstd"], doc = "Compression of the layer."),
        "os": attr.string(default = "linux", doc = "Operating system of the image."),
        "image": attr.string(doc = "First image that uses the layer, for error messages."),
        "key": attr.string(
            doc = "Identifies the content. Other images of the package with the same key use the same target.",
        ),
    } | LAYER_ENTRIES | ASSEMBLE | TRANSITION,
    provides = [PlatformLayersInfo],
)
