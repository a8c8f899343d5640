package layer

import (
	"cmp"

	"github.com/multiarch-build/multiarch/tools/oci/filecap"
)

// TreeDir is the entry of a directory that comes with files. Without an owner and a mode, it is what Place makes of
// missing parents. mode is that of files, 0 for none.
func TreeDir(p string, mode uint32, uid, gid int) Entry {
	e := newDirectory(p)
	if mode != 0 || uid != 0 || gid != 0 {
		e.Mode, e.UID, e.GID = 0o755, uid, gid
	}
	if mode != 0 {
		e.Mode = searchable(mode)
	}
	return e
}

// searchable makes the mode of a directory of that of files: whoever can read it can search it, and bits that mean
// something else for directories are left out.
func searchable(mode uint32) uint32 {
	return (mode | mode>>2&0o111) & 0o777
}

// Owner is a user and a group.
type Owner struct{ UID, GID int }

// ExplicitDir is the entry of a directory that was asked for. A mode of 0 and a nil owner are those of the base, or 0755
// and root.
func ExplicitDir(p string, mode uint32, owner *Owner) Entry {
	e := newDirectory(p)
	e.Mode, e.KeepMode, e.KeepOwner, e.Rank = cmp.Or(mode, e.Mode), mode == 0, owner == nil, RankExplicit
	if owner != nil {
		e.UID, e.GID = owner.UID, owner.GID
	}
	return e
}

// ExplicitLink is the entry of a symbolic link that was asked for.
func ExplicitLink(p, to string) Entry {
	return Entry{Path: p, Kind: Symlink, Mode: 0o777, Link: to, Rank: RankExplicit}
}

// needed is the entry of a directory that has to exist. If nothing else creates it and the base does not have it, it
// belongs to the given owner.
func needed(p string, uid, gid int) Entry {
	return Entry{Path: p, Kind: Dir, Mode: 0o755, UID: uid, GID: gid, KeepMode: true, KeepOwner: true, Rank: RankNeeded}
}

// newDirectory is the entry of a directory that nothing is said about.
func newDirectory(p string) Entry {
	e := conventional[p]
	e.Path, e.Kind, e.Mode = p, Dir, cmp.Or(e.Mode, 0o755)
	e.KeepMode, e.KeepOwner = true, true
	return e
}

// Capabilities returns the value of the attribute security.capability for its textual form; nil for "".
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
