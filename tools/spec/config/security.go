package config

import (
	"encoding/json"
	"fmt"

	"github.com/multiarch-build/multiarch/tools/oci/reference"
)

// Security selects the archive of security updates for a Debian suite. The zero value means the
// archives that belong to the suite, on the machine's own mirrors or on Debian's.
type Security struct {
	// Off locks the suite without its security and updates archives.
	Off bool
	// Mirror is the base URL of the security archive.
	Mirror string
}

// UnmarshalText parses true, false or the URL of a mirror.
func (s *Security) UnmarshalText(text []byte) error {
	switch given := string(text); given {
	case "true":
		*s = Security{}
	case "false":
		*s = Security{Off: true}
	default:
		if !isMirror(given) {
			return hinted(fmt.Errorf("invalid security archive %q", reference.Redact(given)),
				"write true, false, or a mirror such as http://deb.debian.org/debian-security")
		}
		*s = Security{Mirror: given}
	}
	return nil
}

func (s Security) String() string {
	switch {
	case s.Off:
		return "false"
	case s.Mirror != "":
		return s.Mirror
	}
	return "true"
}

// MarshalJSON writes true, false or the URL, as in YAML.
func (s Security) MarshalJSON() ([]byte, error) {
	if s.Mirror != "" && !s.Off {
		return json.Marshal(s.Mirror)
	}
	return json.Marshal(!s.Off)
}

// UnmarshalJSON parses the output of MarshalJSON.
func (s *Security) UnmarshalJSON(content []byte) error {
	var on bool
	if json.Unmarshal(content, &on) == nil {
		*s = Security{Off: !on}
		return nil
	}
	var mirror string
	if err := json.Unmarshal(content, &mirror); err != nil {
		return err
	}
	return s.UnmarshalText([]byte(mirror))
}
