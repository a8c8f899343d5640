"""multiarch_image: declares all targets of an image."""

load("//platforms:platforms.bzl", "PLATFORMS")
load(":arguments.bzl", "checked_arguments")
load(":base.bzl", "base_for")
load(":files_layer.bzl", "files_layer")
load(":image.bzl", _image = "image")
load(":index.bzl", _index = "index")
load(":layout.bzl", _layout = "layout")
load(":verify.bzl", "verify_test")

_BASES = ["scratch", "static"]

_COMPRESSIONS = ["gzip", "zstd"]

# Arguments that overrides merge key by key.
_DICTS = ["annotations", "directories", "env", "labels", "links"]

# Alternative spellings of platforms that multiarch.yaml accepts too.
_SPELLINGS = {"linux/amd64/v1": "linux/amd64", "linux/arm": "linux/arm/v7", "linux/arm64/v8": "linux/arm64"}

_HEALTHCHECK = ["interval", "retries", "start_interval", "start_period", "test", "timeout"]

def _slug(platform):
    return platform.replace("/", "_")

def _merged(settings, override):
    out = dict(settings)
    for key, value in override.items():
        if key in _DICTS:
            out[key] = out[key] | value
        elif key == "files":
            out[key] = out[key] + value
        else:
            out[key] = value
    return out

def _uses_git(values):
    """Reports whether values contain git templates. Only then does the image depend on the workspace status."""
    for value in values:
        if "{{" in value and ".Git" in value:
            return True
    return False

def _problems(name, platforms, settings, overrides):
    """Returns error messages about the arguments."""
    found = []
    seen = {}
    for p in platforms:
        if p in seen:
            found.append("image {}: duplicate platform {}".format(name, p))
        seen[p] = None
    for p, override in overrides.items():
        if p not in platforms:
            found.append("image {}: overrides: {} is not a platform of the image; platforms: {}".format(
                name,
                p,
                ", ".join(platforms),
            ))
        for key in override:
            if key not in settings:
                found.append("image {}, {}: unknown override \"{}\"; known: {}".format(
                    name,
                    p,
                    key,
                    ", ".join(sorted(settings)),
                ))
    return found

def _is_label(base):
    return type(base) == "Label" or ":" in base or base.startswith("@") or base.startswith("//")

def _platform_problems(name, platform, settings):
    found = []
    where = "image {}, {}: ".format(name, platform)
    base, os = settings["base"], getattr(PLATFORMS.get(platform), "os", "linux")
    if base not in _BASES and not _is_label(base):
        known = ", ".join(_BASES) + ", and labels of multiarch_debian and multiarch_base_image"
        found.append(where + "unknown base \"{}\"; known: {}, such as \":{}\"".format(base, known, base))
    elif base == "static" and os != "linux":
        found.append(
            where + "base static does not support {}; override base with scratch for this platform".format(platform),
        )
    if settings["compression"] not in _COMPRESSIONS:
        found.append(where + "unknown compression \"{}\"; known: {}".format(
            settings["compression"],
            ", ".join(_COMPRESSIONS),
        ))
    if settings["cgo"] and platform in PLATFORMS and not PLATFORMS[platform].cgo:
        found.append(where + "cgo is not supported; override cgo with False for this platform")
    for key in settings["healthcheck"]:
        if key not in _HEALTHCHECK:
            found.append(where + "unknown healthcheck key \"{}\"; known: {}".format(key, ", ".join(_HEALTHCHECK)))
    if base == "scratch" and not any([
        settings[key]
        for key in ["binary", "files", "layers", "directories", "links"]
    ]):
        found.append(where + "the image is empty; set binary, files, layers, directories, links or a base")
    return found

def multiarch_image(
        name,
        platforms,
        binary = None,
        binary_path = None,
        binary_capabilities = "",
        files = [],
        layers = [],
        directories = {},
        links = {},
        base = "static",
        entrypoint = None,
        cmd = None,
        env = {},
        user = "",
        workdir = "",
        ports = [],
        volumes = [],
        labels = {},
        annotations = {},
        stop_signal = "",
        healthcheck = {},
        created = "",
        compression = "gzip",
        cgo = False,
        allow = [],
        overrides = {},
        tag_prefix = "",
        **kwargs):
    """Builds an image index with one image per platform.

    Declares these targets:

    - `:name`: the image index
    - `:name_linux_arm64`, one per platform: the image for that platform
    - `:name.layout` and `:name_linux_arm64.layout`: OCI image layouts for rules_oci, crane and other tools
    - `:name.digest`: a file with the digest of the index
    - `:name_test`: a test that verifies every image of the index

    Args:
        name: Name of the image.
        platforms: OCI platforms, such as `linux/amd64` and `linux/arm/v7`. A dict builds programs and files for Bazel
            platforms of your own, for example with another libc: `{"linux/amd64": "//my:musl_amd64"}`. `None` is the
            platform of multiarch.
        binary: Label of the program, in any language. A transition on `--platforms` builds it for each platform. Its
            runfiles are added in the directory `binary_path` + `.runfiles`.
        binary_path: Path of the program in the image. Default: `/app/` and the image's name, with `.exe` on Windows.
        binary_capabilities: File capabilities of the program in the syntax of setcap, such as
            `cap_net_bind_service=+ep`.
        files: Labels of `multiarch_files`. All images of the package with the same files share one layer, and so do
            platforms, unless other rules build files in it: these are built for each platform.
        layers: Labels of `multiarch_layer` and `multiarch_tar_layer`, in order. They are above `files` and below
            `binary`. Images share them. They must not change directories and links of the layers below.
        directories: Directories to create, with owner and mode: `{"/var/lib/data": "65532:65532 0700"}`. Owner and mode
            are optional. Default: those of the base if the directory exists there, otherwise root and 0755.
        links: Symbolic links to create: `{"/usr/bin/sh": "busybox"}`.
        base: `static` (CA certificates, time zones, passwd, /tmp), `scratch`, or the label of a `multiarch_debian` or
            `multiarch_base_image` that supports all platforms of the image.
        entrypoint: Entrypoint. Default: the program, or the base's entrypoint if there is no program.
        cmd: Arguments of the entrypoint. Default: those of the base, unless the entrypoint differs from the base's.
        env: Environment variables, a dict. `$NAME` and `${NAME}` expand to variables of the base, `$$` is a dollar
            sign. Values of `env`, `labels` and `annotations` may contain templates such as `{{.Git.Describe}}`, which
            are expanded from the workspace status. Any other `{{` is literal. Make variables are expanded in them, such
            as `$(NAME)` of `--define=NAME=...` and of `toolchains`; write `$$(` for a literal `$(`.
        user: User that runs the program, such as `65532`.
        workdir: Working directory.
        ports: Exposed ports, such as `8080/tcp`.
        volumes: Directories that hold data.
        labels: Labels of the config, a dict.
        annotations: Annotations of the manifests and of the index, a dict.
        stop_signal: Signal that stops the container.
        healthcheck: How container runtimes check a container's health, a dict of `test` (a list: `CMD` and arguments,
            `CMD-SHELL` and a command, or `NONE`), `interval`, `timeout`, `start_period`, `start_interval` (such as
            `30s`) and `retries`. Default: the base's healthcheck; without `test`, the base's test.
        created: Creation time of the image: empty for the epoch, `commit` for the commit time in the workspace status,
            or a time in RFC 3339.
        compression: `gzip` or `zstd`.
        cgo: Whether to build the binary for a platform with cgo enabled, which requires a C toolchain per architecture.
            Only Go programs need it.
        allow: Kinds of `multiarch verify` findings to accept, such as `missing-library`; see `multiarch verify --help`.
        overrides: Arguments that differ per platform: `{"linux/arm/v7": {"env": {"GOGC": "50"}}}`. The keys are the
            arguments from `binary` to `allow`. `files` are appended, dicts such as `env` are merged key by key, and
            anything else is replaced.
        tag_prefix: Prefix of the git tags that `{{.Git.Tag}}` and `{{.Git.Describe}}` use, such as `server/`.
        **kwargs: Common attributes of all targets, such as `visibility`, `tags`, `testonly`, `exec_properties` and
            `target_compatible_with`.
    """
    settings = dict(
        binary = binary,
        binary_path = binary_path,
        binary_capabilities = binary_capabilities,
        files = files,
        layers = layers,
        directories = directories,
        links = links,
        base = base,
        entrypoint = entrypoint,
        cmd = cmd,
        env = env,
        user = user,
        workdir = workdir,
        ports = ports,
        volumes = volumes,
        labels = labels,
        annotations = annotations,
        stop_signal = stop_signal,
        healthcheck = healthcheck,
        created = created,
        compression = compression,
        cgo = cgo,
        allow = allow,
    )
    args = checked_arguments(name, platforms, _SPELLINGS, settings, overrides, kwargs)
    platforms, settings, kwargs = args.platforms, args.settings, args.kwargs
    overrides = {_SPELLINGS.get(p, p): override for p, override in args.overrides.items()}

    # Most builds need no layouts. Rules that do build them anyway.
    layout_args = kwargs | {"tags": (kwargs.get("tags") or []) + ["manual"]}
    common = args.problems + _problems(name, platforms, settings, overrides)
    problems = list(common)
    images = []
    permitted = {}
    children = []
    for platform in {p: None for p in platforms}:
        child = _merged(settings, {k: v for k, v in overrides.get(platform, {}).items() if k in settings})
        permitted = permitted | {kind: None for kind in child["allow"]}
        wrong = common + ([] if args.problems else _platform_problems(name, platform, child))
        children.append(_child(platform, child, wrong, args.targets.get(platform)))
        problems = problems + [w for w in wrong if w not in problems]
    files_layers = _files_layers(name, children, kwargs)
    for child in children:
        child_name = "{}_{}".format(name, _slug(child.platform))
        images.append(child_name)
        _platform_image(name, child_name, child, files_layers, tag_prefix, kwargs)
        _layout(name = child_name + ".layout", image = child_name, **layout_args)

    _index(
        name = name,
        images = [] if problems else images,
        annotations = settings["annotations"],
        tag_prefix = tag_prefix,
        uses_git = _uses_git(settings["annotations"].values()),
        digest = name + ".digest",
        problems = problems,
        **kwargs
    )
    _layout(name = name + ".layout", image = name, **layout_args)
    verify_test(
        name = name + "_test",
        size = "small",
        image = name,
        allow = permitted.keys(),
        **{k: v for k, v in kwargs.items() if k != "testonly"}
    )

def _needed(child):
    """Returns the directories that must exist so that a container can start as configured."""
    paths = {}
    for path in [child["workdir"]] + child["volumes"]:
        path = path.removeprefix("C:").replace("\\", "/").rstrip("/")
        if path.startswith("/"):
            paths[path] = None
    return sorted(paths)

def _child(platform, settings, problems, target):
    """Returns the image for one platform: its settings, base and Bazel platform, and the entries of its files layer."""
    row = PLATFORMS.get(platform)
    if problems:
        settings = settings | {
            "files": [],
            "layers": [],
            "directories": {},
            "links": {},
            "base": "scratch",
            "binary": None,
            "compression": "gzip",
        }
    needed = [] if problems else _needed(settings)
    is_static = settings["base"] == "static"
    creates_needed = needed and not settings["binary"] and not settings["layers"]
    entries = {
        "directories": settings["directories"],
        "links": settings["links"],
        "needed": needed,
        "user": settings["user"] if needed else "",
    }
    return struct(
        platform = platform,
        settings = settings,
        problems = problems,
        os = row.os if row else "linux",
        target = target or ((row.cgo if settings["cgo"] and not problems else row.label) if row else None),
        static = Label("//tools/rules/base:static_" + settings["compression"]) if is_static else None,
        base = base_for(settings["base"], platform) if settings["base"] not in _BASES else None,
        entries = entries,
        has_files_layer = bool(settings["files"] or settings["directories"] or settings["links"] or creates_needed),
    )

def _files_layers(image, children, kwargs):
    """Declares the layers of files, one for all platforms with the same content, unless an image of the package has it.

    Returns:
        dict from platform to label.
    """
    layers = {}
    common = {k: v for k, v in kwargs.items() if k != "visibility"}
    for child in children:
        if child.has_files_layer:
            args = dict(
                files = child.settings["files"],
                base = child.base or child.static,
                compression = child.settings["compression"],
                os = child.os,
                **child.entries
            )
            layers.setdefault(repr([args, common]), []).append((child, args))
    labels = {}
    for content, users in layers.items():
        targets = {child.platform: str(child.target) for child, _ in users}
        key = repr([content, targets])
        label = _unique_name(key)
        if not native.existing_rule(label):
            files_layer(name = label, image = image, targets = targets, key = key, **(users[0][1] | common))
        labels |= {platform: label for platform in targets}
    return labels

def _unique_name(key):
    """Returns the name of the target for a key, which may exist already."""
    name = "files.%x" % (hash(key) & 0xffffffff)
    for suffix in [""] + ["_%d" % n for n in range(2, 100)]:
        existing = native.existing_rule(name + suffix)
        if not existing or existing["key"] == key:
            return name + suffix
    fail("no free name for the target " + name)

def _platform_image(image, name, of, files_layers, tag_prefix, kwargs):
    """Declares the image for one platform."""
    child, os = of.settings, of.os
    layers = [of.static] if of.static else []
    if of.has_files_layer:
        layers.append(files_layers[of.platform])
    path = child["binary_path"] or "/app/" + image + (".exe" if os == "windows" else "")
    entrypoint = child["entrypoint"]
    if entrypoint == None and child["binary"]:
        entrypoint = ["C:" + path.replace("/", "\\") if os == "windows" else path]
    _image(
        name = name,
        image = image,
        platform = of.platform,
        target = of.target,
        problems = of.problems,
        binary = child["binary"],
        binary_path = path,
        binary_capabilities = child["binary_capabilities"],
        needed = [] if of.has_files_layer else of.entries["needed"],
        base = of.base,
        layers = layers,
        shared_layers = child["layers"],
        compression = child["compression"],
        entrypoint = entrypoint or [],
        cmd = child["cmd"] or [],
        inherits = [k for k, v in {"entrypoint": entrypoint, "cmd": child["cmd"]}.items() if v == None],
        env = child["env"],
        user = child["user"],
        workdir = child["workdir"],
        ports = child["ports"],
        volumes = child["volumes"],
        labels = child["labels"],
        stop_signal = child["stop_signal"],
        created = child["created"],
        annotations = child["annotations"],
        healthcheck = json.encode(child["healthcheck"]) if child["healthcheck"] else "",
        tag_prefix = tag_prefix,
        uses_git = _uses_git(child["annotations"].values() + child["env"].values() + child["labels"].values()),
        allow = child["allow"],
        **kwargs
    )
