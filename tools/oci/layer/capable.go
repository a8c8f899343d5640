package layer

import (
	"fmt"
	"os"

	"github.com/multiarch-build/multiarch/tools/oci/filecap"
)

// CapabilityError is returned for a source file with file capabilities, which are not copied.
type CapabilityError struct{ From string }

func (e *CapabilityError) Error() string {
	return fmt.Sprintf("%s has file capabilities (%s), which are not copied into images", e.From, filecap.Attribute)
}

// Hint returns how to set the capabilities in the image.
func (e *CapabilityError) Hint() string {
	return "set capabilities: in multiarch.yaml, such as cap_net_bind_service=+ep, or remove them with setcap -r " +
		e.From
}

// CapabilityXattrs returns the extended attributes of a file in an image that has the given
// capabilities. Capabilities of source files are not copied, since they do not survive version
// control: without given capabilities they are an error.
func CapabilityXattrs(source *os.File, from string, capabilities []byte) (map[string][]byte, error) {
	if capabilities != nil {
		return map[string][]byte{filecap.Attribute: capabilities}, nil
	}
	if hasAttribute(source, filecap.Attribute) {
		return nil, &CapabilityError{from}
	}
	return nil, nil
}
