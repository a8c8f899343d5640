"""Rules that start our command line. They need no shell: what they run is the program itself, with Bazel's `args`."""

MULTIARCH = {
    "_multiarch": attr.label(
        default = Label("//tools/multiarch"),
        executable = True,
        cfg = "exec",
        doc = "The command line.",
    ),
}

def launch(ctx, files):
    """Makes an executable that is our command line.

    Args:
        ctx: the rule's context.
        files: list of File that it reads.

    Returns:
        its DefaultInfo.
    """
    program = ctx.actions.declare_file(ctx.label.name + ".exe")
    ctx.actions.symlink(output = program, target_file = ctx.executable._multiarch, is_executable = True)
    runfiles = ctx.runfiles(files).merge(ctx.attr._multiarch[DefaultInfo].default_runfiles)
    return DefaultInfo(executable = program, runfiles = runfiles)
