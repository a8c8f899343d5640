"""Transition from the configuration of an image index to that of one of its platforms."""

def _to_platform(_settings, attr):
    return {"//command_line_option:platforms": str(attr.target)}

to_platform = transition(
    implementation = _to_platform,
    inputs = [],
    outputs = ["//command_line_option:platforms"],
)
