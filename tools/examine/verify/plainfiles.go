package verify

import (
	"crypto/sha256"
	"encoding/binary"
)

// plainFiles are the regular files that are neither programs nor libraries. Only their existence and their execute bits
// matter. Layers can have millions of them, so that only hashes of their names are stored.
type plainFiles map[uint64]bool

// plainCost is the approximate memory of a plain file in bytes.
const plainCost = 24

// plain reports whether plainFiles can represent an entry.
func (e entry) plain() bool {
	return e.kind == regular && e.program == nil && e.text == nil && e.target == "" && !e.library
}

// hashName hashes a name with SHA-256, truncated to 64 bits: collisions do not occur by accident.
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
