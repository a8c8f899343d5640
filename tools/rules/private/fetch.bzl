"""Repositories with the Debian packages of multiarch.lock. Every package is verified by its SHA-256."""

load(":archives.bzl", "archives", "package_urls")

def _packages_impl(rctx):
    packages = json.decode(rctx.attr.packages)
    origins = json.decode(rctx.attr.origins)

    # Settings in multiarch.yaml take precedence over environment variables.
    where = archives(rctx.attr.mirror, rctx.attr.security, rctx.attr.keyring, rctx.getenv)
    pending = []
    for p in packages:
        urls = package_urls(p, origins[p.get("archive", "")], where)
        pending.append((p, urls, rctx.download(
            url = urls,
            output = p["sha256"] + ".deb",
            sha256 = p["sha256"],
            allow_fail = True,
            block = False,
        )))
    missing = [
        "fetching package {} {} ({}): no mirror has it: {}".format(p["name"], p["version"], p["path"], ", ".join(urls))
        for p, urls, download in pending
        if not download.wait().success
    ]
    if missing:
        # Bazel has printed each mirror's response as a warning.
        fail("\n".join(missing) + "\nhint: check that the mirrors are reachable, or lock the current packages; " +
             "run: multiarch lock --update")
    rctx.file("packages.json", rctx.attr.packages)
    rctx.file("BUILD.bazel", """load("{rules}", "debian_packages")

debian_packages(
    name = "packages",
    debs = glob(["*.deb"], allow_empty = True),
    list = "packages.json",
    visibility = ["//visibility:public"],
)
""".format(rules = Label("//tools/rules/private:base.bzl")))

_packages = repository_rule(
    implementation = _packages_impl,
    doc = "Packages of a base for one Debian architecture.",
    attrs = {
        "packages": attr.string(mandatory = True, doc = "JSON: the packages' entries in multiarch.lock."),
        "origins": attr.string(
            mandatory = True,
            doc = "JSON: the Release files that list the packages, by archive name.",
        ),
        "mirror": attr.string(doc = "Mirror of the base in multiarch.yaml."),
        "security": attr.string(doc = "Mirror of security updates in multiarch.yaml."),
        "keyring": attr.string(doc = "File with the archive's keys in multiarch.yaml."),
    },
)

def _hub_impl(rctx):
    for base, architectures in rctx.attr.bases.items():
        build = "".join([
            """alias(
    name = "{architecture}",
    actual = "@{base}//:packages",
    visibility = ["//visibility:public"],
)
""".format(architecture = a, base = _repo(rctx.attr.hub, base, a))
            for a in architectures
        ])
        rctx.file(base + "/BUILD.bazel", build)
    rctx.file("BUILD.bazel", "")

_hub = repository_rule(
    implementation = _hub_impl,
    doc = "Contains one package per base, with one target per Debian architecture.",
    attrs = {
        "hub": attr.string(mandatory = True, doc = "Name of this repository in the module."),
        "bases": attr.string_list_dict(doc = "Debian architectures, by base."),
    },
)

def _repo(hub, base, architecture):
    return "{}_{}_{}".format(hub, base, architecture)

def _bases_impl(mctx):
    hubs = {}
    for module in mctx.modules:
        for tag in module.tags.lock:
            if tag.name in hubs:
                fail("bases.lock in module {}: module {} already uses the name {}; set a different name".format(
                    module.name,
                    hubs[tag.name],
                    tag.name,
                ))
            hubs[tag.name] = module.name
            bases = {}
            for base, locked in json.decode(mctx.read(tag.file))["bases"].items():
                debian = locked.get("debian")
                if not debian:
                    continue
                bases[base] = sorted(debian["architectures"])
                security = debian.get("security")
                for architecture, packages in debian["architectures"].items():
                    _packages(
                        name = _repo(tag.name, base, architecture),
                        packages = json.encode(packages),
                        origins = json.encode({"": debian["release"]} | debian.get("archives", {})),
                        mirror = debian.get("mirror", ""),
                        security = security if type(security) == "string" else "",
                        keyring = debian.get("keyring", ""),
                    )
            _hub(name = tag.name, hub = tag.name, bases = bases)

    # multiarch.lock determines everything, so MODULE.bazel.lock need not repeat it.
    return mctx.extension_metadata(reproducible = True)

bases = module_extension(
    implementation = _bases_impl,
    doc = "Fetches the Debian packages of a multiarch.lock.",
    tag_classes = {
        "lock": tag_class(
            doc = "Declares a repository with the packages of a lock file.",
            attrs = {
                "file": attr.label(mandatory = True, doc = "The multiarch.lock."),
                "name": attr.string(default = "multiarch_bases", doc = "Name of the repository."),
            },
        ),
    },
)
