package ci

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// diskCache is how much of that Bazel keeps (since 7.4). It removes the rest once it has nothing to do, which in a pipeline
// has to be at once: machines are gone before the five minutes that it waits by itself.
const diskCache = "--experimental_disk_cache_gc_max_size=3G --experimental_disk_cache_gc_idle_delay=0"

// bazel is a command of Bazel, which keeps the outputs of actions between runs. All builds are release builds, which are
// stamped, so that a preview tries out what a release publishes, and a release builds nothing again.
func (o Options) bazel(command, rest string) string {
	folder := "$HOME/.cache/multiarch-bazel"
	if o.System == GitLab {
		folder = "$CI_PROJECT_DIR/.cache/bazel" // GitLab caches nothing outside
	}
	return o.Bazelisk + " " + command + ` --config=release --disk_cache="` + folder + `" ` + diskCache + " " + rest
}

// prepare is what comes first wherever something is built.
func (o Options) prepare() []step {
	check := step{Name: "Check that what is generated is up to date"}
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

// emulators installs qemu-user where the system's machines are known and belong to the job.
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
			// Ubuntu keeps user namespaces, in which images run, from all but a few programs.
			"sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
		}
	case GitLab:
		s.Lines = install
	}
	return s
}

// preview builds all and sends nothing.
func (o Options) preview() step {
	s := step{Name: "Build, verify, and say what a release would do"}
	if o.Engine == Bazel {
		s.Lines = append(s.Lines, o.bazel("test", Quote("//"+o.Package+":all")))
	} else {
		s.Lines = append(s.Lines, o.Multiarch+" build --output dist", o.Multiarch+" verify oci:dist")
	}
	s.Lines = append(s.Lines, o.releases("--dry-run"+o.smoke()))
	return s
}

func (o Options) release() step {
	return step{Name: "Release", Lines: []string{o.releases(strings.TrimSpace(o.smoke() + ` --metadata-file "$PWD/release.json"`))}}
}

// releases is the command that releases, with flags.
func (o Options) releases(flags string) string {
	if o.Engine == Bazel {
		return o.bazel("run", Quote("//"+path.Join(o.Package, "push"))+" -- "+flags)
	}
	return o.releasing() + " " + flags
}

// releasing is the command of the embedded engine that releases.
func (o Options) releasing() string {
	if o.Registry != "" {
		return o.Multiarch + " release --registry " + Quote(o.Registry)
	}
	return o.Multiarch + " release"
}

// Smoke is that images have smoke tests.
func (o Options) Smoke() bool {
	return slices.ContainsFunc(o.Images, func(i Image) bool { return i.Smoke })
}

// smoke is the flag that tries images out, which fails if there is nothing to try out.
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
		s.Lines = append(s.Lines, o.logsIn(l))
	}
	s.Lines = o.apart(s.Lines)
	return s
}

func (o Options) logsIn(l login) string {
	return `printf '%s' "$` + l.Password + `" | ` + o.Multiarch + " login " + Quote(l.Host) + ` --username "$` + l.Username + `" --password-stdin`
}

// mayLogin logs in where a proposed change is given passwords: those from forks are not. Without a login, what a registry
// keeps to itself looks new to a dry run, and private bases cannot be read.
func (o Options) mayLogin() step {
	s := step{Name: "Log in, where there are passwords"}
	for _, host := range o.Registries {
		l := loginOf(host)
		s.Logins = append(s.Logins, l)
		s.Lines = append(s.Lines, `if [ -n "${`+l.Password+`:-}" ]; then`, "  "+o.logsIn(l),
			"else", "  echo "+Quote("no login for "+host+", as for proposals from forks: what it keeps to itself looks new"), "fi")
	}
	s.Lines = o.apart(s.Lines)
	return s
}

// apart keeps logins out of the home of whoever runs pipelines. GitLab and Jenkins say so for a whole job.
func (o Options) apart(lines []string) []string {
	if o.System != GitHub || len(lines) == 0 {
		return lines
	}
	return append([]string{`export DOCKER_CONFIG="$RUNNER_TEMP/docker"`, `echo "DOCKER_CONFIG=$DOCKER_CONFIG" >>"$GITHUB_ENV"`}, lines...)
}

// notInNames is what variables are not called.
var notInNames = regexp.MustCompile(`[^A-Z0-9]+`)

func loginOf(host string) login {
	variable := notInNames.ReplaceAllString(strings.ToUpper(host), "_")
	// No variable begins with a digit, and no secret of GitHub with its name.
	if variable[0] >= '0' && variable[0] <= '9' || strings.HasPrefix(variable, "GITHUB_") {
		variable = "REGISTRY_" + variable
	}
	return login{host, variable + "_USERNAME", variable + "_PASSWORD"}
}

// checkLogins refuses hosts whose names are too much alike: one would be sent the other's password.
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

// LoginError is returned for registries whose passwords would come from one variable.
type LoginError struct{ One, Other, Variable string }

func (e *LoginError) Error() string {
	return fmt.Sprintf("the passwords of %s and of %s would both be in %s", e.One, e.Other, e.Variable)
}

// Hint says how to tell them apart.
func (e *LoginError) Hint() string {
	return fmt.Sprintf("write one of them with its port wherever it is named, such as %s:443", e.Other)
}

// build builds what a runner is for, and puts it under a tag that nobody uses. Which images and platforms these are is
// worked out when the pipeline runs.
func (o Options) build(runners []runner, r runner) step {
	s := step{Name: "Build for " + r.arch + ", under a tag of this run", Run: true}
	var all []string
	for _, one := range runners {
		all = append(all, one.arch)
	}
	share := " --runner " + r.arch + " --runners " + strings.Join(all, ",")
	part := o.releasing() + o.smoke() + share + ` --part "ci-$RUN-` + r.arch + `"`
	if o.Engine == Bazel {
		s.Lines = append(s.Lines, o.Multiarch+" plan --labels"+share+" >"+targets, o.bazel("build", "--target_pattern_file="+targets))
		part += " --layouts " + Quote(path.Join("bazel-bin", o.Package))
	}
	s.Lines = append(s.Lines, part)
	return s
}

// targets is the file with the labels of what Bazel builds.
const targets = "bazel-targets.txt"

// join moves the tags, once all parts are there. Parts have been tried out where they were built, as natively as can be;
// images that join existing ones have not.
func (o Options) join(parts []string) []step {
	s := step{Name: "Join what was built, and release it", Run: true}
	command := o.releasing() + ` --join "` + strings.Join(parts, ",") + `"`
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
