"""multiarch_files: files and their paths in an image."""

load(":layer.bzl", "octal")
load(":providers.bzl", "FilesInfo")
load(":transition.bzl", "TRANSITION", "portable_to_host")

def _owner(ctx):
    if not ctx.attr.owner:
        return (0, 0)
    parts = ctx.attr.owner.split(":")
    if len(parts) > 2 or not all([p.isdigit() for p in parts]):
        fail("{}: invalid owner \"{}\": expected a numeric uid or uid:gid, such as \"65532:65532\"".format(
            ctx.label,
            ctx.attr.owner,
        ))
    return (int(parts[0]), int(parts[-1]))

def _executable(ctx):
    """Returns the files in `executable`, which must be in `srcs` too."""
    if ctx.attr.mode and ctx.attr.executable:
        fail("{}: mode applies to all files; remove mode or executable".format(ctx.label))
    srcs = {f: None for f in ctx.files.srcs}
    for f in ctx.files.executable:
        if f not in srcs:
            fail("{}: executable: {} is not in srcs; add it there, or remove it here".format(ctx.label, f.short_path))
    return ctx.files.executable

def _multiarch_files_impl(ctx):
    if not ctx.attr.to.startswith("/"):
        fail("{}: to = \"{}\" must be an absolute path; use \"/{}\"".format(ctx.label, ctx.attr.to, ctx.attr.to))
    if ctx.attr.owned_below and not ctx.attr.owned_below.startswith("/"):
        fail("{}: owned_below = \"{}\" must be an absolute path; use \"/{}\"".format(
            ctx.label,
            ctx.attr.owned_below,
            ctx.attr.owned_below,
        ))
    parts = []
    if ctx.label.repo_name:
        parts += ["..", ctx.label.repo_name]
    for part in [ctx.label.package, ctx.attr.strip_prefix.strip("/")]:
        if part:
            parts.append(part)
    prefix = "/".join(parts)
    if prefix:
        prefix += "/"

    files = ctx.files.srcs
    executable = _executable(ctx)
    single_file = len(files) == 1 and not files[0].is_directory
    exact = single_file and not (ctx.attr.strip_prefix or ctx.attr.to.endswith("/") or ctx.attr.directory)
    if not exact:
        for f in files:
            if not (f.short_path + "/").startswith(prefix):
                hint = "set strip_prefix, or declare a multiarch_files in the package of the file"
                fail("{}: {} is not below {}; {}".format(ctx.label, f.short_path, prefix, hint))
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
        executable = executable,
        uid = uid,
        gid = gid,
        owned_below = owned,
        directories = [d for d in sorted(directories) if d],
        capabilities = ctx.attr.capabilities,
        portable = ctx.attr.portable or all([f.is_source for f in files]),
    )
    return [DefaultInfo(files = group.files), FilesInfo(groups = [group])]

multiarch_files = rule(
    implementation = _multiarch_files_impl,
    doc = "Adds files to images. The files of an image become one layer, which platforms share unless other rules " +
          "build files in it.",
    cfg = portable_to_host,
    attrs = {
        "srcs": attr.label_list(
            allow_files = True,
            doc = "Files to add. Outputs of other rules are built for each platform. Directories built by other " +
                  "rules are added with everything in them.",
        ),
        "portable": attr.bool(
            doc = "Whether the outputs of other rules in `srcs` are the same for all platforms, such as a JAR file " +
                  "or generated configuration. They are built only once, for the host, and platforms share the layer.",
        ),
        "to": attr.string(
            mandatory = True,
            doc = "Absolute path of the target directory. A single file gets exactly this path, unless the path ends " +
                  "in a slash.",
        ),
        "strip_prefix": attr.string(
            doc = "Prefix to remove from the paths of `srcs`, relative to this package. The rest of each path is " +
                  "kept below `to`.",
        ),
        "directory": attr.bool(doc = "Whether `to` is a directory even if there is only one file."),
        "directories": attr.string_list(
            doc = "Directories to create below `to`, such as empty ones, which a glob does not match.",
        ),
        "mode": attr.string(
            doc = "Permission bits of all files, in octal. Default: 0755 for `executable` and for programs and " +
                  "scripts that other rules build, 0644 for all other files. The permission bits of source files " +
                  "have no effect, because Bazel does not track them.",
        ),
        "executable": attr.label_list(
            allow_files = True,
            doc = "Those of `srcs` that get mode 0755. `multiarch generate` lists the source files that have an " +
                  "executable bit.",
        ),
        "owner": attr.string(doc = "Numeric uid or uid:gid. Default: 0:0."),
        "capabilities": attr.string(
            doc = "File capabilities of all files in the syntax of setcap, such as `cap_net_bind_service=+ep`.",
        ),
        "owned_below": attr.string(
            doc = "Absolute path. This directory and the directories between it and the files also get `owner` and " +
                  "`mode`, with the search bit for everyone who can read them. By default directories belong to root " +
                  "with mode 0755. Directories of the base keep their owner and mode.",
        ),
    } | TRANSITION,
    provides = [FilesInfo],
)
