"""multiarch_image: everything that belongs to one image of multiarch.yaml."""

load("//platforms:platforms.bzl", "PLATFORMS")
load(":base.bzl", "base_on")
load(":image.bzl", _image = "image")
load(":index.bzl", _index = "index")
load(":layer.bzl", "files_layer")
load(":layout.bzl", _layout = "layout")
load(":verify.bzl", "verify_test")

_BASES = ["scratch", "static"]

_COMPRESSIONS = ["gzip", "zstd"]

# What the static base's programs find in their environment where the image does not say otherwise comes from the base's
# own descriptor, so that no second place has to know it.
_DICTS = ["annotations", "directories", "env", "labels", "links"]

# Other spellings of platforms, as multiarch.yaml accepts them.
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
    """Tells whether texts are templates about the checkout, which only then is an input of the image."""
    for value in values:
        if "{{" in value and ".Git" in value:
            return True
    return False

def _problems(name, platforms, settings, overrides):
    """Returns what is wrong with the arguments, as sentences."""
    found = []
    if not platforms:
        found.append("image {}: it has no platform; give platforms = [\"linux/amd64\", \"linux/arm64\"] or the like".format(name))
    seen = {}
    for p in platforms:
        if p not in PLATFORMS:
            found.append("image {}: unknown platform \"{}\"; known: {}".format(name, p, ", ".join(PLATFORMS)))
        if p in seen:
            found.append("image {}: platform {} is given twice".format(name, p))
        seen[p] = None
    for p, override in overrides.items():
        if p not in platforms:
            found.append("image {}: overrides of {}, which is not among its platforms: {}".format(name, p, ", ".join(platforms)))
        for key in override:
            if key not in settings:
                found.append("image {}, {}: unknown override \"{}\"; known: {}".format(name, p, key, ", ".join(sorted(settings))))
    return found

def _is_label(base):
    return type(base) == "Label" or ":" in base or base.startswith("@") or base.startswith("//")

def _problems_on(name, platform, settings):
    found = []
    where = "image {}, {}: ".format(name, platform)
    base, os = settings["base"], getattr(PLATFORMS.get(platform), "os", "linux")
    if base not in _BASES and not _is_label(base):
        found.append(where + "unknown base \"{}\"; known: {}, and labels of multiarch_debian and multiarch_base_image, such as \":{}\"".format(base, ", ".join(_BASES), base))
    elif base == "static" and os != "linux":
        found.append(where + "base static has no {}; override base with scratch for that platform".format(platform))
    if settings["compression"] not in _COMPRESSIONS:
        found.append(where + "unknown compression \"{}\"; known: {}".format(settings["compression"], ", ".join(_COMPRESSIONS)))
    if settings["cgo"] and platform in PLATFORMS and not PLATFORMS[platform].cgo:
        found.append(where + "no platform has cgo on there; override cgo with False for that platform")
    for key in settings["healthcheck"]:
        if key not in _HEALTHCHECK:
            found.append(where + "unknown key \"{}\" of healthcheck; known: {}".format(key, ", ".join(_HEALTHCHECK)))
    if not settings["binary"] and not settings["files"] and not settings["directories"] and not settings["links"] and base == "scratch":
        found.append(where + "nothing is in it; give binary, files or a base")
    return found

def multiarch_image(
        name,
        platforms,
        binary = None,
        binary_path = None,
        binary_capabilities = "",
        files = [],
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
    """An image index that runs on every platform it names.

    The targets are `:name` (the index), `:name_linux_arm64` (one a platform), `:name.layout` and `:name_linux_arm64.layout`
    (OCI image layouts, for rules_oci, crane and others), `:name.digest` (the digest of the index) and `:name_test`, which
    verifies every image of the index.

    Args:
        name: of the image.
        platforms: OCI platforms, such as `linux/amd64` and `linux/arm/v7`.
        binary: label of the program, of any language. It is built for each platform through a transition on `--platforms`.
            Its runfiles go beside it, below `binary_path` and `.runfiles`.
        binary_path: where the program goes; by default `/app/` and the image's name (with `.exe` on windows).
        binary_capabilities: file capabilities of the program, as setcap takes them, such as `cap_net_bind_service=+ep`.
        files: labels of `multiarch_files`. They are not built for a platform, so that all platforms share one layer.
        directories: directories to create, with owner and mode: `{"/var/lib/data": "65532:65532 0700"}`. Either may be left out:
            then it is that of the base, or root and 0755.
        links: symbolic links to create: `{"/usr/bin/sh": "busybox"}`.
        base: `static` (CA roots, time zones, passwd, /tmp), `scratch`, or the label of a `multiarch_debian` or
            `multiarch_base_image`, which has to have all the platforms.
        entrypoint: by default the program, or without one what the base says.
        cmd: the arguments, by default those that the base says, unless there is another entrypoint.
        env: the environment, a dict. `$NAME` and `${NAME}` are variables of the base, `$$` is a dollar sign. As in labels and
            annotations, values may be templates such as `{{.Git.Describe}}`, which are filled in from the workspace status;
            any other `{{` is literal.
        user: who runs the program, such as `65532`.
        workdir: the working directory.
        ports: the ports it listens on, such as `8080/tcp`.
        volumes: the directories that hold data.
        labels: the labels of the config, a dict.
        annotations: the annotations of the manifests and of the index, a dict.
        stop_signal: the signal that stops it.
        healthcheck: how a container runtime finds out whether a container works, a dict of `test` (a list: `CMD` and arguments,
            `CMD-SHELL` and a command, or `NONE`; without it the base's), `interval`, `timeout`, `start_period`,
            `start_interval` (such as `30s`) and `retries`. By default as the base says.
        created: when the image says it was made: empty for the epoch, `commit` (from the workspace status), or a time in
            RFC 3339.
        compression: `gzip` or `zstd`.
        cgo: whether the binary is built for a platform with cgo on, which takes a C toolchain for each architecture. Only Go needs it.
        allow: the kinds of problems with which the image is built nevertheless, such as `missing-library`; see
            `multiarch verify --help`.
        overrides: what differs on a platform: `{"linux/arm/v7": {"env": {"GOGC": "50"}}}`. The keys are the arguments above
            from binary to allow. Files are added, the dicts env, labels and annotations are merged key by key, anything else
            replaces.
        tag_prefix: the prefix of the git tags that `{{.Git.Tag}}` and `{{.Git.Describe}}` look at, such as `server/`.
        **kwargs: visibility, tags, testonly.
    """
    settings = dict(
        binary = binary,
        binary_path = binary_path,
        binary_capabilities = binary_capabilities,
        files = files,
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
    platforms = [_SPELLINGS.get(p, p) for p in platforms]
    overrides = {_SPELLINGS.get(p, p): override for p, override in overrides.items()}
    common = _problems(name, platforms, settings, overrides)
    problems = list(common)
    images = []
    shared = {}
    permitted = {}
    for platform in {p: None for p in platforms}:
        child = _merged(settings, {k: v for k, v in overrides.get(platform, {}).items() if k in settings})
        permitted = permitted | {kind: None for kind in child["allow"]}
        wrong = common + _problems_on(name, platform, child)
        child_name = "{}_{}".format(name, _slug(platform))
        images.append(child_name)
        _one(name, child_name, platform, child, wrong, shared, tag_prefix, kwargs)
        _layout(name = child_name + ".layout", image = child_name, **kwargs)
        problems = problems + [w for w in wrong if w not in problems]

    _index(
        name = name,
        images = [] if problems else images,
        annotations = annotations,
        tag_prefix = tag_prefix,
        uses_git = _uses_git(annotations.values()),
        digest = name + ".digest",
        problems = problems,
        **kwargs
    )
    _layout(name = name + ".layout", image = name, **kwargs)
    verify_test(
        name = name + "_test",
        size = "small",
        image = name,
        args = ["verify", "oci-linked:$(rootpath :%s.layout):%s" % (name, name)] + ["--allow=" + kind for kind in permitted],
        data = [name + ".layout"],
        **{k: v for k, v in kwargs.items() if k != "testonly"}
    )

def _needed(child):
    """Returns the directories that have to exist for a container to start as configured."""
    paths = {}
    for path in [child["workdir"]] + child["volumes"]:
        path = path.removeprefix("C:").replace("\\", "/").rstrip("/")
        if path.startswith("/"):
            paths[path] = None
    return sorted(paths)

def _one(image, name, platform, child, problems, shared, tag_prefix, kwargs):
    """Declares the image of a platform, and the layer of files, unless another platform has the same one."""
    row = PLATFORMS.get(platform)
    os = row.os if row else "linux"
    layers = []
    if problems:
        child = child | {"files": [], "directories": {}, "links": {}, "base": "scratch", "binary": None, "compression": "gzip"}
    if child["base"] == "static":
        layers.append(Label("//tools/rules/base:static_" + child["compression"]))
    base = None
    if child["base"] not in _BASES:
        base = base_on(child["base"], platform)
    needed = [] if problems else _needed(child)
    created = {"directories": child["directories"], "links": child["links"], "needed": needed, "user": child["user"] if needed else ""}
    if child["files"] or child["directories"] or child["links"] or (needed and not child["binary"]):
        key = repr([child["files"], child["compression"], os == "windows", base or child["base"], created])
        if key not in shared:
            shared[key] = image + ".files" + ("_%d" % (len(shared) + 1) if shared else "")
            files_layer(
                name = shared[key],
                image = image,
                files = child["files"],
                base = base or (layers[0] if layers else None),
                compression = child["compression"],
                os = os,
                platform = platform,
                **(created | kwargs)
            )
        layers.append(shared[key])
        created = {}

    path = child["binary_path"] or "/app/" + image + (".exe" if os == "windows" else "")
    entrypoint = child["entrypoint"]
    if entrypoint == None and child["binary"]:
        entrypoint = ["C:" + path.replace("/", "\\") if os == "windows" else path]
    _image(
        name = name,
        image = image,
        platform = platform,
        target = (row.cgo if child["cgo"] and not problems else row.label) if row else None,
        problems = problems,
        binary = child["binary"],
        binary_path = path,
        binary_capabilities = child["binary_capabilities"],
        needed = created.get("needed", []),
        base = base,
        layers = layers,
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
