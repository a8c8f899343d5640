package config

import "reflect"

// description returns the text of the JSON Schema for a field of the configuration.
func description(t reflect.Type, field string) string {
	return descriptions[t.Name()+"."+field]
}

// descriptions document the fields of the configuration, by type and field.
var descriptions = map[string]string{
	"Config.Version": "Version of this format: 1.",
	"Config.Registry": "Registry, with an optional path, that images are pushed to. --registry and " +
		"MULTIARCH_REGISTRY override it.",
	"Config.Mirrors": "Further registries, with an optional path, that also receive every image. --registry and " +
		"MULTIARCH_REGISTRY disable them.",
	"Config.Registries": "Connection settings of registries, by host.",
	"Config.Platforms":  "Platforms of every image that does not set its own.",
	"Config.Bases":      "Base images, by name. scratch and static are always defined.",
	"Config.Images":     "Images, by name.",

	"Base.Builtin": "static (CA roots, time zones, passwd, /tmp) or scratch (empty).",
	"Base.Image":   "An image or image index in a registry.",
	"Base.Debian":  "Packages of a Debian suite and their dependencies.",
	"Base.Platforms": "Platforms that the image index lists under another name: {linux/arm/v7: linux/arm} " +
		"selects the image without a variant.",

	"Debian.Suite":      "Suite, such as trixie. Its security and updates archives are included.",
	"Debian.Packages":   "Packages to install.",
	"Debian.Exclude":    "Packages to leave out although other packages depend on them.",
	"Debian.Components": "Components of the suite; default: main.",
	"Debian.Mirror":     "Mirror; default: the machine's own apt sources.",
	"Debian.Security": "false locks the suite without its security and updates archives; a URL is the mirror of " +
		"its security archive; default: true.",
	"Debian.Keyring": "File of OpenPGP public keys. Every Release must be signed by one of them; default: the " +
		"keys of Debian's archive.",
	"Debian.CheckValidUntil": "false accepts a Release after its Valid-Until, for frozen archives; default: true.",
	"Debian.Slim":            "Leave out documentation, man pages and locales. Licences are kept.",

	"Image.Bazel": "Bazel label of the binary, if the rules cannot derive it.",
	"Image.From": "Existing images to join: references by platform, or a list of references that declare " +
		"their own platforms. References are relative to the registry, like push.repository.",
	"Image.Platforms": "Platforms of this image; default: those at the top of the file.",
	"Image.Overrides": "Settings that differ on one platform. Files, directories and links are added, maps are " +
		"merged by key, anything else is replaced.",
	"Image.Push":  "Repositories and tags of the image.",
	"Image.Smoke": "Test of every platform's image before a release, run by multiarch release --smoke.",

	"Settings.Go":    "Go main package to compile and add.",
	"Settings.Files": "Files and directories to add.",
	"Settings.Directories": "" +
		"Directories to create, such as those for data. Overrides add to them and replace entries " +
		"with the same path.",
	"Settings.Links": "Symbolic links to create. Overrides add to them and replace entries with the same path.",
	"Settings.Base": "Name of a base, or names by platform: {default: static, windows/amd64: nano}; default: " +
		"static.",
	"Settings.Entrypoint": "Program to run, and its first arguments; default: the Go binary, at /app/<image>.",
	"Settings.Cmd":        "Default arguments, which users of the image can replace.",
	"Settings.Env": "Environment variables. Templates such as {{.Git.Describe}} are expanded. $NAME and " +
		"${NAME} refer to variables of the base, as in PATH: /extra/bin:$PATH; $$ is a dollar " +
		"sign.",
	"Settings.User":    "User to run as: USER or USER:GROUP, by name or number.",
	"Settings.Workdir": "Working directory.",
	"Settings.Ports":   "Ports that the program listens on, such as 8080/tcp.",
	"Settings.Volumes": "Directories intended as mount points.",
	"Settings.Labels": "Labels of the image config. Templates such as {{.Git.Commit}} are expanded; any other {{ " +
		"is literal.",
	"Settings.Annotations": "Annotations of each manifest and of the index. Templates such as {{.Git.Commit}} are " +
		"expanded; any other {{ is literal.",
	"Settings.StopSignal": "Signal that stops the program, such as SIGINT.",
	"Settings.Healthcheck": "" +
		"Health check for container runtimes; default: that of the base. Overrides are merged by " +
		"key.",
	"Settings.Created":     "Creation time to record: epoch (default), commit, or a time in RFC 3339.",
	"Settings.Compression": "Compression of layers: gzip (default) or zstd.",
	"Settings.Allow":       "Kinds of problems that do not prevent the image from being built and published.",

	"Go.Package": "Main package: a directory such as ./app/hello, or an import path in the module graph.",
	"Go.Ldflags": "Linker flags. Templates are expanded: -X main.version={{.Git.Describe}} is v1.0.0 on " +
		"that tag and v1.0.0-3-gabcdef1 after it. Default: -s -w, no debug symbols.",
	"Go.Tags":         "Build tags.",
	"Go.Env":          "Environment of the go command, such as GOEXPERIMENT.",
	"Go.Capabilities": "File capabilities of the program in setcap notation, such as cap_net_bind_service=+ep.",
	"Go.Cgo": "Compile with cgo; default: false. The C compiler is CC in env, else CC_ARCH in the " +
		"environment, else Debian's cross compiler.",

	"File.From": "File or directory; every .git inside a directory is left out. {os}, {arch} and {variant} " +
		"are replaced by the platform's.",
	"File.To": "Absolute path in the image. If it ends in a slash, a file is copied into that directory. " +
		"The content of a directory always is.",
	"File.Glob": "Copy only files whose path relative to from matches one of these; ** matches " +
		"directories, a leading ! excludes.",
	"File.Mode": "Permission bits of files, in octal; default: 0755 for executables, 0644 for others. " +
		"Directories created by from: get them too, with search permission added wherever read " +
		"permission is set. Directories of the base keep their mode.",
	"File.Owner": "uid or uid:gid of the files and of directories that from: creates, including to:; " +
		"default: 0:0. Directories of the base keep their owner.",
	"File.Capabilities": "File capabilities of the files in setcap notation, such as cap_net_bind_service=+ep.",

	"Directory.Path":  "Absolute path in the image.",
	"Directory.Owner": "uid or uid:gid; default: 0:0, or the owner that the directory has in the base.",
	"Directory.Mode":  "Permission bits, in octal; default: 0755, or the mode that the directory has in the base.",

	"Link.Path": "Absolute path of the link.",
	"Link.To":   "Target: an absolute path, or one relative to the directory of the link.",

	"Push.Repository": "A repository, or a list of them, relative to the registry. If the first path component " +
		"has a dot or a colon or is localhost, it is a full reference. Default: the image's name.",
	"Push.Tags": "Tags. Templates are expanded; an empty result is skipped, such as {{.Git.Tag}} if HEAD " +
		"has no tag. Default: latest.",
	"Push.PerPlatform": "Also push every platform's image to a repository of its own, named by this template.",
	"Push.TagPrefix": "Prefix of this image's git tags, such as server/ in a monorepo. {{.Git.Tag}} and " +
		"{{.Git.Describe}} ignore other tags and omit the prefix.",
	"Push.Immutable": "Tags that are never moved once they exist: true for all, or a list of patterns such as " +
		"v*.",

	"Healthcheck.Test": "[CMD, PROGRAM, ARGUMENT...], [CMD-SHELL, COMMAND] for the image's shell, or [NONE]; a " +
		"string is a shell command. Default: that of the base.",
	"Healthcheck.Interval":      "Time between two checks, such as 30s or 1m30s; default: 30s.",
	"Healthcheck.Timeout":       "Maximum duration of a check; default: 30s.",
	"Healthcheck.StartPeriod":   "Time after the start during which failures do not count; default: 0s.",
	"Healthcheck.StartInterval": "Time between two checks during the start period; default: 5s.",
	"Healthcheck.Retries":       "Number of consecutive failures after which a container is unhealthy; default: 3.",
	"Healthcheck.Disable":       "Disable the check, including that of the base; same as test: [NONE].",

	"Registry.Insecure": "Allow plain HTTP and untrusted certificates.",
	"Registry.Jobs": "Maximum number of concurrent requests to this registry, and of concurrent blob downloads " +
		"from it; default: 96 each when pushing.",

	"Smoke.Args": "Arguments that replace the image's cmd.",
	"Smoke.Env":  "Environment variables, merged with those of the image.",
	"Smoke.Exit": "Expected exit code; default: 0.",
	"Smoke.Stdout": "Regular expression that must match somewhere in the output; ^ and $ match at line " +
		"boundaries.",
	"Smoke.Timeout": "Maximum duration, such as 30s or 2m; default: 1m.",
	"Smoke.Skip":    "Platforms that are not tested, such as those that neither this machine nor qemu-user can run.",
	"Smoke.HTTP":    "Request that the running program must answer.",

	"SmokeHTTP.Path":   "Path to request; default: /.",
	"SmokeHTTP.Port":   "TCP port that the program listens on. The host's network is used.",
	"SmokeHTTP.Status": "Expected status; default: 200.",
	"SmokeHTTP.Body":   "Regular expression that must match somewhere in the body.",
}
