"""Make variables in values of the config."""

def expand(ctx, argument, values, literal_dollars = True):
    """Expands `$(NAME)` in the values of a dict. `$$(NAME)` is literal, and so is any other `$`.

    Args:
        ctx: the rule's context.
        argument: name of the attribute, for error messages.
        values: dict from string to string.
        literal_dollars: whether dollar signs are literal. If not, they are expanded again later, so this function
            leaves `$$` and protects those in variables.

    Returns:
        a dict from string to string.
    """
    return {key: _expand(ctx, argument, value, literal_dollars) for key, value in values.items()}

def _expand(ctx, argument, value, literal_dollars):
    parts = value.split("$(")
    out = parts[0]
    for before, part in zip(parts, parts[1:]):
        if before.endswith("$"):
            out = (out[:-1] if literal_dollars else out) + "$(" + part
            continue
        name, end, rest = part.partition(")")
        if not end or name not in ctx.var:
            fail("{}: {}: unknown variable in \"{}\"; {}".format(
                ctx.label,
                argument,
                value,
                "set it with --define={}=... or toolchains, or write $$( for a literal $(".format(
                    name if end else "NAME",
                ),
            ))
        found = ctx.var[name]
        out += (found if literal_dollars else found.replace("$", "$$")) + rest
    return out
