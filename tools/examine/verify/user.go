package verify

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/multiarch-build/multiarch/tools/spec/finding"
)

// The files in which runtimes look up user and group names.
const (
	passwdFile = "/etc/passwd"
	groupFile  = "/etc/group"
)

// checkUser checks that a runtime finds the user and the group of the config. Image spec, "Image JSON Field
// Descriptions".
func (p *programChecks) checkUser(user string) {
	if user == "" || p.root.windows {
		return
	}
	name, group, _ := strings.Cut(user, ":")
	p.checkAccount(name, passwdFile, "user")
	if group != "" {
		p.checkAccount(group, groupFile, "group")
	}
}

// checkAccount checks that a name is in a file. Numbers need no entry.
func (p *programChecks) checkAccount(name, file, what string) {
	if isNumeric(name) {
		return
	}
	at := p.root.resolve(file)
	switch {
	case p.root.overLimit(), !at.found && p.root.partial:
	case name == "":
		p.problem(finding.UnknownUser, location{}, "the config has an empty %s name", what)
	case !at.found || at.kind != regular:
		p.problem(finding.UnknownUser, location{}, "the %s %s cannot be looked up: the image has no %s", what, name, file)
	case at.text == nil:
		p.problem(finding.NotExamined, location{}, "the %s %s cannot be looked up: %s is a link, or too long", what, name,
			file)
	case !slices.ContainsFunc(strings.Split(*at.text, "\n"), func(line string) bool {
		first, _, entry := strings.Cut(line, ":")
		return entry && strings.TrimSpace(first) == name
	}):
		p.problem(finding.UnknownUser, location{}, "the %s %s is not in %s", what, name, file)
	}
}

// isNumericUser reports whether a runtime can resolve a user without the files of the image.
func isNumericUser(user string) bool {
	name, group, both := strings.Cut(user, ":")
	return user == "" || isNumeric(name) && (!both || isNumeric(group))
}

func isNumeric(id string) bool {
	_, err := strconv.ParseUint(id, 10, 32)
	return err == nil
}

// checkWorkdir checks that the working directory exists.
func (p *programChecks) checkWorkdir(dir string) {
	if dir == "" || p.root.windows {
		return
	}
	if !path.IsAbs(dir) {
		p.problem(finding.MissingWorkdir, location{}, "the working directory %s is not an absolute path", dir)
		return
	}
	switch at := p.root.resolve(dir); {
	case p.root.overLimit():
	case at.found && at.kind == directory:
	case at.found:
		p.problem(finding.MissingWorkdir, location{}, "the working directory %s is not a directory", dir)
	case !p.root.partial:
		p.problem(finding.MissingWorkdir, location{}, "the working directory %s does not exist", dir)
	}
}
