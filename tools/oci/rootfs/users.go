package rootfs

import (
	"strconv"
	"strings"
)

const (
	passwdFile = "/etc/passwd"
	groupFile  = "/etc/group"
)

// MaxUserList is the size in bytes above which /etc/passwd and /etc/group are not read.
const MaxUserList = 4 << 20

// IsUserList reports whether a path is /etc/passwd or /etc/group, whose content a Tree keeps.
func IsUserList(p string) bool { return p == passwdFile || p == groupFile }

// Owner returns the uid and gid of a user in the notation of an image config: user, uid, user:group or uid:gid. Without
// a group, the gid is the one in /etc/passwd, or the uid if /etc/passwd does not list the user. ok is false if a name
// is unknown.
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
