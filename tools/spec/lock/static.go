package lock

import (
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Static identifies the built-in static base, which other versions of multiarch may build
// differently.
type Static struct {
	Digest    v1.Hash `json:"digest"`    // of its files and environment
	CARoots   string  `json:"caRoots"`   // version of golang.org/x/crypto/x509roots/fallback
	TimeZones string  `json:"timeZones"` // release of the IANA time zone database
}

func (s Static) String() string {
	return fmt.Sprintf("%s (CA roots %s, time zones %s)", s.Digest, s.CARoots, s.TimeZones)
}

// HasStatic reports whether the file records a static base.
func (f *File) HasStatic() bool {
	if f == nil {
		return false
	}
	for _, b := range f.Bases {
		if b.Static != nil {
			return true
		}
	}
	return false
}

// Records reports whether the file records a base. Builds do not need a record of the static base,
// and files of earlier versions have none.
func (f *File) Records(name string) bool {
	if f == nil {
		return false
	}
	_, ok := f.Bases[name]
	return ok
}
