package verify

import (
	"crypto/sha256"
	"encoding/binary"
)

// plainFiles are the regular files of a layer of which nothing matters but that they exist and whether they are
// executable: neither programs nor libraries. Layers can have millions of them, so only a hash of each name is kept.
type plainFiles map[uint64]bool

// plainCost is about how many bytes a plain file takes.
const plainCost = 24

// plain tells whether nothing of an entry would be lost in plainFiles.
func (e entry) plain() bool {
	return e.kind == regular && e.program == nil && e.text == nil && e.target == "" && !e.library
}

// nameKey hashes a name. By accident no two names of an image have one key.
func hashName(name string) uint64 {
	sum := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint64(sum[:])
}

func (p plainFiles) add(name string, executable bool) { p[hashName(name)] = executable }

// windowsFiles is the directory of a Windows layer that holds its file system.
const windowsFiles = "/Files/"

func (p plainFiles) remove(name string) {
	if len(p) > 0 {
		delete(p, hashName(name))
	}
}

func (p plainFiles) find(name string) (executable, ok bool) {
	if len(p) == 0 {
		return false, false
	}
	executable, ok = p[hashName(name)]
	return executable, ok
}
