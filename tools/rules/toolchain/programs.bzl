"""Repositories with the programs that the rules run: downloaded in releases, otherwise built from source.

The go command builds them outside Bazel's Go rules, so users of this module do not inherit its Go dependencies. There
is one repository per execution platform, and Bazel fetches only those that it uses: a remote executor of another
platform than the host gets its own, cross-compiled.
"""

load("@go_host_compatible_sdk_label//:defs.bzl", "HOST_COMPATIBLE_SDK")
load(":release.bzl", "PROGRAMS")

_PLATFORMS = {
    "darwin_amd64": ["@platforms//os:osx", "@platforms//cpu:x86_64"],
    "darwin_arm64": ["@platforms//os:osx", "@platforms//cpu:aarch64"],
    "linux_amd64": ["@platforms//os:linux", "@platforms//cpu:x86_64"],
    "linux_arm64": ["@platforms//os:linux", "@platforms//cpu:aarch64"],
    "linux_ppc64le": ["@platforms//os:linux", "@platforms//cpu:ppc64le"],
    "linux_riscv64": ["@platforms//os:linux", "@platforms//cpu:riscv64"],
    "linux_s390x": ["@platforms//os:linux", "@platforms//cpu:s390x"],
    "windows_amd64": ["@platforms//os:windows", "@platforms//cpu:x86_64"],
    "windows_arm64": ["@platforms//os:windows", "@platforms//cpu:aarch64"],
}

# Packages below tools/ of the programs.
_PACKAGES = {"assemble": "assemble", "multiarch": "multiarch", "validate": "examine/validate"}

_GAZELLE = "github.com/bazelbuild/bazel-gazelle"

_LANGUAGES = """package main

import (
	"github.com/bazelbuild/bazel-gazelle/language"
	"github.com/bazelbuild/bazel-gazelle/language/bazel/visibility"
	"github.com/bazelbuild/bazel-gazelle/language/go"
	"github.com/bazelbuild/bazel-gazelle/language/proto"
	"github.com/multiarch-build/multiarch/tools/bazel/gazelle"
)

var languages = []language.Language{
	visibility.NewLanguage(),
	proto.NewLanguage(),
	golang.NewLanguage(),
	gazelle.NewLanguage(),
}
"""

_BUILD = """load("{toolchain}", "{rule}")

{rule}(
    name = "toolchain",
{programs}
    visibility = ["//visibility:public"],
)
"""

def _impl(rctx):
    suffix = ".exe" if rctx.attr.platform.startswith("windows_") else ""
    names = ["gazelle"] if rctx.attr.gazelle else list(_PACKAGES)
    released = PROGRAMS.get(rctx.attr.platform, {})
    if all([name in released for name in names]):
        for name in names:
            rctx.download(
                url = released[name].url,
                output = "bin/" + name + suffix,
                integrity = released[name].integrity,
                executable = True,
            )
    elif rctx.attr.gazelle:
        _build_gazelle(rctx, suffix)
    else:
        packages = ["./tools/" + _PACKAGES[name] for name in names]
        _go(rctx, ["build", "-ldflags=-s -w", "-o", str(rctx.path("bin")) + "/"] + packages)
        rctx.delete(".cache")
    rctx.file("BUILD.bazel", _BUILD.format(
        toolchain = Label(":toolchain.bzl"),
        rule = "gazelle_toolchain" if rctx.attr.gazelle else "multiarch_toolchain",
        programs = "\n".join(["    {} = \"bin/{}\",".format(name, name + suffix) for name in names]),
    ))

def _build_gazelle(rctx, suffix):
    """Builds Gazelle's own command with one more language, as gazelle_binary does."""
    gazelle = _go(rctx, ["mod", "download", "-json", _GAZELLE], json.decode)["Dir"]
    source = _source(rctx)
    rctx.symlink(gazelle, "gazelle")
    here = str(rctx.path("gazelle")).replace("\\", "/")
    rctx.file("languages.go", _LANGUAGES)
    replaced = {here + "/cmd/gazelle/langs.go": str(rctx.path("languages.go"))}
    rctx.file("overlay.json", json.encode({"Replace": replaced}))
    replace = "\nreplace {} => {}\n".format(_GAZELLE, json.encode(here))
    rctx.file("go.mod", rctx.read(source.get_child("go.mod")) + replace)
    rctx.file("go.sum", rctx.read(source.get_child("go.sum")))
    _go(rctx, [
        "build",
        "-modfile=" + str(rctx.path("go.mod")),
        "-overlay=" + str(rctx.path("overlay.json")),
        "-ldflags=-s -w",
        "-o",
        str(rctx.path("bin/gazelle" + suffix)),
        _GAZELLE + "/cmd/gazelle",
    ])
    for path in ["gazelle", ".cache", "languages.go", "overlay.json", "go.mod", "go.sum"]:
        rctx.delete(path)

def _source(rctx):
    return rctx.path(Label("//:go.mod")).dirname

def _go(rctx, args, parse = str):
    """Runs the go command in the source of this module. Of the caller's Go settings, only proxies apply."""
    source = _source(rctx)
    _watch(rctx, source)
    goos, _, goarch = rctx.attr.platform.partition("_")
    sdk = rctx.path(HOST_COMPATIBLE_SDK).dirname
    env = {
        "CGO_ENABLED": "0",
        "GO111MODULE": "on",
        "GOAMD64": "",
        "GOARCH": goarch,
        "GOARM64": "",
        "GOENV": "off",
        "GOEXPERIMENT": "",
        "GOFLAGS": "-buildvcs=false -mod=readonly -modcacherw -trimpath",
        "GOOS": goos,
        "GOPPC64": "",
        "GORISCV64": "",
        "GOROOT": str(sdk),
        "GOTOOLCHAIN": "auto",  # downloads a newer Go from the proxy if the SDK is older than go.mod
        "GOWORK": "off",
    }

    # rctx.getenv refetches the repository if the variable changes. Gazelle reads this one for the same purpose.
    if rctx.getenv("GO_REPOSITORY_USE_HOST_CACHE", "0") != "1":
        env["GOCACHE"] = str(rctx.path(".cache/build"))
        env["GOMODCACHE"] = str(rctx.path(".cache/mod"))
        env["GOPATH"] = str(rctx.path(".cache/path"))
    windows = rctx.os.name.startswith("windows")
    rctx.report_progress("go " + args[0])
    result = rctx.execute(
        [sdk.get_child("bin").get_child("go.exe" if windows else "go")] + args,
        environment = env,
        timeout = 3600,
        working_directory = str(source),
    )
    if result.return_code:
        hint = "\nhint: check that the Go module proxy is reachable"
        fail("building the programs of multiarch for {}: go {}: {}".format(
            rctx.attr.platform,
            " ".join(args),
            result.stderr.strip() or "exit code %d" % result.return_code,
        ) + hint)
    return parse(result.stdout)

def _watch(rctx, source):
    """Refetches the repository if the sources change, as in a local_path_override."""
    for name in ["go.mod", "go.sum"]:
        rctx.watch(source.get_child(name))
    for directory in source.get_child("tools").readdir():
        if directory.is_dir and directory.basename != "rules":
            rctx.watch_tree(directory)

_programs = repository_rule(
    implementation = _impl,
    doc = "Programs for one platform.",
    attrs = {
        "platform": attr.string(mandatory = True, doc = "Operating system and architecture, such as linux_amd64."),
        "gazelle": attr.bool(doc = "Whether to get Gazelle with the multiarch extension instead."),
    },
)

def _hub_impl(rctx):
    content = []
    for kind, toolchain_type in {"programs": "toolchain_type", "gazelle": "gazelle_toolchain_type"}.items():
        for platform, constraints in _PLATFORMS.items():
            content.append("""toolchain(
    name = "{kind}_{platform}",
    target_compatible_with = {constraints},
    toolchain = "{prefix}{kind}_{platform}//:toolchain",
    toolchain_type = "{type}",
)
""".format(
                kind = kind,
                platform = platform,
                constraints = [str(Label(c)) for c in constraints],
                prefix = rctx.attr.prefix,
                type = Label(":" + toolchain_type),
            ))
    rctx.file("BUILD.bazel", "\n".join(content))

_hub = repository_rule(
    implementation = _hub_impl,
    doc = "Declares the toolchains. Their programs are fetched if Bazel selects the toolchain.",
    attrs = {"prefix": attr.string(mandatory = True, doc = "Start of the names of the repositories with programs.")},
)

def _extension_impl(mctx):
    for platform in _PLATFORMS:
        _programs(name = "multiarch_programs_" + platform, platform = platform)
        _programs(name = "multiarch_gazelle_" + platform, platform = platform, gazelle = True)
    _hub(name = "multiarch_toolchains", prefix = "@multiarch_")
    return mctx.extension_metadata(reproducible = True)

programs = module_extension(
    implementation = _extension_impl,
    doc = "Programs that the rules run, per execution platform.",
)
