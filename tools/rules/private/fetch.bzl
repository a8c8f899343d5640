"""Fetching Debian packages: multiarch.lock in, repositories out, every package by its SHA-256."""

load(":archives.bzl", "archives", "package_urls")

def _packages_impl(rctx):
    packages = json.decode(rctx.attr.packages)
    origins = json.decode(rctx.attr.origins)

    # What multiarch.yaml gives the base comes first, then what this machine gives.
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
    lost = ["package {} {} ({}): not to be had from {}".format(p["name"], p["version"], p["path"], ", ".join(urls)) for p, urls, download in pending if not download.wait().success]
    if lost:
        # What each of them has answered is in the warnings before.
        fail("\n".join(lost) + "\nhint: see that the mirrors can be reached, or take the packages of today instead; run: multiarch lock --update")
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
    doc = "The packages of a base on one Debian architecture.",
    attrs = {
        "packages": attr.string(mandatory = True, doc = "JSON: the packages, as they stand in multiarch.lock."),
        "origins": attr.string(mandatory = True, doc = "JSON: the Releases that the packages are from, by the names that packages have of them."),
        "mirror": attr.string(doc = "The mirror that multiarch.yaml gives the base."),
        "security": attr.string(doc = "The mirror of security updates that multiarch.yaml gives the base."),
        "keyring": attr.string(doc = "The file of the archive's keys that multiarch.yaml gives the base."),
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
    doc = "A package for each base, with a target for each Debian architecture.",
    attrs = {
        "hub": attr.string(mandatory = True, doc = "The name of this repository in the module."),
        "bases": attr.string_list_dict(doc = "The architectures, by base."),
    },
)

def _repo(hub, base, architecture):
    return "{}_{}_{}".format(hub, base, architecture)

def _bases_impl(mctx):
    hubs = {}
    for module in mctx.modules:
        for tag in module.tags.lock:
            if tag.name in hubs:
                fail("bases.lock in module {}: the name {} is taken by module {}; give another name".format(module.name, tag.name, hubs[tag.name]))
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

    # All that counts is in multiarch.lock: MODULE.bazel.lock need not repeat it.
    return mctx.extension_metadata(reproducible = True)

bases = module_extension(
    implementation = _bases_impl,
    doc = "The Debian packages of a multiarch.lock.",
    tag_classes = {
        "lock": tag_class(
            doc = "A lock, and the repository that its packages are reached by.",
            attrs = {
                "file": attr.label(mandatory = True, doc = "The multiarch.lock."),
                "name": attr.string(default = "multiarch_bases", doc = "The name of the repository."),
            },
        ),
    },
)
