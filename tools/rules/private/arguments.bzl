"""Checks of arguments that would otherwise fail with a traceback of the macro."""

load("//platforms:platforms.bzl", "PLATFORMS")

# Common attributes that a macro passes to all its targets.
_COMMON = [
    "compatible_with",
    "deprecation",
    "exec_compatible_with",
    "exec_properties",
    "features",
    "restricted_to",
    "tags",
    "target_compatible_with",
    "testonly",
    "toolchains",
    "visibility",
]

# Arguments that the macro passes on without reading them.
_CONFIGURABLE = ["binary", "cmd", "created", "entrypoint", "files", "layers", "ports", "stop_signal"]

# Values in place of those that are refused, for arguments that the macro reads.
_EMPTY = {
    "allow": [],
    "annotations": {},
    "base": "scratch",
    "compression": "gzip",
    "directories": {},
    "env": {},
    "healthcheck": {},
    "labels": {},
    "links": {},
    "volumes": [],
}

def _is_select(value):
    return type(value) == "select"

def checked_arguments(name, platforms, spellings, settings, overrides, kwargs):
    """Checks the arguments of multiarch_image and leaves out those that it cannot use.

    Args:
        name: name of the image.
        platforms: the argument.
        spellings: dict from alternative spellings of platforms to those in the table.
        settings: dict of the arguments that overrides may contain.
        overrides: the argument.
        kwargs: dict of all other arguments.

    Returns:
        a struct of problems (list of error messages), platforms, targets (dict from platforms to Bazel platforms),
        settings, overrides and kwargs.
    """
    problems = []
    where = "image {}: ".format(name)
    for key in kwargs:
        if key not in _COMMON:
            known = sorted(["name", "overrides", "platforms", "tag_prefix"] + settings.keys() + _COMMON)
            problems.append(where + "unknown argument \"{}\"; known: {}".format(key, ", ".join(known)))
    targets = {}
    if type(platforms) == "dict":
        targets = {
            spellings.get(p, p): native.package_relative_label(target)
            for p, target in platforms.items()
            if target
        }
        platforms = platforms.keys()
    if _is_select(platforms):
        problems.append(where + "platforms cannot be a select(); write a list, such as [\"linux/amd64\"]")
        platforms = None
    elif type(platforms) == "string":
        problems.append(where + "platforms must be a list; write [\"{}\"]".format(platforms))
        platforms = None
    found = []
    for p in platforms or []:
        p = spellings.get(p, p)
        if type(p) == "string" and p in PLATFORMS:
            found.append(p)
        elif type(p) == "Label" or ":" in p or p.startswith("//") or p.startswith("@"):
            problems.append(
                where + "platforms: \"{}\" is a label; write {{\"linux/amd64\": \"{}\"}}, for example".format(p, p),
            )
        else:
            problems.append(where + "unknown platform \"{}\"; known: {}".format(p, ", ".join(PLATFORMS)))
    if platforms == [] or platforms == {}:
        problems.append(
            where + "platforms is required; set platforms = [\"linux/amd64\", \"linux/arm64\"], for example",
        )
    if type(overrides) != "dict":
        problems.append(where + "overrides must be a dict; write {\"linux/arm64\": {...}}")
        overrides = {}
    hint = "set it per platform in overrides, or declare one image per configuration"
    clean = {}
    for key, value in settings.items():
        if _is_select(value) and key not in _CONFIGURABLE:
            problems.append(where + "{} cannot be a select(); {}".format(key, hint))
            value = _EMPTY.get(key)
        clean[key] = value
    for platform, override in overrides.items():
        for key, value in override.items():
            if _is_select(value):
                problems.append(where + "overrides: {}: {} cannot be a select(); write the value".format(platform, key))
    return struct(
        problems = problems,
        platforms = found,
        targets = targets,
        settings = clean,
        overrides = {} if problems else overrides,
        kwargs = {k: v for k, v in kwargs.items() if k in _COMMON},
    )
