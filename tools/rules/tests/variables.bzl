"""Rule that sets Make variables."""

def _variables_impl(ctx):
    return [platform_common.TemplateVariableInfo(ctx.attr.values)]

variables = rule(
    implementation = _variables_impl,
    doc = "Make variables for targets that have it in their toolchains.",
    attrs = {"values": attr.string_dict(doc = "Variables and their values.")},
)
