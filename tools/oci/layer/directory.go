package layer

import (
	"cmp"

	"github.com/multiarch-build/multiarch/tools/oci/filecap"
)

// ImplicitDir returns the entry of a directory that exists because of its files. Without an owner
// and a mode, it equals the parents that Place adds. mode is that of the files, or 0.
func ImplicitDir(p string, mode uint32, uid, gid int) Entry {
	e := newDirectory(p)
	if mode != 0 || uid != 0 || gid != 0 {
		e.Mode, e.UID, e.GID = 0o755, uid, gid
	}
	if mode != 0 {
		e.Mode = searchable(mode)
	}
	return e
}

// searchable derives the mode of a directory from that of files: search permission follows read
// permission, and bits with another meaning for directories are cleared.
func searchable(mode uint32) uint32 {
	return (mode | mode>>2&0o111) & 0o777
}

// Owner is a user and a group.
type Owner struct{ UID, GID int }

// ExplicitDir returns the entry of a directory that is configured explicitly. If mode is 0 or owner
// is nil, those of the base are kept, or are 0755 and root.
func ExplicitDir(p string, mode uint32, owner *Owner) Entry {
	e := newDirectory(p)
	e.Mode, e.KeepMode, e.KeepOwner, e.Rank = cmp.Or(mode, e.Mode), mode == 0, owner == nil, RankExplicit
	if owner != nil {
		e.UID, e.GID = owner.UID, owner.GID
	}
	return e
}

// ExplicitLink returns the entry of a symbolic link that is configured explicitly.
func ExplicitLink(p, to string) Entry {
	return Entry{Path: p, Kind: Symlink, Mode: 0o777, Link: to, Rank: RankExplicit}
}

// requiredDir returns the entry of a directory that must exist. If nothing else creates it and the
// base does not have it, it gets the given owner.
func requiredDir(p string, uid, gid int) Entry {
	return Entry{Path: p, Kind: Dir, Mode: 0o755, UID: uid, GID: gid, KeepMode: true, KeepOwner: true, Rank: RankNeeded}
}

// newDirectory returns the entry of a directory with default owner and mode.
func newDirectory(p string) Entry {
	e := conventional[p]
	e.Path, e.Kind, e.Mode = p, Dir, cmp.Or(e.Mode, 0o755)
	e.KeepMode, e.KeepOwner = true, true
	return e
}

// Capabilities returns the value of security.capability for capabilities in setcap notation; nil
// for "".
func Capabilities(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	set, err := filecap.Parse(text)
	if err != nil {
		return nil, err
	}
	return set.Encode(), nil
}
