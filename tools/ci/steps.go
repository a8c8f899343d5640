package ci

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// diskCache limits the size of Bazel's disk cache (Bazel 7.4 or later). Bazel collects garbage when it is idle; the
// default delay of five minutes is too long for a CI job.
const diskCache = "--experimental_disk_cache_gc_max_size=3G --experimental_disk_cache_gc_idle_delay=0"

// bazel returns a Bazel command with a disk cache. All commands use the release configuration, so that a preview builds
// exactly what a release publishes, and a release can reuse it.
func (o Options) bazel(command, rest string) string {
	folder := "$HOME/.cache/multiarch-bazel"
	if o.System == GitLab {
		folder = "$CI_PROJECT_DIR/.cache/bazel" // GitLab caches only files in the project directory
	}
	return o.Bazelisk + " " + command + ` --config=release --disk_cache="` + folder + `" ` + diskCache + " " + rest
}

// prepare returns the first steps of every job that builds.
func (o Options) prepare() []step {
	check := step{Name: "Check generated files"}
	if o.Lock {
		check.Lines = append(check.Lines, o.Multiarch+" lock --check")
	}
	if o.Engine == Bazel {
		check.Lines = append(check.Lines, o.Multiarch+" generate --check")
	}
	if o.Check != "" {
		check.Lines = append(check.Lines, o.Multiarch+" ci "+o.Check+" --check")
	}
	return []step{o.emulators(), check}
}

// emulators installs qemu-user on systems that start a new machine or container per job.
func (o Options) emulators() step {
	s := step{Name: "Install emulators for smoke tests"}
	if !o.Smoke() {
		return s
	}
	install := []string{"apt-get update", "apt-get install -y --no-install-recommends qemu-user-static"}
	switch o.System {
	case GitHub:
		s.Lines = []string{
			"sudo " + install[0], "sudo " + install[1],
			// Ubuntu restricts user namespaces, which are needed to run images.
			"sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
		}
	case GitLab:
		s.Lines = install
	}
	return s
}

// preview builds and verifies all images without pushing them.
func (o Options) preview() step {
	s := step{Name: "Build, verify and preview the release"}
	if o.Engine == Bazel {
		s.Lines = append(s.Lines, o.bazel("test", Quote("//"+o.Package+":all")))
	} else {
		s.Lines = append(s.Lines, o.Multiarch+" build --output dist", o.Multiarch+" verify oci:dist")
	}
	s.Lines = append(s.Lines, o.runRelease("--dry-run"+o.smoke()))
	return s
}

func (o Options) release() step {
	return step{
		Name:  "Release",
		Lines: []string{o.runRelease(strings.TrimSpace(o.smoke() + ` --metadata-file "$PWD/release.json"`))},
	}
}

// runRelease returns the release command with flags.
func (o Options) runRelease(flags string) string {
	if o.Engine == Bazel {
		if o.Registry != "" {
			flags = "--registry " + Quote(o.Registry) + " " + flags
		}
		return o.bazel("run", Quote("//"+o.Package+":push")+" -- "+flags)
	}
	return o.releaseCommand() + " " + flags
}

// releaseCommand returns the release command of the embedded engine.
func (o Options) releaseCommand() string {
	if o.Registry != "" {
		return o.Multiarch + " release --registry " + Quote(o.Registry)
	}
	return o.Multiarch + " release"
}

// Smoke reports whether images have smoke tests.
func (o Options) Smoke() bool {
	return slices.ContainsFunc(o.Images, func(i Image) bool { return i.Smoke })
}

// smoke returns the flag for smoke tests, which is an error without smoke tests.
func (o Options) smoke() string {
	if o.Smoke() {
		return " --smoke"
	}
	return ""
}

func (o Options) login() step {
	s := step{Name: "Log in"}
	for _, host := range o.Registries {
		l := loginOf(host)
		s.Logins = append(s.Logins, l)
		s.Lines = append(s.Lines, o.loginLine(l))
	}
	s.Lines = o.withDockerConfig(s.Lines)
	return s
}

func (o Options) loginLine(l login) string {
	return `printf '%s' "$` + l.Password + `" | ` + o.Multiarch + " login " + Quote(
		l.Host,
	) + ` --username "$` + l.Username + `" --password-stdin`
}

// loginIfPossible logs in if credentials are available, which they are not for changes from forks. Without a login, a
// dry run shows private images as new, and private bases cannot be read.
func (o Options) loginIfPossible() step {
	s := step{Name: "Log in if credentials are available"}
	for _, host := range o.Registries {
		l := loginOf(host)
		s.Logins = append(s.Logins, l)
		s.Lines = append(s.Lines, `if [ -n "${`+l.Password+`:-}" ]; then`, "  "+o.loginLine(l),
			"else", "  echo "+Quote("no credentials for "+host+": private images are shown as new"), "fi")
	}
	s.Lines = o.withDockerConfig(s.Lines)
	return s
}

// withDockerConfig keeps logins out of the user's home directory. For GitLab and Jenkins the template sets
// DOCKER_CONFIG for a job.
func (o Options) withDockerConfig(lines []string) []string {
	if o.System != GitHub || len(lines) == 0 {
		return lines
	}
	return append(
		[]string{`export DOCKER_CONFIG="$RUNNER_TEMP/docker"`, `echo "DOCKER_CONFIG=$DOCKER_CONFIG" >>"$GITHUB_ENV"`},
		lines...)
}

// notInNames matches characters that are not allowed in names of variables.
var notInNames = regexp.MustCompile(`[^A-Z0-9]+`)

func loginOf(host string) login {
	variable := notInNames.ReplaceAllString(strings.ToUpper(host), "_")
	// Variables cannot start with a digit, and GitHub secrets cannot start with GITHUB_.
	if variable[0] >= '0' && variable[0] <= '9' || strings.HasPrefix(variable, "GITHUB_") {
		variable = "REGISTRY_" + variable
	}
	return login{host, variable + "_USERNAME", variable + "_PASSWORD"}
}

// checkLogins rejects hosts that would share a variable, because one would receive the other's password.
func (o Options) checkLogins() error {
	by := map[string]string{} // hosts by variable
	for _, host := range o.Registries {
		variable := loginOf(host).Password
		if other, taken := by[variable]; taken {
			return &LoginError{other, host, variable}
		}
		by[variable] = host
	}
	return nil
}

// LoginError reports two registries whose passwords would be in the same variable.
type LoginError struct{ One, Other, Variable string }

func (e *LoginError) Error() string {
	return fmt.Sprintf("registries %s and %s would share the variable %s", e.One, e.Other, e.Variable)
}

// Hint returns how to fix the error.
func (e *LoginError) Hint() string {
	return fmt.Sprintf("add the port to one of them in the configuration: %s:443", e.Other)
}

// build builds a runner's images and platforms and pushes them with a temporary tag. The images and platforms are
// determined when the pipeline runs.
func (o Options) build(runners []runner, r runner) step {
	s := step{Name: "Build for " + r.arch + " and push with a temporary tag", Run: true}
	var all []string
	for _, one := range runners {
		all = append(all, one.arch)
	}
	selection := " --runner " + r.arch + " --runners " + strings.Join(all, ",")
	part := o.releaseCommand() + o.smoke() + selection + ` --part "ci-$RUN-` + r.arch + `"`
	if o.Engine == Bazel {
		s.Lines = append(
			s.Lines,
			o.Multiarch+" plan --labels"+selection+" >"+targets,
			o.bazel("build", "--target_pattern_file="+targets),
		)
		part += " --layouts " + Quote(path.Join("bazel-bin", o.Package))
	}
	s.Lines = append(s.Lines, part)
	return s
}

// targets is the file with the labels that Bazel builds.
const targets = "bazel-targets.txt"

// join releases the joined parts. Smoke tests of the parts ran where they were built; those of images that join
// existing images run here.
func (o Options) join(parts []string) []step {
	s := step{Name: "Join and release", Run: true}
	command := o.releaseCommand() + ` --join "` + strings.Join(parts, ",") + `"`
	var all []step
	if o.smokesExisting() {
		all = append(all, o.emulators())
		command += " --smoke=existing"
	}
	s.Lines = []string{command + ` --metadata-file "$PWD/release.json"`}
	return append(all, o.login(), s)
}

// smokesExisting reports whether images that join existing ones have smoke tests.
func (o Options) smokesExisting() bool {
	return slices.ContainsFunc(o.Images, func(i Image) bool { return i.Smoke && len(i.Platforms) == 0 })
}
