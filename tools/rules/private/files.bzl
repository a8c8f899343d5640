"""multiarch_files: source files and their paths in an image."""

load(":layer.bzl", "octal")
load(":providers.bzl", "FilesInfo")

def _owner(ctx):
    if not ctx.attr.owner:
        return (0, 0)
    parts = ctx.attr.owner.split(":")
    if len(parts) > 2 or not all([p.isdigit() for p in parts]):
        fail("{}: invalid owner \"{}\": expected a numeric uid or uid:gid, such as \"65532:65532\"".format(ctx.label, ctx.attr.owner))
    return (int(parts[0]), int(parts[-1]))

def _multiarch_files_impl(ctx):
    if not ctx.attr.to.startswith("/"):
        fail("{}: to = \"{}\" must be an absolute path; use \"/{}\"".format(ctx.label, ctx.attr.to, ctx.attr.to))
    if ctx.attr.owned_below and not ctx.attr.owned_below.startswith("/"):
        fail("{}: owned_below = \"{}\" must be an absolute path; use \"/{}\"".format(ctx.label, ctx.attr.owned_below, ctx.attr.owned_below))
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
                fail("{}: {} is not below {}; set strip_prefix, or declare a multiarch_files in the package of the file".format(ctx.label, f.short_path, prefix))
    uid, gid = _owner(ctx)
    if not files and not ctx.attr.directories:
        fail("{}: srcs or directories is required".format(ctx.label))
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
    doc = "Adds files to images. The files of an image become one layer, which all platforms share.",
    attrs = {
        "srcs": attr.label_list(allow_files = True, doc = "Files to add. Directories built by other rules are added with everything in them."),
        "to": attr.string(mandatory = True, doc = "Absolute path of the target directory. A single file gets exactly this path, unless the path ends in a slash."),
        "strip_prefix": attr.string(doc = "Prefix to remove from the paths of `srcs`, relative to this package. The rest of each path is kept below `to`."),
        "directory": attr.bool(doc = "Whether `to` is a directory even if there is only one file."),
        "directories": attr.string_list(doc = "Directories to create below `to`, such as empty ones, which a glob does not match."),
        "mode": attr.string(doc = "Permission bits of all files, in octal. Default: 0755 for executable files, 0644 for others."),
        "owner": attr.string(doc = "Numeric uid or uid:gid. Default: 0:0."),
        "capabilities": attr.string(doc = "File capabilities of all files in the syntax of setcap, such as `cap_net_bind_service=+ep`."),
        "owned_below": attr.string(doc = "Absolute path. This directory and the directories between it and the files also get `owner` and `mode`, with the search bit for everyone who can read them. By default directories belong to root with mode 0755. Directories of the base keep their owner and mode."),
    },
    provides = [FilesInfo],
)
