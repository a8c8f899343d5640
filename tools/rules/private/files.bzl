"""multiarch_files: source files, and where they go."""

load(":layer.bzl", "octal")
load(":providers.bzl", "FilesInfo")

def _owner(ctx):
    if not ctx.attr.owner:
        return (0, 0)
    parts = ctx.attr.owner.split(":")
    if len(parts) > 2 or not all([p.isdigit() for p in parts]):
        fail("{}: owner = \"{}\" is not uid or uid:gid in numbers; write \"65532:65532\" or the like".format(ctx.label, ctx.attr.owner))
    return (int(parts[0]), int(parts[-1]))

def _multiarch_files_impl(ctx):
    if not ctx.attr.to.startswith("/"):
        fail("{}: to = \"{}\" is not absolute; write \"/{}\"".format(ctx.label, ctx.attr.to, ctx.attr.to))
    if ctx.attr.owned_below and not ctx.attr.owned_below.startswith("/"):
        fail("{}: owned_below = \"{}\" is not absolute; write \"/{}\"".format(ctx.label, ctx.attr.owned_below, ctx.attr.owned_below))
    parts = []
    if ctx.label.workspace_name:
        parts += ["..", ctx.label.workspace_name]
    for part in [ctx.label.package, ctx.attr.strip_prefix.strip("/")]:
        if part:
            parts.append(part)
    prefix = "/".join(parts)
    if prefix:
        prefix += "/"

    files = ctx.files.srcs
    exact = len(files) == 1 and not files[0].is_directory and not ctx.attr.strip_prefix and not ctx.attr.to.endswith("/") and not ctx.attr.directory
    if not exact:
        for f in files:
            if not (f.short_path + "/").startswith(prefix):
                fail("{}: {} is not below {}; give strip_prefix, or a multiarch_files in the package of the file".format(ctx.label, f.short_path, prefix))
    uid, gid = _owner(ctx)
    if not files and not ctx.attr.directories:
        fail("{}: nothing is in it; give srcs or directories".format(ctx.label))
    to = ctx.attr.to.rstrip("/")
    owned = ctx.attr.owned_below
    directories = {}
    for d in ctx.attr.directories:
        path = to + "/" + d.strip("/")
        directories[path] = None
        base = owned.rstrip("/") + "/"
        if owned and path.startswith(base):
            names = path[len(base):].split("/")
            directories.update({(base + "/".join(names[:n])).rstrip("/"): None for n in range(len(names))})
    group = struct(
        files = depset(files),
        prefix = prefix,
        to = ctx.attr.to,
        into = not exact,
        mode = octal(ctx, ctx.attr.mode) if ctx.attr.mode else 0,
        uid = uid,
        gid = gid,
        owned_below = owned,
        directories = [d for d in sorted(directories) if d],
        capabilities = ctx.attr.capabilities,
    )
    return [DefaultInfo(files = group.files), FilesInfo(groups = [group])]

multiarch_files = rule(
    implementation = _multiarch_files_impl,
    doc = "Puts files into images. They become one layer, which all platforms share.",
    attrs = {
        "srcs": attr.label_list(allow_files = True, doc = "The files. Directories made by other rules are taken whole."),
        "to": attr.string(mandatory = True, doc = "The absolute path of the directory they go to. A single file goes exactly there, unless this ends in a slash."),
        "strip_prefix": attr.string(doc = "What is cut off their paths, relative to this package. The rest is kept below `to`."),
        "directory": attr.bool(doc = "Whether `to` is a directory although there is only one file."),
        "directories": attr.string_list(doc = "Directories below `to` to create, such as empty ones, which no glob finds."),
        "mode": attr.string(doc = "The permission bits of all files, in octal. By default 0755 for executable ones and 0644 for others."),
        "owner": attr.string(doc = "uid or uid:gid, in numbers. By default 0:0."),
        "capabilities": attr.string(doc = "File capabilities of all files, as setcap takes them, such as cap_net_bind_service=+ep."),
        "owned_below": attr.string(doc = "An absolute path: it, and the directories below it that lead to the files, have the owner and the mode as well, " +
                                         "and can be searched by whoever can read them. " +
                                         "By default all are root's, with mode 0755. Directories of the base keep theirs."),
    },
    provides = [FilesInfo],
)
