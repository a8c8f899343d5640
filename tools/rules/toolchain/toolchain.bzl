"""Toolchains with the programs that the rules run, and targets that select a program of the matching toolchain."""

_TYPE = Label("//tools/rules/toolchain:toolchain_type")

_GAZELLE_TYPE = Label("//tools/rules/toolchain:gazelle_toolchain_type")

def _toolchain_impl(ctx):
    return [platform_common.ToolchainInfo(programs = {
        name: getattr(ctx.attr, name)[DefaultInfo].files_to_run.executable
        for name in ["assemble", "gazelle", "multiarch", "validate"]
        if getattr(ctx.attr, name, None)
    })]

def _binary(doc):
    return attr.label(mandatory = True, allow_single_file = True, executable = True, cfg = "target", doc = doc)

multiarch_toolchain = rule(
    implementation = _toolchain_impl,
    doc = "Programs that the rules run, each a single executable without runfiles. Declare a `toolchain` of type " +
          "`@multiarch//tools/rules/toolchain:toolchain_type` for it, with the platforms on which they run in " +
          "`target_compatible_with`.",
    attrs = {
        "assemble": _binary("tools/assemble, which writes layers, manifests and indexes."),
        "multiarch": _binary("tools/multiarch, the command line, which tests and pushes run."),
        "validate": _binary("tools/examine/validate, which verifies images."),
    },
)

gazelle_toolchain = rule(
    implementation = _toolchain_impl,
    doc = "Gazelle with the multiarch extension, for toolchains of type " +
          "`@multiarch//tools/rules/toolchain:gazelle_toolchain_type`.",
    attrs = {"gazelle": _binary("The program.")},
)

def _program_impl(ctx):
    name = ctx.attr.program
    file = ctx.toolchains[ctx.attr.toolchain_type.label].programs[name]

    # Same path for every toolchain, except for the extension, without which Windows does not run a program.
    out = ctx.actions.declare_file("{}_/{}{}".format(ctx.label.name, name, ".exe" if file.extension == "exe" else ""))
    ctx.actions.symlink(output = out, target_file = file, is_executable = True)
    return [DefaultInfo(executable = out, files = depset([out]), runfiles = ctx.runfiles([out]))]

def _rule_for(toolchain_type):
    return rule(
        implementation = _program_impl,
        doc = "A program of the toolchain for the platform of this target. Actions use it with `cfg = \"exec\"`.",
        attrs = {
            "program": attr.string(mandatory = True, doc = "Name of the program."),
            "toolchain_type": attr.label(default = toolchain_type, doc = "Type of the toolchain."),
        },
        executable = True,
        toolchains = [toolchain_type],
    )

_program = _rule_for(_TYPE)

_gazelle = _rule_for(_GAZELLE_TYPE)

def program(name, program, toolchain_type = None, **kwargs):
    """Declares an executable that is a program of the toolchain.

    Args:
        name: Name of the target.
        program: Name of the program.
        toolchain_type: Type of the toolchain, if it is not that of the programs.
        **kwargs: `visibility` and `tags`.
    """
    (_gazelle if toolchain_type else _program)(name = name, program = program, **kwargs)
