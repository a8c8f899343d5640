"""Programs in layers: the executable of a target and its runfiles."""

load(":layer.bzl", "BUILT")

_HINT = "use a binary target that respects --platforms, such as a go_binary or a cc_binary, or a single prebuilt file"

def program_of(target, where):
    """Returns the program of a target.

    Args:
        target: Target.
        where: prefix of error messages.

    Returns:
        File.
    """
    program = target[DefaultInfo].files_to_run.executable
    if program:
        return program
    files = target[DefaultInfo].files.to_list()
    if len(files) != 1:
        fail("{}: binary {} has no executable and provides {} files; {}".format(where, target.label, len(files), _HINT))
    return files[0]

def add_runfiles(ctx, args, target, program, path):
    """Adds a program's runfiles next to the program, in the directory where runfiles libraries look for them.

    Args:
        ctx: the rule's context.
        args: Args of the layer.
        target: Target of the program.
        program: File.
        path: path of the program in the image.

    Returns:
        list of depsets of File.
    """
    runfiles = target[DefaultInfo].default_runfiles
    if not runfiles:
        return []
    to = path + ".runfiles/"
    main = ctx.workspace_name

    def entry(path, file):
        about = {"path": to + path, "from": file.path, "detectMode": True}
        if not file.is_source:
            about |= BUILT
        return "-entry=" + json.encode(about)

    def below(short_path):
        return short_path[len("../"):] if short_path.startswith("../") else main + "/" + short_path

    def of_file(file):
        if file == program:
            return []
        return [entry(below(file.short_path), file)]

    def of_link(link):
        return [entry(main + "/" + link.path, link.target_file)]

    def of_root_link(link):
        return [entry(link.path, link.target_file)]

    for links, each in [(runfiles.symlinks, of_link), (runfiles.root_symlinks, of_root_link)]:
        args.add_all(links, map_each = each, allow_closure = True)
    args.add_all(runfiles.files, map_each = of_file, allow_closure = True)

    # The __init__.py files that py_binary adds exist only as names.
    args.add_all(
        runfiles.empty_filenames,
        map_each = lambda name: "-entry=" + json.encode({"path": to + below(name)}),
        allow_closure = True,
    )
    inputs = [
        runfiles.files,
        depset([l.target_file for l in runfiles.symlinks.to_list() + runfiles.root_symlinks.to_list()]),
    ]
    others = [f for f in runfiles.files.to_list() if f != program]
    mapping = getattr(target[DefaultInfo].files_to_run, "repo_mapping_manifest", None)
    if mapping and others:
        args.add_all([mapping], map_each = lambda file: [entry("_repo_mapping", file)], allow_closure = True)
        inputs.append(depset([mapping]))
    return inputs
