"""Executable rules that run the multiarch command directly, without a shell."""

MULTIARCH = {
    "_multiarch": attr.label(
        default = Label("//tools/rules/toolchain:multiarch"),
        executable = True,
        cfg = "exec",
        doc = "The multiarch command.",
    ),
}

def runfile(ctx, file):
    """Returns the path of a file in runfiles.

    Args:
        ctx: the rule's context.
        file: File.

    Returns:
        string, relative to the root of the runfiles.
    """
    if file.short_path.startswith("../"):
        return file.short_path[len("../"):]
    return ctx.workspace_name + "/" + file.short_path

def launch(ctx, args, files):
    """Declares an executable that is the multiarch command with arguments.

    The arguments are in a file beside the executable, and not in Bazel's `args`, which only bazel run and bazel test
    pass. So the executable does the same wherever it is started, for example by rules_multirun.

    Args:
        ctx: the rule's context.
        args: list of arguments: strings, or structs of text and file (a File whose path replaces %s in text).
        files: list of File that the command reads.

    Returns:
        a DefaultInfo.
    """
    program = ctx.actions.declare_file(ctx.label.name + ".exe")
    ctx.actions.symlink(output = program, target_file = ctx.executable._multiarch, is_executable = True)
    arguments = ctx.actions.declare_file(program.basename + ".launch.json")
    ctx.actions.write(arguments, json.encode_indent({
        "self": runfile(ctx, arguments),
        "args": [
            {"text": arg} if type(arg) == "string" else {"text": arg.text, "file": runfile(ctx, arg.file)}
            for arg in args
        ],
    }))
    runfiles = ctx.runfiles(files + [arguments]).merge(ctx.attr._multiarch[DefaultInfo].default_runfiles)
    return DefaultInfo(executable = program, files = depset([program, arguments]), runfiles = runfiles)
