"""Transitions between the configuration of an image index and those of its platforms."""

def _to_platform(_settings, attr):
    return {"//command_line_option:platforms": str(attr.target)}

to_platform = transition(
    implementation = _to_platform,
    inputs = [],
    outputs = ["//command_line_option:platforms"],
)

def _to_platforms(_settings, attr):
    return {platform: {"//command_line_option:platforms": target} for platform, target in attr.targets.items()}

# Builds a dependency once per platform. attr.targets maps OCI platforms to labels of Bazel platforms.
to_platforms = transition(
    implementation = _to_platforms,
    inputs = [],
    outputs = ["//command_line_option:platforms"],
)

def _to_host(settings, attr):
    if not attr.portable:
        return {}
    return {"//command_line_option:platforms": str(settings["//command_line_option:host_platform"])}

# Builds a target with the attribute portable only once, for the host.
portable_to_host = transition(
    implementation = _to_host,
    inputs = ["//command_line_option:host_platform"],
    outputs = ["//command_line_option:platforms"],
)

TRANSITION = {
    "_allowlist_function_transition": attr.label(
        default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
    ),
}
