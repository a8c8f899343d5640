"""Git keys of the workspace status, for tags, templates and `created = "commit"`."""

load(":layer.bzl", "ASSEMBLE", "arguments", "assemble")

def _git_status_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".txt")
    args = arguments(ctx, "status")
    args.add("-from", ctx.info_file)
    args.add("-out", out)
    assemble(
        ctx,
        mnemonic = "MultiarchStatus",
        message = "Reading the workspace status",
        inputs = [ctx.info_file],
        outputs = [out],
        args = args,
    )
    return [DefaultInfo(files = depset([out]))]

git_status = rule(
    implementation = _git_status_impl,
    doc = "Keys of the workspace status that start with STABLE_GIT_. The other keys contain the user and the host, " +
          "so actions that read them would never hit a shared cache.",
    attrs = ASSEMBLE,
)

GIT_STATUS = {
    "_git_status": attr.label(
        default = Label("//tools/rules/private:git_status"),
        allow_single_file = True,
        doc = "Git keys of the workspace status.",
    ),
}
