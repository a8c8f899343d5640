"""Executable rules that run the multiarch command directly, without a shell, with Bazel's `args`."""

MULTIARCH = {
    "_multiarch": attr.label(
        default = Label("//tools/rules/toolchain:multiarch"),
        executable = True,
        cfg = "exec",
        doc = "The multiarch command.",
    ),
}

def launch(ctx, files):
    """Declares an executable that is the multiarch command.

    Args:
        ctx: the rule's context.
        files: list of File that the command reads.

    Returns:
        a DefaultInfo.
    """
    program = ctx.actions.declare_file(ctx.label.name + ".exe")
    ctx.actions.symlink(output = program, target_file = ctx.executable._multiarch, is_executable = True)
    runfiles = ctx.runfiles(files).merge(ctx.attr._multiarch[DefaultInfo].default_runfiles)
    return DefaultInfo(executable = program, runfiles = runfiles)
