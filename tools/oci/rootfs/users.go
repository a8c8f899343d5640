package rootfs

import (
	"strconv"
	"strings"
)

const (
	passwdFile = "/etc/passwd"
	groupFile  = "/etc/group"
)

// MaxUserList is how large a list of users can be, in bytes, to be read.
const MaxUserList = 4 << 20

// IsUserList tells whether a path is one of the lists of users and groups, whose contents a Tree keeps.
func IsUserList(p string) bool { return p == passwdFile || p == groupFile }

// Owner returns the numbers of a user as an image config names it: user, uid, user:group or uid:gid. Without a group,
// the group is the user's own, or of the user's number if /etc/passwd does not have the user. ok is false for a name
// that is unknown.
func (t *Tree) Owner(user string) (uid, gid int, ok bool) {
	name, group, both := strings.Cut(user, ":")
	uid, gid, ok = t.user(name)
	if ok && both {
		gid, ok = t.group(group)
	}
	return uid, gid, ok
}

func (t *Tree) user(name string) (uid, gid int, ok bool) {
	id, numeric := number(name)
	for _, line := range t.lines(passwdFile) {
		// name:password:uid:gid:...
		fields := strings.Split(line, ":")
		if len(fields) < 4 {
			continue
		}
		u, sound := number(fields[2])
		g, soundGroup := number(fields[3])
		if sound && soundGroup && (fields[0] == name || numeric && u == id) {
			return u, g, true
		}
	}
	return id, id, numeric
}

func (t *Tree) group(name string) (gid int, ok bool) {
	for _, line := range t.lines(groupFile) {
		// name:password:gid:...
		fields := strings.Split(line, ":")
		if len(fields) < 3 || fields[0] != name {
			continue
		}
		if g, sound := number(fields[2]); sound {
			return g, true
		}
	}
	return number(name)
}

func (t *Tree) lines(file string) []string {
	_, n, err := t.Resolve(file, false)
	if err != nil || n == nil {
		return nil
	}
	return strings.Split(n.Content, "\n")
}

func number(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err == nil
}
